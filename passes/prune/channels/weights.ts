import { constantOf } from '../../../src/ir/constant.ts';
import { elementCount, type Tensor, toNumbers, typedArray } from '../../../src/ir/tensor.ts';
import { f16ToF32 } from '../../../src/kernels/f16.ts';
import type { Axis } from '../coupling/book.ts';

/** A constant and the axis of it that lies along an axis of a layer. */
export interface WeightAxis {
  readonly tensor: Tensor;
  readonly index: number;
}

/** The constant behind an axis, through a Transpose, Cast or Identity; undefined where weights are computed otherwise. */
export function weightOf({ slot, index }: Axis): WeightAxis | undefined {
  const own = constantOf(slot.value);
  if (own) return { tensor: own, index };
  const node = slot.value?.producer;
  const source = constantOf(node?.input(0));
  if (!node || !source) return undefined;
  if (node.is('Cast') || node.is('Identity')) return { tensor: source, index };
  if (!node.is('Transpose')) return undefined;
  const perm = node.ints('perm') ?? source.shape.map((_, at) => source.shape.length - 1 - at);
  return { tensor: source, index: perm[index] ?? index };
}

/** Float data of any width as numbers. */
export function floatsOf(tensor: Tensor): ArrayLike<number> {
  if (tensor.dtype === 'float32') return typedArray(tensor, 'float32');
  if (tensor.dtype === 'float16') return f16ToF32(typedArray(tensor, 'float16'));
  return toNumbers(tensor) ?? [];
}

/** Σ f(w) of each position along the axis. */
export function sumAlong({ tensor, index }: WeightAxis, f: (w: number) => number): Float64Array {
  const data = floatsOf(tensor);
  const extent = tensor.shape[index] ?? 1;
  const inner = elementCount(tensor.shape.slice(index + 1));
  const sums = new Float64Array(extent);
  let at = 0;
  while (at < data.length) {
    for (let p = 0; p < extent; p++) {
      let sum = 0;
      for (const end = at + inner; at < end; at++) sum += f(data[at] as number);
      sums[p] = (sums[p] as number) + sum;
    }
    if (inner === 0) break;
  }
  return sums;
}

/** The slices along the axis as rows [extent, elements of one slice]. */
export function rowsAlong({ tensor, index }: WeightAxis): { rows: Float32Array; length: number } {
  const data = floatsOf(tensor);
  const extent = tensor.shape[index] ?? 1;
  const inner = elementCount(tensor.shape.slice(index + 1));
  const outer = elementCount(tensor.shape.slice(0, index));
  const length = outer * inner;
  const rows = new Float32Array(extent * length);
  for (let o = 0; o < outer; o++)
    for (let p = 0; p < extent; p++)
      for (let i = 0; i < inner; i++) rows[p * length + o * inner + i] = data[(o * extent + p) * inner + i] as number;
  return { rows, length };
}
