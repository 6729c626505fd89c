import { roundHalfEven } from './round.ts';

/**
 * Affine quantization as ONNX QuantizeLinear defines it: q = clamp(round_half_even(x / scale) + zeroPoint, min, max),
 * x̂ = (q − zeroPoint) · scale. Scales are float32 numbers.
 */
export interface Affine {
  readonly scale: number;
  readonly zeroPoint: number;
}

export interface IntRange {
  readonly min: number;
  readonly max: number;
}

/** Integer ranges as ONNX Runtime uses them; `reduced` is one bit less, for CPUs that add u8·s8 pairs in 16 bits. */
export const intRanges = {
  int8: { asymmetric: { min: -128, max: 127 }, symmetric: { min: -127, max: 127 }, reduced: { min: -64, max: 64 } },
  uint8: { asymmetric: { min: 0, max: 255 }, symmetric: { min: 0, max: 255 }, reduced: { min: 0, max: 127 } },
  int4: { asymmetric: { min: -8, max: 7 }, symmetric: { min: -7, max: 7 }, reduced: { min: -4, max: 4 } },
  uint4: { asymmetric: { min: 0, max: 15 }, symmetric: { min: 0, max: 15 }, reduced: { min: 0, max: 7 } },
  int16: {
    asymmetric: { min: -32768, max: 32767 },
    symmetric: { min: -32767, max: 32767 },
    reduced: { min: -16384, max: 16384 },
  },
  uint16: {
    asymmetric: { min: 0, max: 65535 },
    symmetric: { min: 0, max: 65535 },
    reduced: { min: 0, max: 32767 },
  },
} as const;

/**
 * Scale and zero point for the real range [low, high], which is widened to hold zero so that zero is exact.
 * Symmetric: the range becomes [−a, a] with the zero point in the middle of the integers (128 for uint8).
 * A range too narrow for a float32 scale gives scale 1: everything in it becomes zero.
 */
export function affineParams(low: number, high: number, range: IntRange, symmetric: boolean): Affine {
  let min = Math.min(0, low);
  let max = Math.max(0, high);
  if (symmetric) {
    max = Math.max(-min, max);
    min = -max;
  }
  const scale = Math.fround((max - min) / (range.max - range.min));
  const usable = scale > 0 && Number.isFinite(scale);
  if (symmetric) return { scale: usable ? scale : 1, zeroPoint: Math.round((range.min + range.max) / 2) };
  if (!usable) return { scale: 1, zeroPoint: Math.min(range.max, Math.max(range.min, 0)) };
  const zeroPoint = roundHalfEven(range.min - min / scale);
  return { scale, zeroPoint: Math.min(range.max, Math.max(range.min, zeroPoint)) };
}

/**
 * The largest code of an int32 bias: kernels add the products to it in int32, and wrap around where the sum does not fit. What is left holds 33,000
 * products of 8 bits, however large they are.
 */
export const largestBias = 2 ** 30;

/** Tensor data seen as [outer, channels, inner] in row-major order: any axis of any shape. */
export interface AxisView {
  readonly outer: number;
  readonly channels: number;
  readonly inner: number;
}

/** The view in which `axis` (0 … rank − 1) is the channel axis. */
export function axisView(shape: readonly number[], axis: number): AxisView {
  const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
  return { outer: product(shape.slice(0, axis)), channels: shape[axis] ?? 1, inner: product(shape.slice(axis + 1)) };
}

/** Smallest and largest value of each channel, of finite numbers (see `allFinite`). */
export function channelRanges(data: Float32Array, view: AxisView): { low: Float32Array; high: Float32Array } {
  const { outer, channels, inner } = view;
  const low = new Float32Array(channels).fill(Number.POSITIVE_INFINITY);
  const high = new Float32Array(channels).fill(Number.NEGATIVE_INFINITY);
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      let min = low[c] as number;
      let max = high[c] as number;
      for (const end = at + inner; at < end; at++) {
        const x = data[at] as number;
        if (x < min) min = x;
        if (x > max) max = x;
      }
      low[c] = min;
      high[c] = max;
    }
  }
  return { low, high };
}

/** False when any element is NaN or infinite. */
export function allFinite(data: Float32Array): boolean {
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  for (let i = 0; i < bits.length; i++) if (((bits[i] as number) & 0x7f800000) === 0x7f800000) return false;
  return true;
}

/**
 * Quantizes to 8-bit codes with one scale and zero point per channel.
 * @returns codes in the layout of `data`; int8 codes are stored as their two's complement byte.
 */
export function quantizeChannels(
  data: Float32Array,
  view: AxisView,
  params: { readonly scales: Float32Array; readonly zeroPoints: ArrayLike<number> },
  range: IntRange,
): Uint8Array {
  const { outer, channels, inner } = view;
  const codes = new Uint8Array(data.length);
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      const scale = params.scales[c] as number;
      const zero = params.zeroPoints[c] as number;
      for (const end = at + inner; at < end; at++) {
        const q = roundHalfEven(Math.fround((data[at] as number) / scale)) + zero;
        codes[at] = q < range.min ? range.min : q > range.max ? range.max : q;
      }
    }
  }
  return codes;
}

/** [rows, columns] → [columns, rows], in tiles that fit the cache. */
export function transpose<T extends Uint8Array | Float32Array | Uint16Array>(
  data: T,
  rows: number,
  columns: number,
): T {
  const result = new (data.constructor as new (length: number) => T)(data.length);
  const tile = 32;
  for (let r0 = 0; r0 < rows; r0 += tile) {
    const r1 = Math.min(rows, r0 + tile);
    for (let c0 = 0; c0 < columns; c0 += tile) {
      const c1 = Math.min(columns, c0 + tile);
      for (let c = c0; c < c1; c++)
        for (let r = r0; r < r1; r++) result[c * rows + r] = data[r * columns + c] as number;
    }
  }
  return result;
}
