import type { Tensor } from '../ir/tensor.ts';
import { adaptFeeds, type FeedBatches } from './compare.ts';
import type { Session } from './session.ts';

/**
 * Why a model's outputs say nothing of what is done to it, where they alone judge: they hold not a number on any sample (nothing was found), or are the same
 * on all of them. Undefined as soon as two samples are told apart; a single sample that gives numbers is believed.
 */
export async function whyNothingIsTold(
  session: Session,
  batches: FeedBatches,
  what: 'samples' | 'made-up inputs',
): Promise<string | undefined> {
  const first = new Map<string, Buffer>();
  let samples = 0;
  let holds = false;
  for await (const { feeds, size } of batches) {
    samples += size;
    for (const [name, tensor] of await session.run(adaptFeeds(feeds, session.inputs))) {
      holds ||= !tensor.shape.includes(0);
      for (const part of parts(tensor, size)) {
        const known = first.get(name);
        // What the session hands out may lie in memory that it uses again.
        if (!known) first.set(name, Buffer.from(part));
        else if (!known.equals(part)) return undefined;
      }
    }
  }
  if (samples < 2 && holds) return undefined;
  const how = holds
    ? `are the same on all ${samples} ${what}`
    : `hold nothing on all ${samples} ${what} (nothing was found in them)`;
  return `the outputs of the model ${how}, so that they say nothing of what was done to it: give data that it tells apart, prepared as it wants them (mlpack data check)`;
}

/** The rows of a batch, where there is one for each sample; else the output as a whole. */
function parts(tensor: Tensor, size: number): Uint8Array[] {
  // Texts have no bytes of their own; they are compared as they are written.
  const bytes = tensor.dtype === 'string' ? Buffer.from(JSON.stringify(tensor.strings?.() ?? [])) : tensor.bytes();
  const rows = tensor.shape[0] ?? 0;
  if (tensor.dtype === 'string' || size < 2 || rows < size || bytes.length % rows !== 0) return [bytes];
  const length = bytes.length / rows;
  return Array.from({ length: size }, (_, row) => bytes.subarray(row * length, (row + 1) * length));
}
