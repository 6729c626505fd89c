import { f16ToF32, f32ToF16 } from './f16.ts';
import { type Grid, type GridSearch, gridSearch } from './grid-search.ts';
import type { CodeBits } from './pack.ts';
import { roundHalfEven } from './round.ts';

/** Bits of a code. Codes of 3 bits are stored in 4: no operator has less, but what is downloaded compresses. */
export type QuantBits = CodeBits | 3;

export interface BlockFormat {
  readonly bits: QuantBits;
  /** Weights along K that share a scale. */
  readonly block: number;
  /** Without zero points: the code 2^(bits−1) stands for zero. */
  readonly symmetric: boolean;
  /** Zero points are real numbers of the scale's type, not codes; not with `symmetric`. */
  readonly floatZeros?: boolean;
  /** Type in which the scales are stored; the codes are chosen for the stored scale. */
  readonly scaleType: 'float32' | 'float16';
}

/** Bits that a code takes in memory. */
export function storedBits(bits: QuantBits): CodeBits {
  return bits === 3 ? 4 : bits;
}

/** What is added to a code when it is stored: without zero points the middle of the codes must be that of the stored type. */
export function storedOffset({ bits, symmetric }: Pick<BlockFormat, 'bits' | 'symmetric'>): number {
  return symmetric ? 2 ** (storedBits(bits) - 1) - 2 ** (bits - 1) : 0;
}

/**
 * Chooses the grid of one block.
 * @param importance of each weight: the factor of its squared error; undefined where all count alike.
 */
export type BlockFit = (x: Float64Array, importance: Float64Array | undefined) => Grid;

/** The code nearest to `x`. */
export function codeOf(x: number, { scale, zero }: Grid, levels: number): number {
  // Adding whole numbers after rounding keeps ties where they would be without a zero point.
  const whole = Math.floor(zero);
  const q = scale === 0 ? roundHalfEven(zero) : roundHalfEven(x / scale + (zero - whole)) + whole;
  return q < 0 ? 0 : q >= levels ? levels - 1 : q;
}

/** How scales and real zero points are rounded when stored. */
export function storing(format: BlockFormat): (x: number) => number {
  return format.scaleType === 'float16' ? roundToHalf : Math.fround;
}

const one = new Float32Array(1);
function roundToHalf(x: number): number {
  one[0] = x;
  return f16ToF32(f32ToF16(one))[0] as number;
}

