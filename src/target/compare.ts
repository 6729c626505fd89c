import { bf16ToF32 } from '../kernels/bf16.ts';
import { f16ToF32 } from '../kernels/f16.ts';
import { unpackStrings } from './golden.ts';

export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

export interface Comparison {
  readonly ok: boolean;
  /** Largest |got − expected| over elements that are finite on both sides; 0 where there are none. */
  readonly maxAbs: number;
  /** Where the first element lies outside the tolerance, in words. */
  readonly why: string | undefined;
}

type Elements = ArrayLike<number> | ArrayLike<bigint> | readonly string[];

/** Elements of a golden tensor's bytes (little-endian), or undefined for a type that has no golden form. */
export function elementsOf(dtype: string, bytes: Uint8Array): Elements | undefined {
  const { buffer } = new Uint8Array(bytes);
  switch (dtype) {
    case 'float32':
      return new Float32Array(buffer);
    case 'float64':
      return new Float64Array(buffer);
    case 'float16':
      return f16ToF32(new Uint16Array(buffer));
    case 'bfloat16':
      return bf16ToF32(new Uint16Array(buffer));
    case 'int8':
      return new Int8Array(buffer);
    case 'int16':
      return new Int16Array(buffer);
    case 'int32':
      return new Int32Array(buffer);
    case 'int64':
      return new BigInt64Array(buffer);
    case 'uint8':
    case 'bool':
      return new Uint8Array(buffer);
    case 'uint16':
      return new Uint16Array(buffer);
    case 'uint32':
      return new Uint32Array(buffer);
    case 'uint64':
      return new BigUint64Array(buffer);
    case 'string':
      return unpackStrings(bytes);
    default:
      return undefined;
  }
}

/** Largest finite magnitude; 0 for strings. */
function scaleOf(elements: Elements): number {
  let scale = 0;
  for (let i = 0; i < elements.length; i++) {
    const magnitude = typeof elements[i] === 'string' ? 0 : Math.abs(Number(elements[i]));
    if (Number.isFinite(magnitude) && magnitude > scale) scale = magnitude;
  }
  return scale;
}

/**
 * Whether |got − expected| ≤ atol + rtol · max|expected| holds for every element; NaN and infinities must be met, strings
 * and truth values be equal. The scale is the tensor's: what runtimes add up in another order differs by a share of the
 * large terms, also where these cancel to nearly nothing.
 */
export function compareElements(got: Elements, expected: Elements, { rtol, atol }: Tolerance): Comparison {
  if (got.length !== expected.length) {
    return { ok: false, maxAbs: 0, why: `has ${got.length} elements instead of ${expected.length}` };
  }
  const allowed = atol + rtol * scaleOf(expected);
  let maxAbs = 0;
  let first: number | undefined;
  for (let i = 0; i < expected.length; i++) {
    const a = got[i];
    const b = expected[i];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    if (typeof a === 'string' || typeof b === 'string') {
      first ??= i;
      continue;
    }
    // Differences of 64-bit whole numbers are taken before they lose digits.
    const difference =
      typeof a === 'bigint' && typeof b === 'bigint' ? Math.abs(Number(a - b)) : Math.abs(Number(a) - Number(b));
    if (Number.isFinite(difference)) maxAbs = Math.max(maxAbs, difference);
    if (first === undefined && !(difference <= allowed && Number.isFinite(difference))) first = i;
  }
  const why =
    first === undefined
      ? undefined
      : `has ${String(got[first])} at element ${first} instead of ${String(expected[first])}`;
  return { ok: first === undefined, maxAbs, why };
}
