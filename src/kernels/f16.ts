/**
 * IEEE 754 binary16 (half precision), as bit patterns in Uint16Array.
 */
import { halfVectors, worthVectors } from './f16-vector.ts';

export const F16_MIN = 2 ** -24;
/** Numbers whose magnitude rounds to infinity: half-way between 65504 and 65536, tie to even included. */
const F16_OVERFLOW_BITS = 0x477ff000;

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** Rounds the float32 given by its bits to a half, ties to even. NaN keeps its sign and stays quiet. */
function halfFromBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const abs = bits & 0x7fffffff;
  if (abs >= 0x38800000) {
    // Normal halves: move the exponent bias from 127 to 15, round the 13 bits that fall off; a carry into the
    // exponent is right, up to infinity.
    if (abs < 0x47800000) return sign | ((abs + 0xc8000fff + ((abs >>> 13) & 1)) >>> 13);
    return abs > 0x7f800000 ? sign | 0x7e00 : sign | 0x7c00;
  }
  const shift = 126 - (abs >>> 23);
  if (shift > 24) return sign; // at most 2⁻²⁶: below half of the smallest half
  const mantissa = (abs & 0x7fffff) | 0x800000;
  const quotient = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (quotient + (rest > half || (rest === half && (quotient & 1) === 1) ? 1 : 0));
}

/** One number as half bits, through float32. */
export function toHalf(value: number): number {
  scratch[0] = value;
  return halfFromBits(scratchBits[0] as number);
}

/** The value of half bits, exact. */
export function fromHalf(half: number): number {
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 0x1f) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * mantissa * F16_MIN;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/**
 * float32 → half, round to nearest, ties to even.
 * @param clamp finite numbers beyond ±65504 become ±65504 and non-zero numbers that would round to zero become
 *   ±2⁻²⁴, so that no weight turns into infinity or disappears; infinities and NaN stay.
 * @throws RangeError when `to` is shorter than `from`.
 */
export function f32ToF16(
  from: Float32Array,
  clamp = false,
  to: Uint16Array = new Uint16Array(from.length),
): Uint16Array {
  if (to.length < from.length) throw new RangeError(`${to.length} halves cannot hold ${from.length} numbers`);
  const bits = new Uint32Array(from.buffer, from.byteOffset, from.length);
  const done = bits.length < worthVectors ? 0 : (halfVectors()?.halve(bits, clamp, to) ?? 0);
  for (let i = done; i < bits.length; i++) {
    const b = bits[i] as number;
    const abs = b & 0x7fffffff;
    // The common case inline: a normal half that does not overflow.
    if (abs >= 0x38800000 && abs < F16_OVERFLOW_BITS) {
      to[i] = ((b >>> 16) & 0x8000) | ((abs + 0xc8000fff + ((abs >>> 13) & 1)) >>> 13);
      continue;
    }
    let half = halfFromBits(b);
    if (clamp) {
      if (abs < 0x7f800000 && (half & 0x7fff) === 0x7c00) half -= 1;
      else if (abs !== 0 && (half & 0x7fff) === 0) half |= 1;
    }
    to[i] = half;
  }
  return to;
}

let table: Float32Array | undefined;

/** half → float32, exact. */
export function f16ToF32(from: Uint16Array, to: Float32Array = new Float32Array(from.length)): Float32Array {
  if (to.length < from.length) throw new RangeError(`${to.length} numbers cannot hold ${from.length} halves`);
  table ??= Float32Array.from({ length: 0x10000 }, (_, half) => fromHalf(half));
  const values = table;
  for (let i = 0; i < from.length; i++) to[i] = values[from[i] as number] as number;
  return to;
}

export interface F16Fit {
  /** Finite numbers that round to infinity, on either side. */
  readonly overBelow: number;
  readonly overAbove: number;
  /** Non-zero numbers that round to zero. */
  readonly vanish: number;
  readonly nan: number;
  readonly infinite: number;
}

const nothing: F16Fit = { overBelow: 0, overAbove: 0, vanish: 0, nan: 0, infinite: 0 };

/** How the numbers fit into half precision, added to what was counted before. */
export function f16Fit(from: Float32Array, before: F16Fit = nothing): F16Fit {
  const bits = new Uint32Array(from.buffer, from.byteOffset, from.length);
  if (bits.length >= worthVectors && halfVectors()?.fits(bits)) return before;
  let { overBelow, overAbove, vanish, nan, infinite } = before;
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i] as number;
    const abs = b & 0x7fffffff;
    if (abs < F16_OVERFLOW_BITS) {
      if (abs <= 0x33000000 && abs !== 0) vanish++; // at most 2⁻²⁵: ties to zero
    } else if (abs < 0x7f800000) {
      if (b > 0x7fffffff) overBelow++;
      else overAbove++;
    } else if (abs === 0x7f800000) infinite++;
    else nan++;
  }
  return { overBelow, overAbove, vanish, nan, infinite };
}
