/** The bootstrap: how much a figure would vary, had other samples of the same kind been drawn. */

import { logChoose } from './proportions.ts';

/** Quantile `p` (0…1) of sorted numbers, interpolated linearly (Hyndman and Fan type 7, NumPy's default). */
export function quantile(sorted: ArrayLike<number>, p: number): number {
  if (sorted.length === 0) return Number.NaN;
  const place = (sorted.length - 1) * p;
  const low = Math.floor(place);
  const a = sorted[low] as number;
  const b = sorted[Math.min(low + 1, sorted.length - 1)] as number;
  return a + (b - a) * (place - low);
}

export interface BootstrapOptions {
  /** Seeded numbers in [0, 1). */
  readonly random: () => number;
  /** Default 10,000, fewer (not below 1,000) where that would be more than 200 million draws. */
  readonly resamples?: number;
}

export interface Bootstrap {
  /** Efron's percentile interval, 95 %. */
  readonly interval: readonly [low: number, high: number];
  /** Spread of the figure: standard deviation over the resamples. */
  readonly standardError: number;
}

const usualResamples = 10_000;
const fewestResamples = 1_000;
const mostDraws = 2e8;

/**
 * Bootstrap of a figure that follows from the means of one or more columns: row i of all columns is sample i, and rows are
 * drawn whole, so paired scores stay paired (Efron and Tibshirani 1993, chapter 13).
 *
 * Rows of zeros add nothing to a sum, so they are not drawn one by one: how many of the n draws hit another row is a
 * binomial number, and only that many draws are made. Differences of right and wrong are zero nearly everywhere.
 * @param columns equally long, finite numbers
 * @throws RangeError when the columns differ in length, or are empty
 */
export function bootstrap(
  columns: readonly ArrayLike<number>[],
  figure: (means: Float64Array) => number,
  options: BootstrapOptions,
): Bootstrap {
  const n = columns[0]?.length ?? 0;
  if (n === 0 || columns.some((column) => column.length !== n))
    throw new RangeError('the bootstrap needs columns of one length, with a row at least');
  const rows: number[] = [];
  for (let row = 0; row < n; row++) if (columns.some((column) => column[row] !== 0)) rows.push(row);
  const kept = columns.map((column) => Float64Array.from(rows, (row) => column[row] as number));
  const resamples =
    options.resamples ??
    Math.max(fewestResamples, Math.min(usualResamples, Math.floor(mostDraws / Math.max(1, rows.length * kept.length))));
  const { random } = options;
  const drawCount = binomialDraw(n, rows.length);
  const sums = new Float64Array(kept.length);
  const figures = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample++) {
    const draws = drawCount(random);
    if (kept.length === 1) {
      sums[0] = sumOfDraws(kept[0] as Float64Array, draws, random);
    } else {
      sums.fill(0);
      for (let draw = 0; draw < draws; draw++) {
        const row = Math.floor(random() * rows.length);
        for (let at = 0; at < kept.length; at++)
          sums[at] = (sums[at] as number) + ((kept[at] as Float64Array)[row] as number);
      }
    }
    figures[resample] = figure(sums.map((sum) => sum / n));
  }
  figures.sort();
  return { interval: [quantile(figures, 0.025), quantile(figures, 0.975)], standardError: deviation(figures) };
}

function sumOfDraws(values: Float64Array, draws: number, random: () => number): number {
  let sum = 0;
  for (let draw = 0; draw < draws; draw++) sum += values[Math.floor(random() * values.length)] as number;
  return sum;
}

/** Numbers distributed as Binomial(n, k/n), by inversion of a table of all counts with a probability worth the name. */
function binomialDraw(n: number, k: number): (random: () => number) => number {
  if (k === 0 || k === n) return () => k;
  const p = k / n;
  const reach = Math.ceil(12 * Math.sqrt(n * p * (1 - p))) + 12;
  const first = Math.max(0, k - reach);
  const last = Math.min(n, k + reach);
  const cumulative = new Float64Array(last - first + 1);
  let sum = 0;
  for (let count = first; count <= last; count++) {
    sum += Math.exp(logChoose(n, count) + count * Math.log(p) + (n - count) * Math.log1p(-p));
    cumulative[count - first] = sum;
  }
  return (random) => {
    const wanted = random() * sum;
    let low = 0;
    let high = cumulative.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((cumulative[middle] as number) > wanted) high = middle;
      else low = middle + 1;
    }
    return first + low;
  };
}

function deviation(values: Float64Array): number {
  let mean = 0;
  for (const value of values) mean += value / values.length;
  let sum = 0;
  for (const value of values) sum += (value - mean) ** 2;
  return Math.sqrt(sum / Math.max(1, values.length - 1));
}
