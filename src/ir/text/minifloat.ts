import type { DType } from '../dtype.ts';

/** Layout of a small binary float. `finite`: which special values the format has. */
interface Format {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  readonly bias: number;
  /** ieee: inf and NaN at the top exponent · fn: only the all-ones code is NaN · fnuz: only the negative zero is NaN · none: neither. */
  readonly special: 'ieee' | 'fn' | 'fnuz' | 'none';
}

/** IEEE 754 binary16, bfloat16, and the 8- and 4-bit floats of ONNX (docs: "Float stored in 8 bits", OCP MX for float4e2m1). */
const formats: Partial<Record<DType, Format>> = {
  float16: { exponentBits: 5, mantissaBits: 10, bias: 15, special: 'ieee' },
  bfloat16: { exponentBits: 8, mantissaBits: 7, bias: 127, special: 'ieee' },
  float8e4m3fn: { exponentBits: 4, mantissaBits: 3, bias: 7, special: 'fn' },
  float8e4m3fnuz: { exponentBits: 4, mantissaBits: 3, bias: 8, special: 'fnuz' },
  float8e5m2: { exponentBits: 5, mantissaBits: 2, bias: 15, special: 'ieee' },
  float8e5m2fnuz: { exponentBits: 5, mantissaBits: 2, bias: 16, special: 'fnuz' },
  float4e2m1: { exponentBits: 2, mantissaBits: 1, bias: 1, special: 'none' },
};

/** The number that a bit pattern of a small float type stands for; undefined when `dtype` is none. */
export function minifloatToNumber(dtype: DType, bits: number): number | undefined {
  if (dtype === 'float8e8m0') return bits === 255 ? Number.NaN : 2 ** (bits - 127);
  const format = formats[dtype];
  if (!format) return undefined;
  const { exponentBits, mantissaBits, bias, special } = format;
  const negative = bits >> (exponentBits + mantissaBits) === 1;
  const top = 2 ** exponentBits - 1;
  const exponent = (bits >> mantissaBits) & top;
  const mantissa = bits & (2 ** mantissaBits - 1);
  if (special === 'ieee' && exponent === top) {
    if (mantissa !== 0) return Number.NaN;
    return negative ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  if (special === 'fn' && exponent === top && mantissa === 2 ** mantissaBits - 1) return Number.NaN;
  if (special === 'fnuz' && negative && exponent === 0 && mantissa === 0) return Number.NaN;
  const magnitude =
    exponent === 0
      ? mantissa * 2 ** (1 - bias - mantissaBits)
      : (2 ** mantissaBits + mantissa) * 2 ** (exponent - bias - mantissaBits);
  return negative ? -magnitude : magnitude;
}

/**
 * The bit pattern nearest to `value` (ties to even); beyond the range: infinity where the format has one, else the
 * largest finite value. undefined when `dtype` is no small float type.
 */
export function numberToMinifloat(dtype: DType, value: number): number | undefined {
  if (dtype === 'float8e8m0') {
    if (!(value > 0)) return 255;
    return Math.min(254, Math.max(0, Math.round(Math.log2(value)) + 127));
  }
  const format = formats[dtype];
  if (!format) return undefined;
  const { exponentBits, mantissaBits, bias, special } = format;
  const top = 2 ** exponentBits - 1;
  const full = 2 ** mantissaBits;
  const sign = value < 0 || Object.is(value, -0) ? 2 ** (exponentBits + mantissaBits) : 0;
  const infinity = top * full;
  if (Number.isNaN(value)) {
    if (special === 'ieee') return infinity + full / 2;
    if (special === 'fnuz') return 2 ** (exponentBits + mantissaBits);
    return special === 'fn' ? infinity + full - 1 : 0;
  }
  const largest = { ieee: infinity - 1, fn: infinity + full - 2, fnuz: infinity + full - 1, none: infinity + full - 1 }[
    special
  ];
  const magnitude = Math.abs(value);
  const overflow = sign + (special === 'ieee' ? infinity : largest);
  if (magnitude === Number.POSITIVE_INFINITY) return overflow;
  let exponent = Math.max(1 - bias, Math.floor(Math.log2(magnitude || Number.MIN_VALUE)));
  if (magnitude < 2 ** exponent && exponent > 1 - bias) exponent--;
  const steps = roundHalfEven(magnitude / 2 ** (exponent - mantissaBits));
  // Codes are ordered like magnitudes, so a carry out of the mantissa lands on the next exponent by itself.
  const code = steps < full ? steps : (exponent + bias) * full + (steps - full);
  if (code > largest) return overflow;
  return special === 'fnuz' && code === 0 ? 0 : sign + code;
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
