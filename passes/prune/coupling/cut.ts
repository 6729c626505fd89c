import { byteSize, dtypeBits } from '../../../src/ir/dtype.ts';
import { elementCount, type Tensor, tensorFromBytes } from '../../../src/ir/tensor.ts';
import { takeAlong } from '../../../src/kernels/take.ts';
import type { Axis } from './book.ts';
import type { Kept } from './site.ts';

/** A copy with the positions that stay. */
export function cutTensor(tensor: Tensor, axes: readonly Axis[], kept: Kept): Tensor {
  let shape = [...tensor.shape];
  let bytes = tensor.bytes();
  const size = byteSize(tensor.dtype, 1);
  for (const axis of axes) {
    const left = kept(axis);
    if (!left) continue;
    const inner = elementCount(shape.slice(axis.index + 1)) * size;
    bytes = takeAlong(bytes, axis.extent ?? 0, inner, left);
    shape = shape.map((dim, at) => (at === axis.index ? left.length : dim));
  }
  return tensorFromBytes(tensor.dtype, shape, bytes);
}

/** Weights of less than a byte an element cannot be cut apart. */
export const canCut = (tensor: Tensor): boolean => dtypeBits(tensor.dtype) >= 8;
