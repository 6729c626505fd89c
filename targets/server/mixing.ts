import type { Artifact } from '../../src/target/target.ts';

/** Operators that take a scale over all rows of a run: what a row gives would depend on whose rows run beside it. */
const mixing = ['DynamicQuantizeLinear', 'com.microsoft:DynamicQuantizeMatMul', 'com.microsoft:DynamicQuantizeLSTM'];

/** Why rows of different requests must not share a run, or undefined. */
export function mixingReason(artifact: Artifact): string | undefined {
  const found = mixing.find((op) => artifact.ops[op] !== undefined);
  return found && `${found} takes its scale over all rows of a run`;
}

/** The server looks for the beginning of this sentence (lib/model.mjs). */
export function mixingNotes(artifact: Artifact): string[] {
  const reason = mixingReason(artifact);
  if (reason === undefined) return [];
  return [
    `Requests are not batched: ${reason}, so an answer would depend on its neighbours. BATCH_MAX switches it on.`,
  ];
}

/** The server looks for the beginning of this sentence too. */
export function loopNotes(artifact: Artifact): string[] {
  if (artifact.ops.Loop === undefined) return [];
  return [
    'A run may take any time: the model has Loop, so the session keeps a thread of its own. INLINE=on changes that.',
  ];
}
