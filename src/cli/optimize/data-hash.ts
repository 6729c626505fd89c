import { createHash } from 'node:crypto';
import type { Dataset } from '../../data/dataset.ts';
import type { Evaluation } from '../../engine/evaluate.ts';

/**
 * SHA-256 of what was judged: the samples as they lie in the files, in order, with what they are judged by (labels, values, texts, boxes). Two reports with the same hash can be
 * compared sample by sample, whatever model they are about.
 */
export async function dataHash(
  dataset: Pick<Dataset, 'digest' | 'truthDigest'>,
  { indices, labels }: Pick<Evaluation, 'indices' | 'labels'>,
): Promise<string> {
  const hash = createHash('sha256');
  for (const [at, index] of indices.entries()) {
    const truth = (await dataset.truthDigest?.(index)) ?? '';
    hash.update(`${await dataset.digest('eval', index)} ${labels?.[at] ?? ''}${truth && ` ${truth}`}\n`);
  }
  return hash.digest('hex');
}
