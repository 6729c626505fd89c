import { entropyThreshold } from './entropy.ts';
import { type Bins, binsPerSide, type Histogram, smallestMask } from './histogram.ts';
import { affineParams, type IntRange } from './quantize.ts';
import { roundHalfEven } from './round.ts';

/** How a range is chosen from a histogram. */
export const calibrators = ['minmax', 'average', 'percentile', 'mse', 'entropy'] as const;
export type Calibrator = (typeof calibrators)[number];

/** What a histogram must have counted for this way. */
export function countsFor(method: Calibrator): { readonly extremesOnly: boolean; readonly averages: boolean } {
  return { extremesOnly: method === 'minmax' || method === 'average', averages: method === 'average' };
}

export interface RealRange {
  readonly low: number;
  readonly high: number;
}

/** Integers that the range will be mapped onto. */
export interface Grid {
  readonly range: IntRange;
  readonly symmetric: boolean;
}

/** The range of real values that the integers shall stand for. Zeros and signs: [low, high] lies within [min, max]. */
export function chooseRange(
  histogram: Histogram,
  method: Calibrator,
  grid: Grid,
  options: { readonly percentile: number },
): RealRange {
  if (histogram.count === 0 || histogram.limit === 0) return { low: 0, high: 0 };
  if (histogram.extremesOnly && !countsFor(method).extremesOnly)
    throw new RangeError(`extremes alone were counted, and ${method} needs more`);
  switch (method) {
    case 'minmax':
      return { low: histogram.min, high: histogram.max };
    case 'average':
      if (!histogram.averaged) throw new RangeError('averages of extremes were not counted');
      return inside(histogram, Math.min(0, histogram.averageLow), Math.max(0, histogram.averageHigh));
    case 'percentile':
      return percentileRange(histogram, options.percentile);
    case 'mse':
      return mseRange(histogram, grid);
    case 'entropy':
      return entropyRange(histogram, grid);
  }
}

/**
 * Cuts the same share from both ends so that `percentile` per cent of all values (zeros included) stay inside. What is cut off
 * is whole bins, so that never more than the share is lost. Zero stays inside.
 */
export function percentileRange(histogram: Histogram, percentile: number): RealRange {
  const { centers, masses } = histogram.bins();
  const half = histogram.limit / binsPerSide / 2;
  const allowed = (histogram.count * (1 - percentile / 100)) / 2;
  let low = 0;
  for (let at = 0, cut = 0; (centers[at] as number) < 0; at++) {
    cut += masses[at] as number;
    if (cut <= allowed) continue;
    low = (centers[at] as number) - half;
    break;
  }
  let high = 0;
  for (let at = masses.length - 1, cut = 0; (centers[at] as number) > 0; at--) {
    cut += masses[at] as number;
    if (cut <= allowed) continue;
    high = (centers[at] as number) + half;
    break;
  }
  // Everything but zero is rare: a range without any of it would stand for nothing.
  if (low === 0 && high === 0) return { low: histogram.min, high: histogram.max };
  return inside(histogram, low, high);
}

/** Shares of the full range that are tried, first coarse, then fine around the best. */
const coarse = Array.from({ length: 48 }, (_, step) => 1 - step / 50);

/**
 * How much more a squared error of clipping counts than one of rounding. Those of rounding go both ways and average out in the sums of the next
 * layer; those of clipping all have one sign and lie side by side, so that a 3×3 window adds up to nine of them. With 1, static INT8 of yunet-face had
 * 16.3 dB at its outputs where min-max has 19.7; with 3, 4, 5, 6, 8 it was 19.3, 19.6, 19.9, 20.5, 20.5, and of nine other models none lost to
 * min-max by more than 0.4 dB (`--place all`; unet 22.6 for 21.5, shuffle 35.1 for 33.7, vit 39.7 for 38.2).
 */
const clippingWeight = 8;

/**
 * The range with the least Σ mass · (x − x̂)², clipping and rounding both counted, clipping eight times (the bins are far finer than the
 * integers, so their centres stand for their values). Both ends are searched in turn: the error is not convex, but each end's is nearly so.
 */
export function mseRange(histogram: Histogram, grid: Grid): RealRange {
  const bins = histogram.bins();
  const { min, max } = histogram;
  if (grid.symmetric) {
    const whole = Math.max(-min, max);
    const best = search((share) => squaredError(bins, -whole * share, whole * share, grid));
    return inside(histogram, -whole * best, whole * best);
  }
  let low = 1;
  let high = 1;
  for (let round = 0; round < 2; round++) {
    if (max > 0) high = search((share) => squaredError(bins, min * low, max * share, grid), high);
    if (min < 0) low = search((share) => squaredError(bins, min * share, max * high, grid), low);
    if (min >= 0 || max <= 0) break;
  }
  return inside(histogram, min < 0 ? min * low : min, max > 0 ? max * high : max);
}

/** The share of 1 … 0.02 with the least error; an equal one never displaces a wider one. */
function search(error: (share: number) => number, first = 1): number {
  let best = first;
  let least = error(first);
  const attempt = (share: number): void => {
    if (share <= 0 || share > 1) return;
    const found = error(share);
    if (found < least) {
      least = found;
      best = share;
    }
  };
  for (const share of coarse) attempt(share);
  const center = best;
  for (let step = -4; step <= 4; step++) attempt(center + step / 250);
  return best;
}

/** Σ mass · (x − x̂)² on the grid that [low, high] gives; what is clipped counts `clippingWeight` times. */
export function squaredError(bins: Bins, low: number, high: number, grid: Grid): number {
  const { scale, zeroPoint } = affineParams(low, high, grid.range, grid.symmetric);
  const lowest = grid.range.min - zeroPoint;
  const highest = grid.range.max - zeroPoint;
  const { centers, masses } = bins;
  let sum = 0;
  for (let at = 0; at < centers.length; at++) {
    const x = centers[at] as number;
    const code = roundHalfEven(x / scale);
    const error = x - (code < lowest ? lowest : code > highest ? highest : code) * scale;
    sum += (masses[at] as number) * error * error * (code < lowest || code > highest ? clippingWeight : 1);
  }
  return sum;
}

/** The range that `entropyThreshold` says, as far as anything was seen there. */
export function entropyRange(histogram: Histogram, grid: Grid): RealRange {
  const threshold = entropyThreshold(histogram);
  return grid.symmetric ? { low: -threshold, high: threshold } : inside(histogram, -threshold, threshold);
}

/**
 * Whether the largest magnitudes stand apart from everything else, as those of additive attention masks (−1e4, −3.4e38)
 * do: nothing but zeros between a 64th and a quarter of the largest, while live values lie below. A scale that covers both
 * would round the live ones away.
 */
export function hasMaskGap(histogram: Histogram): boolean {
  if (histogram.absMax < smallestMask) return false;
  const counts = histogram.magnitudes();
  const binOf = (magnitude: number): number => Math.floor((magnitude / histogram.limit) * counts.length);
  const { absMax } = histogram;
  let live = 0;
  const [from, to] = [binOf(absMax / 64), binOf(absMax / 4)];
  for (let bin = 0; bin <= from; bin++) live += counts[bin] as number;
  let between = 0;
  for (let bin = from + 1; bin < to; bin++) between += counts[bin] as number;
  return live > 0 && between === 0;
}

/** Rounding to bins must not reach past what was seen. */
function inside({ min, max }: Histogram, low: number, high: number): RealRange {
  return { low: Math.max(low, min), high: Math.min(high, max) };
}
