import { createHash } from 'node:crypto';
import type { Dataset } from '../../data/dataset.ts';
import type { Evaluation } from '../../engine/evaluate.ts';

/**
 * SHA-256 of what was judged: the samples as they lie in the files, in order, with their labels. Two reports with the same hash can be
 * compared sample by sample, whatever model they are about.
 */
export async function dataHash(
  dataset: Pick<Dataset, 'digest'>,
  { indices, labels }: Pick<Evaluation, 'indices' | 'labels'>,
): Promise<string> {
  const hash = createHash('sha256');
  for (const [at, index] of indices.entries())
    hash.update(`${await dataset.digest('eval', index)} ${labels?.[at] ?? ''}\n`);
  return hash.digest('hex');
}