/** Smallest and largest, zero included. */
function rangeOf(x: Float64Array): { low: number; high: number } {
  let low = 0;
  let high = 0;
  for (let i = 0; i < x.length; i++) {
    const value = x[i] as number;
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  return { low, high };
}

/** The grid over a range that holds zero. */
function gridOver(low: number, high: number, format: BlockFormat, store: (x: number) => number): Grid {
  const levels = 2 ** format.bits;
  if (format.symmetric) {
    const extreme = -low > high ? low : high;
    return { scale: store(-extreme / (levels / 2)), zero: levels / 2 };
  }
  const scale = store((high - low) / (levels - 1));
  return { scale, zero: scale === 0 ? 0 : Math.min(levels - 1, Math.max(0, roundHalfEven(-low / scale))) };
}

/**
 * Round to nearest over the whole range. Symmetric: the value of largest magnitude lands exactly on code 0, so the scale
 * may be negative (ONNX Runtime's rule; about 1 dB better than ±(2^(bits−1) − 1)). Asymmetric: the block's range,
 * widened to hold zero.
 */
export function rangeFit(format: BlockFormat): BlockFit {
  const store = storing(format);
  return (x) => {
    const { low, high } = rangeOf(x);
    return gridOver(low, high, format, store);
  };
}

/** Shares of the range that clip search tries: 1.00, 0.98 … 0.70. */
export const clipRatios: readonly number[] = Array.from({ length: 16 }, (_, i) => 1 - 0.02 * i);

/** The grids that clip search chooses from; the first is that of `rangeFit`. Symmetric ones with either sign of the scale. */
export function clipGrids(format: BlockFormat): (x: Float64Array) => readonly Grid[] {
  const store = storing(format);
  return (x) => {
    const { low, high } = rangeOf(x);
    const grids: Grid[] = [];
    for (const ratio of clipRatios) {
      const grid = gridOver(low * ratio, high * ratio, format, store);
      grids.push(grid);
      if (format.symmetric) grids.push({ scale: -grid.scale, zero: grid.zero });
    }
    return grids;
  };
}

/** The clipped grid with the smallest error. */
export function clipFit(format: BlockFormat): BlockFit {
  const levels = 2 ** format.bits;
  const gridsFor = clipGrids(format);
  const search = gridSearch();
  return (x, importance) => search.best(x, importance, gridsFor(x), levels);
}

/**
 * Search by weighted least squares, as llama.cpp's k-quants do: from 21 slopes around that of the range, codes are
 * rounded and the line through them refitted. A weight counts √(mean x²) + |x|, times its importance. The range holds
 * zero from the start and each candidate is judged with the zero point as it will be stored, so that blocks of one sign
 * do not collapse.
 */
export function kquantFit(format: BlockFormat): BlockFit {
  const levels = 2 ** format.bits;
  const store = storing(format);
  const search = gridSearch();
  const refit = format.symmetric ? refitSymmetric : refitAsymmetric;
  const scales = new Float64Array(format.symmetric ? 2 * slopes : slopes);
  let room = new Float64Array(format.block);
  return (x, importance) => {
    if (room.length < x.length) room = new Float64Array(x.length);
    const weights = x.length === room.length ? room : room.subarray(0, x.length);
    let squares = 0;
    for (let i = 0; i < x.length; i++) squares += (x[i] as number) ** 2;
    const mean = Math.sqrt(squares / x.length);
    for (let i = 0; i < x.length; i++) {
      weights[i] = (mean + Math.abs(x[i] as number)) * (importance ? (importance[i] as number) : 1);
    }
    const { low, high } = rangeOf(x);
    const first = gridOver(low, high, format, store);
    if (first.scale === 0) return first;
    const grids = [first];
    refit(grids, { x, weights, low, high, levels, scales, store, search });
    return search.best(x, weights, grids, levels);
  };
}

/** A block, and what its grids are chosen with. */
interface Refitting {
  readonly x: Float64Array;
  readonly weights: Float64Array;
  readonly low: number;
  readonly high: number;
  readonly levels: number;
  /** Room for the scales that are tried. */
  readonly scales: Float64Array;
  readonly store: (x: number) => number;
  readonly search: GridSearch;
}

/** Slopes that are tried: the range is divided into as many levels, less 2, and 0, 0.1 … 2 more. */
const slopes = 21;

/** For each slope, with either sign, the scale that fits its codes best. */
function refitSymmetric(grids: Grid[], { x, weights, low, high, levels, scales, store, search }: Refitting): void {
  const zero = levels / 2;
  const extreme = -low > high ? low : high;
  for (let n = 0; n < slopes; n++) {
    const scale = extreme / (zero - 1 + 0.1 * n);
    scales[2 * n] = -scale;
    scales[2 * n + 1] = scale;
  }
  const sums = search.lines(x, weights, scales, { from: 0, low: -zero, high: zero - 1 });
  for (let n = 0; n < scales.length; n++) {
    const [qq, qx] = [sums[3 * n + 1] as number, sums[3 * n + 2] as number];
    grids.push({ scale: store(qq > 0 ? qx / qq : (scales[n] as number)), zero });
  }
}

/** For each slope the line scale·code + min, min ≤ 0, that fits its codes best, as far as it can be stored. */
function refitAsymmetric(grids: Grid[], { x, weights, low, high, levels, scales, store, search }: Refitting): void {
  let [w, wx] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    w += weights[i] as number;
    wx += (weights[i] as number) * (x[i] as number);
  }
  for (let n = 0; n < slopes; n++) scales[n] = (high - low) / (levels - 2 + 0.1 * n);
  const sums = search.lines(x, weights, scales, { from: low, low: 0, high: levels - 1 });
  for (let n = 0; n < slopes; n++) {
    const [q, qq, qx] = [sums[3 * n] as number, sums[3 * n + 1] as number, sums[3 * n + 2] as number];
    let [scale, min] = [scales[n] as number, low];
    const determinant = w * qq - q * q;
    if (determinant > 1e-12 * w * qq) {
      min = (qq * wx - q * qx) / determinant;
      if (min <= 0) scale = (w * qx - wx * q) / determinant;
      else [scale, min] = [qq > 0 ? qx / qq : scale, 0];
    }
    const stored = store(scale);
    if (stored > 0) grids.push({ scale: stored, zero: clampZero(-min / stored, levels) });
  }
}

function clampZero(zero: number, levels: number): number {
  return Math.min(levels - 1, Math.max(0, roundHalfEven(zero)));
}

/**
 * Half-quadratic quantization: the scale spans the block's own range, and the real zero point is moved, 20 times at
 * most, to where the error is small but for some outliers: e = shrink(x − x̂), z = mean(q − (x − e)/s), with
 * shrink(t) = sign(t)·max(0, |t| − |t|^(p−1)/β), p = 0.7, β from 10 up by 1 %, in units of the scale. Without `floatZeros`
 * the zero point is rounded to a code in every round, so that the codes fit the zero point that is stored.
 */
export function hqqFit(format: BlockFormat): BlockFit {
  const levels = 2 ** format.bits;
  const store = storing(format);
  const range = rangeFit({ ...format, floatZeros: false });
  const search = gridSearch();
  return (x) => {
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (const value of x) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const plain = range(x, undefined);
    const scale = store((high - low) / (levels - 1));
    if (!(scale > 0)) return plain;
    const grids = [plain];
    const place = format.floatZeros ? store : (zero: number): number => clampZero(zero, levels);
    let zero = place(-low / scale);
    let beta = 10;
    let before = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 20; round++) {
      let [distance, sum] = [0, 0];
      for (let i = 0; i < x.length; i++) {
        const value = x[i] as number;
        const q = codeOf(value, { scale, zero }, levels);
        const error = value / scale - (q - zero);
        const size = Math.abs(error);
        distance += size;
        const kept = size === 0 ? 0 : Math.max(0, size - size ** -0.3 / beta);
        sum += q - (value / scale - Math.sign(error) * kept);
      }
      if (distance >= before) break;
      grids.push({ scale, zero });
      before = distance;
      zero = place(sum / x.length);
      beta *= 1.01;
    }
    // A far zero point is too coarse in half precision: the plain grid, which is always at hand, wins then.
    return search.best(x, undefined, grids, levels);
  };
}
