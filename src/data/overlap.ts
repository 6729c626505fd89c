import type { Dataset, Split } from './dataset.ts';

export interface Overlap {
  /** Samples looked at. */
  readonly looked: Readonly<Record<Split, number>>;
  /** Samples to evaluate on that calibration has too, by content; the first few by name. */
  readonly shared: number;
  readonly examples: readonly string[];
  /** Samples to evaluate on that occur more than once: each beyond the first. */
  readonly repeated: number;
  readonly repeatedExamples: readonly string[];
}

/**
 * Samples that serve calibration and evaluation both, and samples that occur twice, told by what they are made of and not by their names.
 * @param most samples looked at in each split: every one is read
 */
export async function findOverlap(dataset: Dataset, most = Number.POSITIVE_INFINITY): Promise<Overlap> {
  const count = { eval: Math.min(dataset.samples, most), calibration: Math.min(dataset.calibrationSamples, most) };
  const calibration = new Set<string>();
  for (let at = 0; at < count.calibration; at++) calibration.add(await dataset.digest('calibration', at));
  const seen = new Map<string, string>();
  const shared: string[] = [];
  const repeated: string[] = [];
  for (let at = 0; at < count.eval; at++) {
    const digest = await dataset.digest('eval', at);
    const name = dataset.sampleName('eval', at);
    if (calibration.has(digest)) shared.push(name);
    const first = seen.get(digest);
    if (first === undefined) seen.set(digest, name);
    else repeated.push(`${name} = ${first}`);
  }
  return {
    looked: count,
    shared: shared.length,
    examples: shared.slice(0, 3),
    repeated: repeated.length,
    repeatedExamples: repeated.slice(0, 3),
  };
}
