import { toHalf } from '../kernels/f16.ts';
import { elementsOf } from './compare.ts';
import { packStrings } from './golden.ts';
import type { LoadedCase, LoadedTensor } from './replay.ts';

type Typed = Pick<LoadedTensor, 'dtype' | 'bytes'>;

/** Requests as text grow with their numbers; larger ones are replayed as binary only. */
const maxJsonElements = 2_000_000;

/** Whether JSON carries every element exactly, and the text stays of a reasonable size. */
export function fitsJson({ dtype, bytes }: Typed): boolean {
  const elements = elementsOf(dtype, bytes);
  if (!elements || elements.length > maxJsonElements) return false;
  for (let i = 0; i < elements.length; i++) {
    const value = elements[i];
    if (
      typeof value === 'bigint'
        ? !Number.isSafeInteger(Number(value))
        : typeof value === 'number' && !Number.isFinite(value)
    ) {
      return false;
    }
  }
  return true;
}

/** The cases that JSON carries; where some are left out, a note says so. */
export function carriedByJson(cases: readonly LoadedCase[], notes: string[]): LoadedCase[] {
  const chosen = cases.filter(({ inputs, outputs }) => [...inputs, ...outputs].every(fitsJson));
  const left = cases.length - chosen.length;
  if (left > 0)
    notes.push(
      `${left} of ${cases.length} golden cases were not replayed: they hold NaN, infinities, whole numbers beyond 2^53 or too many elements for JSON, which is what this bundle takes.`,
    );
  return chosen;
}

/** Elements as JSON has them, flat. */
export function jsonData({ dtype, bytes }: Typed): unknown[] {
  const elements: ArrayLike<unknown> = elementsOf(dtype, bytes) ?? [];
  return Array.from(elements, (value) => {
    if (dtype === 'bool') return value !== 0;
    return typeof value === 'bigint' ? Number(value) : value;
  });
}

/** JSON has `null` for NaN, which is no 0. */
function numberOf(value: unknown): number {
  if (typeof value === 'number' || typeof value === 'boolean') return Number(value);
  throw new RangeError(`${JSON.stringify(value) ?? 'nothing'} is no number`);
}

/**
 * Bytes of a flat JSON list, for the one comparison that all ways share.
 * @throws RangeError where a value is none of that type
 */
export function bytesOfNumbers(dtype: string, data: readonly unknown[]): Uint8Array {
  if (dtype === 'string') return packStrings(data.map(String));
  const numbers = data.map(numberOf);
  const view = (store: { readonly buffer: ArrayBufferLike }): Uint8Array => new Uint8Array(store.buffer as ArrayBuffer);
  switch (dtype) {
    case 'float32':
      return view(Float32Array.from(numbers));
    case 'float64':
      return view(Float64Array.from(numbers));
    case 'float16':
      return view(Uint16Array.from(numbers, toHalf));
    case 'int8':
      return view(Int8Array.from(numbers));
    case 'int16':
      return view(Int16Array.from(numbers));
    case 'int32':
      return view(Int32Array.from(numbers));
    case 'int64':
      return view(BigInt64Array.from(numbers, BigInt));
    case 'uint16':
      return view(Uint16Array.from(numbers));
    case 'uint32':
      return view(Uint32Array.from(numbers));
    case 'uint64':
      return view(BigUint64Array.from(numbers, BigInt));
    default:
      return Uint8Array.from(numbers);
  }
}
