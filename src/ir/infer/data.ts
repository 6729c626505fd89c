import { bf16ToF32, f32ToBf16 } from '../../kernels/bf16.ts';
import { fromHalf, toHalf } from '../../kernels/f16.ts';
import { constantOf } from '../constant.ts';
import { type DType, dtypeBits, dtypeKind } from '../dtype.ts';
import type { Value } from '../graph.ts';
import { elementCount, toNumbers } from '../tensor.ts';
import type { Dim } from '../types.ts';

/**
 * What is known of the elements of a small tensor: numbers, symbolic integers, or undefined where an element is not
 * known. Shape arithmetic travels through a graph in this form.
 */
export interface Data {
  readonly shape: readonly number[];
  readonly items: readonly Dim[];
}

/** Larger tensors are no shapes. */
export const maxItems = 1024;

export function vector(items: readonly Dim[]): Data {
  return { shape: [items.length], items };
}
export function scalar(item: Dim): Data {
  return { shape: [], items: [item] };
}

/** The elements of a small constant; undefined for large ones (whose bytes are not touched) and other values. */
export function constantData(value: Value): Data | undefined {
  const tensor = constantOf(value);
  if (!tensor || elementCount(tensor.shape) > maxItems) return undefined;
  const items = toNumbers(tensor);
  return items && { shape: tensor.shape, items };
}

/** A 64-bit integer that a number cannot say: constants stand at this limit for all that lies beyond. */
export function isSaturated(item: Dim, dtype: DType | undefined): boolean {
  return typeof item === 'number' && Math.abs(item) >= Number.MAX_SAFE_INTEGER && dtype !== undefined && isWide(dtype);
}

const isWide = (dtype: DType): boolean => dtype === 'int64' || dtype === 'uint64';

/**
 * What an element of this type can be: a float32 is rounded to one; what another type would wrap, round or cut off is
 * unknown, since runtimes differ in that. Symbols are left as they are.
 */
export function representable(item: Dim, dtype: DType): Dim {
  if (typeof item !== 'number') return item;
  if (dtype === 'float32') return Math.fround(item);
  if (dtype === 'float64') return item;
  const holds = dtypeKind(dtype) === 'float' ? asHalf(item, dtype) === item : isInteger(item, dtype);
  return holds ? item : undefined;
}

function asHalf(item: number, dtype: DType): number | undefined {
  if (dtype === 'float16') return fromHalf(toHalf(item));
  return dtype === 'bfloat16' ? bf16ToF32(f32ToBf16(Float32Array.of(item)))[0] : undefined;
}

function isInteger(item: number, dtype: DType): boolean {
  if (dtype === 'bool') return item === 0 || item === 1;
  const kind = dtypeKind(dtype);
  if (!Number.isSafeInteger(item) || (kind !== 'int' && kind !== 'uint')) return false;
  const bits = dtypeBits(dtype);
  return kind === 'int' ? item >= -(2 ** (bits - 1)) && item < 2 ** (bits - 1) : item >= 0 && item < 2 ** bits;
}

/** All elements as numbers, or undefined. */
export function numbersOf(data: Data | undefined): number[] | undefined {
  if (!data) return undefined;
  const numbers: number[] = [];
  for (const item of data.items) {
    if (typeof item !== 'number') return undefined;
    numbers.push(item);
  }
  return numbers;
}

/** Applies `f` to each element. */
export function mapData(data: Data | undefined, f: (item: Dim) => Dim): Data | undefined {
  return data && { shape: data.shape, items: data.items.map(f) };
}

/** Applies `f` to the elements of both under NumPy broadcasting. */
export function zipData(a: Data | undefined, b: Data | undefined, f: (x: Dim, y: Dim) => Dim): Data | undefined {
  return zipAll([a, b], ([x, y]) => f(x, y));
}

/** Applies `f` to the elements of all under NumPy broadcasting; undefined when one is not known or they do not fit. */
export function zipAll(inputs: readonly (Data | undefined)[], f: (items: readonly Dim[]) => Dim): Data | undefined {
  const all = inputs.filter((data) => data !== undefined);
  if (all.length < inputs.length) return undefined;
  const rank = Math.max(0, ...all.map((data) => data.shape.length));
  const extent = (data: Data, axis: number): number => data.shape[axis - rank + data.shape.length] ?? 1;
  const shape: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const sizes = new Set(all.map((data) => extent(data, axis)));
    sizes.delete(1);
    if (sizes.size > 1) return undefined;
    shape.push([...sizes][0] ?? 1);
  }
  const count = elementCount(shape);
  if (count > maxItems) return undefined;
  const at = shape.map(() => 0);
  const pick = (data: Data): Dim => {
    let index = 0;
    for (let axis = 0; axis < rank; axis++) {
      const size = extent(data, axis);
      index = index * size + (size === 1 ? 0 : (at[axis] as number));
    }
    return data.items[index];
  };
  const items: Dim[] = [];
  for (let done = 0; done < count; done++) {
    items.push(f(all.map(pick)));
    for (let axis = rank - 1; axis >= 0; axis--) {
      at[axis] = (at[axis] as number) + 1;
      if ((at[axis] as number) < (shape[axis] as number)) break;
      at[axis] = 0;
    }
  }
  return { shape, items };
}

/** Elements at the given positions of each axis, as slices, gathers and transposes pick them. */
export function pickData(data: Data, positions: readonly (readonly number[])[]): Data | undefined {
  const shape = positions.map((list) => list.length);
  const count = elementCount(shape);
  if (count > maxItems || positions.length !== data.shape.length) return undefined;
  const items: Dim[] = [];
  const visit = (axis: number, base: number): void => {
    const list = positions[axis];
    if (!list) {
      items.push(data.items[base]);
      return;
    }
    for (const at of list) visit(axis + 1, base * (data.shape[axis] as number) + at);
  };
  visit(0, 0);
  return { shape, items };
}

export function transposeData(data: Data, perm: readonly number[]): Data | undefined {
  if (perm.length !== data.shape.length) return undefined;
  const strides = data.shape.map((_, axis) => elementCount(data.shape.slice(axis + 1)));
  const shape = perm.map((axis) => data.shape[axis] as number);
  const items: Dim[] = [];
  const visit = (axis: number, offset: number): void => {
    const from = perm[axis];
    if (from === undefined) {
      items.push(data.items[offset]);
      return;
    }
    for (let at = 0; at < (shape[axis] as number); at++) visit(axis + 1, offset + at * (strides[from] as number));
  };
  visit(0, 0);
  return { shape, items };
}
