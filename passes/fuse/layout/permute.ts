import { byteSize } from '../../../src/ir/dtype.ts';
import { elementCount, type Tensor, tensorFromBytes } from '../../../src/ir/tensor.ts';

/** Constants above this many elements are not turned: they would be stored a second time, or hold up a quick pass. */
const largest = 1 << 22;

/**
 * A constant that broadcasts against values of rank `perm.length`, turned with them: extended by leading 1s first where it has
 * fewer dimensions. The same tensor where it has one element in every dimension; undefined where it is not to be turned.
 */
export function permuteOperand(tensor: Tensor, perm: readonly number[]): Tensor | undefined {
  const count = elementCount(tensor.shape);
  if (count === 1 && tensor.shape.length <= perm.length) return tensor;
  if (tensor.shape.length > perm.length || count > largest || tensor.dtype === 'string') return undefined;
  const size = byteSize(tensor.dtype, 2) / 2;
  if (!Number.isInteger(size) || byteSize(tensor.dtype, 1) !== size) return undefined;
  const from = [...Array.from({ length: perm.length - tensor.shape.length }, () => 1), ...tensor.shape];
  const shape = perm.map((axis) => from[axis] as number);
  const strides = from.map((_, axis) => elementCount(from.slice(axis + 1)));
  const steps = perm.map((axis) => strides[axis] as number);
  const source = tensor.bytes();
  const bytes = new Uint8Array(source.byteLength);
  const index = shape.map(() => 0);
  let at = 0;
  for (let to = 0; to < count; to++) {
    bytes.set(source.subarray(at * size, (at + 1) * size), to * size);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += steps[axis] as number;
      if (++(index[axis] as number) < (shape[axis] as number)) break;
      at -= (steps[axis] as number) * (shape[axis] as number);
      index[axis] = 0;
    }
  }
  // Leading 1s that it came without it goes without again: a vector behind a product is what other rules know as a bias.
  const leading = shape.findIndex((dim) => dim !== 1);
  const spare = Math.min(leading < 0 ? shape.length : leading, perm.length - tensor.shape.length);
  return tensorFromBytes(tensor.dtype, shape.slice(spare), bytes);
}
