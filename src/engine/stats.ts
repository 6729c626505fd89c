import { randomNumbers } from '../data/shuffle.ts';
import { quantile } from '../kernels/bootstrap.ts';

export function sorted(values: Iterable<number>): Float64Array {
  return Float64Array.from(values).sort();
}

export function median(values: Iterable<number>): number {
  return quantile(sorted(values), 0.5);
}

/** Median absolute deviation from the median, divided by the median: spread of a benchmark without being fooled by outliers. */
export function relativeMad(values: readonly number[]): number {
  const middle = median(values);
  return median(values.map((value) => Math.abs(value - middle))) / middle;
}

/**
 * Bootstrap interval of median(a) / median(b) (Efron's percentile method, seeded). `a[i]` and `b[i]` were taken next to
 * each other in time and are drawn together, so that a slow minute hits both alike.
 */
export function ratioInterval(
  a: readonly number[],
  b: readonly number[],
  options: { readonly seed: number; readonly resamples?: number; readonly confidence?: number },
): [number, number] {
  const random = randomNumbers(options.seed);
  const resamples = options.resamples ?? 2000;
  const pairs = Math.min(a.length, b.length);
  const drawnA = new Float64Array(pairs);
  const drawnB = new Float64Array(pairs);
  const ratios = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample++) {
    for (let draw = 0; draw < pairs; draw++) {
      const pair = Math.floor(random() * pairs);
      drawnA[draw] = a[pair] as number;
      drawnB[draw] = b[pair] as number;
    }
    ratios[resample] = quantile(drawnA.sort(), 0.5) / quantile(drawnB.sort(), 0.5);
  }
  ratios.sort();
  const tail = (1 - (options.confidence ?? 0.95)) / 2;
  return [quantile(ratios, tail), quantile(ratios, 1 - tail)];
}
