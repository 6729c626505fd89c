import { f16ToF32, f32ToF16 } from './f16.ts';
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

/** What a block's codes stand for: x̂ = (code − zero) · scale, both as they are stored. A scale of 0 stands for zeros. */
export interface Grid {
  readonly scale: number;
  readonly zero: number;
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

/**
 * Σ importance·(x − x̂)². The codes are looked for with the inverse of the scale, which may differ from `codeOf` where a weight
 * lies between two.
 * @param limit the sum need not be exact above this
 */
export function gridError(
  x: Float64Array,
  importance: Float64Array | undefined,
  { scale, zero }: Grid,
  levels: number,
  limit = Number.POSITIVE_INFINITY,
): number {
  const inverse = scale === 0 ? 0 : 1 / scale;
  const whole = Math.floor(zero);
  const part = zero - whole;
  const [low, high] = [-whole, levels - 1 - whole];
  const { length } = x;
  let sum = 0;
  for (let start = 0; start < length && sum <= limit; start += 16) {
    const end = start + 16 < length ? start + 16 : length;
    for (let i = start; i < end; i++) {
      const value = x[i] as number;
      let q = roundHalfEven(value * inverse + part);
      q = q < low ? low : q > high ? high : q;
      const error = value - (q - part) * scale;
      sum += (importance === undefined ? 1 : (importance[i] as number)) * error * error;
    }
  }
  return sum;
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
    if (value < low) low = value;
    else if (value > high) high = value;
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
  return (x, importance) => bestGrid(gridsFor(x), (grid, limit) => gridError(x, importance, grid, levels, limit));
}

/**
 * The first of the grids with the smallest cost.
 * @param cost may be any number above `limit` where it is above
 */
function bestGrid(grids: readonly Grid[], cost: (grid: Grid, limit: number) => number): Grid {
  let best = grids[0] as Grid;
  let lowest = Number.POSITIVE_INFINITY;
  for (const grid of grids) {
    const value = cost(grid, lowest);
    if (value < lowest) {
      lowest = value;
      best = grid;
    }
  }
  return best;
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
  const range = rangeFit(format);
  return (x, importance) => {
    const weights = new Float64Array(x.length);
    let squares = 0;
    for (let i = 0; i < x.length; i++) squares += (x[i] as number) ** 2;
    const mean = Math.sqrt(squares / x.length);
    for (let i = 0; i < x.length; i++) {
      weights[i] = (mean + Math.abs(x[i] as number)) * (importance ? (importance[i] as number) : 1);
    }
    const { low, high } = rangeOf(x);
    const grids = [range(x, undefined)];
    if (grids[0]?.scale === 0) return grids[0];
    for (let step = 0; step <= 20; step++) {
      if (format.symmetric) {
        const extreme = -low > high ? low : high;
        for (const sign of [-1, 1]) {
          const scale = (sign * extreme) / (levels / 2 - 1 + 0.1 * step);
          grids.push(refitSymmetric(x, weights, { scale, zero: levels / 2 }, levels, store));
        }
      } else {
        const scale = (high - low) / (levels - 2 + 0.1 * step);
        const line = refitLine(x, weights, scale, low, levels);
        const stored = store(line.scale);
        if (stored > 0) grids.push({ scale: stored, zero: clampZero(-line.min / stored, levels) });
      }
    }
    return bestGrid(grids, (grid, limit) => gridError(x, weights, grid, levels, limit));
  };
}

function clampZero(zero: number, levels: number): number {
  return Math.min(levels - 1, Math.max(0, roundHalfEven(zero)));
}

/** The scale that fits the codes of `grid` best. */
function refitSymmetric(
  x: Float64Array,
  weights: Float64Array,
  grid: Grid,
  levels: number,
  store: (x: number) => number,
): Grid {
  let [xq, qq] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    const value = x[i] as number;
    const q = codeOf(value, grid, levels) - grid.zero;
    xq += (weights[i] as number) * value * q;
    qq += (weights[i] as number) * q * q;
  }
  return { scale: store(qq > 0 ? xq / qq : grid.scale), zero: grid.zero };
}

/** The line scale·code + min, min ≤ 0, that fits the codes of a first line best. */
function refitLine(
  x: Float64Array,
  weights: Float64Array,
  scale: number,
  low: number,
  levels: number,
): { scale: number; min: number } {
  let [sw, sq, sqq, sx, sxq] = [0, 0, 0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const value = x[i] as number;
    const weight = weights[i] as number;
    const q = Math.min(levels - 1, Math.max(0, roundHalfEven((value - low) / scale)));
    sw += weight;
    sq += weight * q;
    sqq += weight * q * q;
    sx += weight * value;
    sxq += weight * value * q;
  }
  const determinant = sw * sqq - sq * sq;
  if (!(determinant > 1e-12 * sw * sqq)) return { scale, min: low };
  const slope = (sw * sxq - sx * sq) / determinant;
  const min = (sqq * sx - sq * sxq) / determinant;
  return min > 0 ? { scale: sqq > 0 ? sxq / sqq : scale, min: 0 } : { scale: slope, min };
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
    return bestGrid(grids, (grid, limit) => gridError(x, undefined, grid, levels, limit));
  };
}
