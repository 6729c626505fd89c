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
  /** Default 10,000, fewer (not below 1,000) where that would be more than 100 million draws. */
  readonly resamples?: number;
  /** `bootstrapWeights`: steps that one figure takes; default the number of samples. */
  readonly cost?: number;
}

export interface Bootstrap {
  /** Efron's percentile interval, 95 %. */
  readonly interval: readonly [low: number, high: number];
  /** Spread of the figure: standard deviation over the resamples. */
  readonly standardError: number;
}

const usualResamples = 10_000;
const fewestResamples = 1_000;
const mostDraws = 1e8;

/**
 * Bootstrap of a figure that follows from the mean of a column, or of two whose row i is the same sample: rows are drawn whole, so
 * paired scores stay paired (Efron and Tibshirani 1993, chapter 13).
 *
 * Rows of zeros add nothing to a sum, so they are not drawn one by one: how many of the n draws hit another row is a
 * binomial number, and only that many draws are made.
 * @param columns one or two, equally long, finite numbers; `figure` gets their means (the same twice for one column)
 * @throws RangeError when the columns differ in length, or are empty
 */
export function bootstrap(
  columns: readonly [ArrayLike<number>, ArrayLike<number>?],
  figure: (mean: number, otherMean: number) => number,
  options: BootstrapOptions,
): Bootstrap {
  const [first, second = first] = columns;
  const n = first.length;
  if (n === 0 || second.length !== n)
    throw new RangeError('the bootstrap needs columns of one length, with a row at least');
  const rows: number[] = [];
  for (let row = 0; row < n; row++) if (first[row] !== 0 || second[row] !== 0) rows.push(row);
  const a = Float64Array.from(rows, (row) => first[row] as number);
  const b = Float64Array.from(rows, (row) => second[row] as number);
  const affordable = Math.floor(mostDraws / Math.max(1, rows.length));
  const resamples = options.resamples ?? Math.max(fewestResamples, Math.min(usualResamples, affordable));
  const { random } = options;
  const drawCount = binomialDraw(n, rows.length);
  const figures = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample++) {
    let sumA = 0;
    let sumB = 0;
    for (let draws = drawCount(random); draws > 0; draws--) {
      const row = Math.floor(random() * a.length);
      sumA += a[row] as number;
      sumB += b[row] as number;
    }
    figures[resample] = figure(sumA / n, sumB / n);
  }
  figures.sort();
  return { interval: [quantile(figures, 0.025), quantile(figures, 0.975)], standardError: deviation(figures) };
}

/** Weighing all samples costs this much at most, in visits of a sample; a figure then has at least `fewestWeighings` drawings. */
const mostVisits = 1e7;
const fewestWeighings = 200;

/**
 * Bootstrap of figures that do not follow from a mean: `figure` is told how often each of the n samples was drawn, and gives one or more
 * numbers. Both models of a pair are to be weighed inside one `figure`, so that they are judged on the same drawing.
 * @param options `resamples`: default 2,000, fewer (not below 200; 1,000 for 10,000 samples) where n is large
 * @returns for each number its interval and spread; drawings that give no number (no sample of a class, say) are left out, and
 * an entry is undefined where more than half of them do
 */
export function bootstrapWeights(
  n: number,
  figure: (weights: Uint16Array) => ArrayLike<number>,
  options: BootstrapOptions,
): (Bootstrap | undefined)[] {
  if (n === 0) throw new RangeError('the bootstrap needs a sample at least');
  const affordable = Math.floor(mostVisits / Math.max(n, options.cost ?? 0));
  const resamples = options.resamples ?? Math.max(fewestWeighings, Math.min(2_000, affordable));
  const { random } = options;
  const weights = new Uint16Array(n);
  const drawings: ArrayLike<number>[] = [];
  for (let resample = 0; resample < resamples; resample++) {
    weights.fill(0);
    for (let draw = 0; draw < n; draw++) {
      const sample = Math.floor(random() * n);
      weights[sample] = (weights[sample] as number) + 1;
    }
    drawings.push(Float64Array.from(figure(weights)));
  }
  return Array.from({ length: drawings[0]?.length ?? 0 }, (_, at) => {
    const figures = Float64Array.from(drawings, (drawing) => drawing[at] as number)
      .filter(Number.isFinite)
      .sort();
    if (figures.length * 2 < resamples) return undefined;
    return { interval: [quantile(figures, 0.025), quantile(figures, 0.975)], standardError: deviation(figures) };
  });
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
