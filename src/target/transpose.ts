import { UserError } from '../errors.ts';
import { stridesOf, walk } from '../kernels/walk.ts';

/** Position of each axis of the result in the source: [0, 2, 3, 1] makes NHWC of NCHW. */
export type Axes = readonly number[];

interface Packed {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** The tensor with its axes reordered; itself without `axes`. @throws UserError where the axes do not fit its rank. */
export function forward<T extends Packed>(tensor: T, axes: Axes | undefined): T {
  if (!axes) return tensor;
  const { shape, bytes } = tensor;
  const valid = axes.length === shape.length && shape.every((_, axis) => axes.includes(axis));
  if (!valid) {
    throw new UserError('bundle-axes', `Axes [${axes.join(', ')}] do not fit a tensor of rank ${shape.length}.`);
  }
  const count = shape.reduce((product, dim) => product * dim, 1);
  const width = count === 0 ? 1 : bytes.length / count;
  const strides = stridesOf(shape);
  const to = axes.map((axis) => shape[axis] ?? 0);
  const order = walk(
    to,
    axes.map((axis) => strides[axis] ?? 0),
  );
  const out = new Uint8Array(bytes.length);
  for (const [at, from] of order.entries()) out.set(bytes.subarray(from * width, (from + 1) * width), at * width);
  return { ...tensor, shape: to, bytes: out };
}

/** Undoes `forward`. */
export function backward<T extends Packed>(tensor: T, axes: Axes | undefined): T {
  return forward(
    tensor,
    axes?.map((_, axis) => axes.indexOf(axis)),
  );
}
