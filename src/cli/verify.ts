import { compare, type Difference } from '../engine/compare.ts';
import { openModel } from '../engine/open-model.ts';
import type { Model } from '../ir/graph.ts';
import { significant } from '../messages.ts';
import type { Numerics, Step } from '../pass/pass.ts';
import { feedBatches } from './feeds.ts';

export interface VerifyResult {
  readonly ok: boolean;
  sentence: string;
}

const samples = 4;

/** Prepacked weights are summed in another order, so a weight that became constant would look like a difference. */
const plain = { graphOptimizationLevel: 'disabled', extra: { 'session.disable_prepacking': '1' } } as const;

/** What a list of steps promises together: the weakest promise; roundings add up. */
export function promiseOf(steps: readonly Step[]): Numerics {
  let promise: Numerics = { kind: 'exact' };
  for (const { pass, options } of steps) {
    const next = pass.numerics(options as never);
    if (next.kind === 'lossy')
      promise = promise.kind === 'lossy' ? { kind: 'lossy', sqnrDb: Math.min(promise.sqnrDb, next.sqnrDb) } : next;
    else if (next.kind === 'reordered' && promise.kind !== 'lossy') {
      const before: { rtol: number; atol: number } = promise.kind === 'reordered' ? promise : { rtol: 0, atol: 0 };
      promise = { kind: 'reordered', rtol: before.rtol + next.rtol, atol: before.atol + next.atol };
    }
  }
  return promise;
}

/** `--verify`: both models on seeded inputs, without the runtime's own optimizer, held against the promise of the steps. */
export async function verifyNumerics(
  base: Model,
  model: Model,
  steps: readonly Step[],
  seed: number,
  signal: AbortSignal,
): Promise<VerifyResult> {
  const promise = promiseOf(steps);
  const before = await openModel(base, { ...plain, label: 'the model as it was' });
  const after = await openModel(model, { ...plain, label: 'the result' });
  try {
    const feeds = () => feedBatches({ dataset: undefined, model: base, runtime: before, seed, shapes: [], samples });
    const tolerance = promise.kind === 'reordered' ? promise : undefined;
    const self = await compare(before, before, feeds(), signal);
    const random = self.outputs.find((output) => !keeps(output, { kind: 'exact' }));
    if (random) {
      return {
        ok: true,
        sentence: `not verified: output "${random.name}" of the model differs from run to run (it draws random numbers), so nothing can be held against it`,
      };
    }
    const { outputs } = await compare(before, after, feeds(), signal, tolerance);
    const broken = outputs.find((output) => !keeps(output, promise));
    const name = describe(promise);
    if (!broken) return { ok: true, sentence: `verified on ${samples} seeded inputs: ${name} holds` };
    return {
      ok: false,
      sentence:
        `NOT verified: output "${broken.name}" breaks the promise (${name}): SQNR ${broken.sqnrDb.toFixed(1)} dB, largest error ` +
        `${significant(broken.maxAbs, 3)} (relative ${significant(broken.maxRel, 3)})`,
    };
  } finally {
    await before.dispose();
    await after.dispose();
  }
}

function keeps(output: Difference, promise: Numerics): boolean {
  if (output.shapes) return false;
  switch (promise.kind) {
    case 'exact':
      return output.maxAbs === 0 || output.sqnrDb === Number.POSITIVE_INFINITY;
    case 'reordered':
      return output.toleranceUsed !== undefined && output.toleranceUsed <= 1;
    case 'lossy':
      return output.sqnrDb >= promise.sqnrDb;
  }
}

function describe(promise: Numerics): string {
  switch (promise.kind) {
    case 'exact':
      return 'bit-identical outputs';
    case 'reordered':
      return `float rounding only, relative ${promise.rtol.toPrecision(1)}`;
    case 'lossy':
      return `at least ${promise.sqnrDb} dB`;
  }
}
