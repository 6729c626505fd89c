import { elementCount } from '../../src/ir/tensor.ts';
import { stridesOf } from '../../src/kernels/walk.ts';

/** perm[i] is the plain axis that stands at place i in channels-last order. */
export function lastPerm(rank: number): number[] {
  return [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1];
}

export function permuted<T>(list: readonly T[], perm: readonly number[]): T[] {
  return perm.map((axis) => list[axis] as T);
}

export function inverse(perm: readonly number[]): number[] {
  return perm.map((_, axis) => perm.indexOf(axis));
}

/** Place in channels-last memory of each element of the plain order. */
export function memoryOrder(shape: readonly number[]): Int32Array {
  const perm = lastPerm(shape.length);
  const to = stridesOf(permuted(shape, perm));
  const strides = inverse(perm).map((place) => to[place] ?? 0);
  const plain = stridesOf(shape);
  return Int32Array.from({ length: elementCount(shape) }, (_, at) =>
    shape.reduce((sum, dim, axis) => sum + (Math.floor(at / (plain[axis] ?? 1)) % dim) * (strides[axis] ?? 0), 0),
  );
}
