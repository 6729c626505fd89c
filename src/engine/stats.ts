import { quantile } from '../kernels/bootstrap.ts';
import { randomNumbers } from '../kernels/random.ts';

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
 * Median of a[i] / b[i] with its bootstrap interval (Efron's percentile method, seeded). `a[i]` and `b[i]` were taken next to
 * each other in time, so that a slow moment hits both and leaves their ratio. The ratio of the two medians is no substitute:
 * on a busy machine times have two modes, and which of them a median lands in is chance.
 */
export function pairedRatio(
  a: readonly number[],
  b: readonly number[],
  options: { readonly seed: number; readonly resamples?: number; readonly confidence?: number },
): { readonly ratio: number; readonly interval: readonly [number, number] } {
  const random = randomNumbers(options.seed);
  const resamples = options.resamples ?? 2000;
  const pairs = Math.min(a.length, b.length);
  const ratios = Float64Array.from({ length: pairs }, (_, pair) => (a[pair] as number) / (b[pair] as number));
  const drawn = new Float64Array(pairs);
  const medians = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample++) {
    for (let draw = 0; draw < pairs; draw++) drawn[draw] = ratios[Math.floor(random() * pairs)] as number;
    medians[resample] = quantile(drawn.sort(), 0.5);
  }
  medians.sort();
  const tail = (1 - (options.confidence ?? 0.95)) / 2;
  return { ratio: median(ratios), interval: [quantile(medians, tail), quantile(medians, 1 - tail)] };
}

/**
 * What a ratio and its interval allow to say. No verdict when the interval holds 1, unless all of it is nearer to 1 than
 * `margin`, which is then as good as the same; a difference below the margin is none, however narrow its interval: two
 * sessions of one file differ by that much.
 */
export function callOf(
  ratio: number,
  [low, high]: readonly [number, number],
  margin: number,
): 'faster' | 'slower' | 'same' | 'undecided' {
  const near = (value: number, within = margin): boolean => Math.abs(value - 1) <= within;
  if (near(low) && near(high)) return 'same';
  if (low <= 1 && high >= 1) return 'undecided';
  if (near(ratio)) return near(low, 2 * margin) && near(high, 2 * margin) ? 'same' : 'undecided';
  return ratio < 1 ? 'faster' : 'slower';
}
