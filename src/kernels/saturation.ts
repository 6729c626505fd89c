import { intRanges } from './quantize.ts';

/**
 * Processors without VNNI multiply u8 · s8 with vpmaddubsw, which adds two neighbouring products in 16 bits, and saturates. MLAS lays
 * the operands out along K (for a convolution: tap by tap, and in each tap channel by channel), so the pairs are known.
 */

/** Where the weight of output channel `n` at k = tap · inner + c stands: n · channelStride + tap · tapStride + c · innerStride. */
export interface ProductLayout {
  readonly channels: number;
  readonly channelStride: number;
  readonly taps: number;
  readonly tapStride: number;
  readonly inner: number;
  readonly innerStride: number;
  /** Output channels that read the same `inner` inputs: all, or those of one group. */
  readonly perGroup: number;
  /** The channels of each tap may be filled up to an even number, so that its last one has no neighbour: both ways of pairing count. */
  readonly mayBeFilled?: boolean;
}

/** What a sum of two products may reach without loss. */
export const mostPair = 32767;
const highest = mostPair;
const lowest = -32768;

/** Offsets of one output channel's weights in the order of K. */
function offsetsOf({ taps, tapStride, inner, innerStride }: ProductLayout): Int32Array {
  const offsets = new Int32Array(taps * inner);
  for (let tap = 0, k = 0; tap < taps; tap++)
    for (let c = 0; c < inner; c++) offsets[k++] = tap * tapStride + c * innerStride;
  return offsets;
}

/** First k of each pair of neighbours. */
function pairsOf({ taps, inner, mayBeFilled }: ProductLayout): number[] {
  const pairs = Array.from({ length: (taps * inner) >> 1 }, (_, pair) => 2 * pair);
  if (mayBeFilled && inner % 2 === 1)
    for (let tap = 0; tap < taps; tap++) for (let c = 0; c + 1 < inner; c += 2) pairs.push(tap * inner + c);
  return pairs;
}

/**
 * For each output channel the largest magnitude that a sum of two neighbouring products of equal sign can reach, with activations
 * between 0 and `largest[input channel]` (u8 codes).
 * @param largest one code per input channel, over all groups; a single one stands for all.
 */
export function pairPeaks(weights: Float32Array, layout: ProductLayout, largest: ArrayLike<number>): Float32Array {
  const offsets = offsetsOf(layout);
  const { channels, channelStride, inner, perGroup } = layout;
  const peaks = new Float32Array(channels);
  const isSingle = largest.length === 1;
  const pairs = pairsOf(layout);
  const raise = (n: number, k: number): void => {
    const base = n * channelStride;
    const group = Math.floor(n / perGroup) * inner;
    const first = (weights[base + (offsets[k] as number)] as number) * codeOf(group, k);
    const second = (weights[base + (offsets[k + 1] as number)] as number) * codeOf(group, k + 1);
    // One product alone fits: 255 · 127 = 32385. Rounding by less than a step never turns a sign.
    if (first * second > 0) peaks[n] = Math.max(peaks[n] as number, Math.abs(first + second));
  };
  const codeOf = (group: number, k: number): number => largest[isSingle ? 0 : group + (k % inner)] as number;
  // In the order in which the weights lie in memory.
  if (channelStride === 1) for (const k of pairs) for (let n = 0; n < channels; n++) raise(n, k);
  else for (let n = 0; n < channels; n++) for (const k of pairs) raise(n, k);
  return peaks;
}

/**
 * The scale of a channel's weights with which no pair can saturate. Rounding moves two codes by less than one each, so 2 · 255 are
 * left free.
 * @param peak from `pairPeaks`, in real weights
 */
export const saturationFreeScale = (peak: number): number => peak / (highest - 2 * 255);

/**
 * The least scales of symmetric int8 weights with which no pair of products saturates; none is larger than 7 bits would need.
 * @param full scales of the whole range in 8 bits, one for each output channel, or one for all
 * @param largest as in `pairPeaks`
 */
export function leastSafeScales(
  full: Float32Array,
  weights: Float32Array,
  layout: ProductLayout,
  largest: ArrayLike<number>,
): Float32Array {
  const peaks = pairPeaks(weights, layout, largest);
  const needed = full.length === 1 ? [peaks.reduce((a, b) => Math.max(a, b), 0)] : peaks;
  const { symmetric, reduced } = intRanges.int8;
  return full.map((scale, c) => {
    const free = saturationFreeScale(needed[c] as number) * (1 + 2 ** -20);
    return Math.min(free, (scale * symmetric.max) / reduced.max);
  });
}

/** What saturation does to the sums of products of some rows. */
export interface SaturationSums {
  pairs: number;
  saturated: number;
  /** Σ of squares of the exact sums about the zero point, and of what saturation changes in them; both times scale². */
  signal: number;
  noise: number;
}

/**
 * Adds up one row of activations the exact way and the saturating way.
 * @param codes u8 codes of the row in the order of K, of the group that `channels` belong to
 * @param weights s8 codes
 */
export function addSaturation(
  sums: SaturationSums,
  codes: Uint8Array,
  zeroPoint: number,
  weights: Int8Array,
  layout: ProductLayout,
  scales: ArrayLike<number>,
  from: number,
  to: number,
): void {
  const offsets = offsetsOf(layout);
  for (let n = from; n < to; n++) {
    const base = n * layout.channelStride;
    let exact = 0;
    let lost = 0;
    for (let k = 0; k < offsets.length; k += 2) {
      const w0 = weights[base + (offsets[k] as number)] as number;
      const a0 = codes[k] as number;
      let pair = a0 * w0;
      exact += (a0 - zeroPoint) * w0;
      if (k + 1 < offsets.length) {
        const w1 = weights[base + (offsets[k + 1] as number)] as number;
        const a1 = codes[k + 1] as number;
        pair += a1 * w1;
        exact += (a1 - zeroPoint) * w1;
      }
      if (pair > highest) {
        lost += pair - highest;
        sums.saturated++;
      } else if (pair < lowest) {
        lost += pair - lowest;
        sums.saturated++;
      }
      sums.pairs++;
    }
    const scale = scales[scales.length === 1 ? 0 : n] as number;
    sums.signal += (exact * scale) ** 2;
    sums.noise += (lost * scale) ** 2;
  }
}
