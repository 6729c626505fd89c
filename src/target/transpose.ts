import { UserError } from '../errors.ts';

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
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, dim) => product * dim, 1));
  const to = axes.map((axis) => shape[axis] ?? 0);
  const steps = axes.map((axis) => strides[axis] ?? 0);
  const out = new Uint8Array(bytes.length);
  const index = to.map(() => 0);
  let from = 0;
  for (let at = 0; at < count; at++) {
    for (let byte = 0; byte < width; byte++) out[at * width + byte] = bytes[from * width + byte] ?? 0;
    for (let axis = to.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] ?? 0) + 1;
      from += steps[axis] ?? 0;
      if ((index[axis] ?? 0) < (to[axis] ?? 0)) break;
      from -= (steps[axis] ?? 0) * (to[axis] ?? 0);
      index[axis] = 0;
    }
  }
  return { ...tensor, shape: to, bytes: out };
}

/** Undoes `forward`. */
export function backward<T extends Packed>(tensor: T, axes: Axes | undefined): T {
  return forward(
    tensor,
    axes?.map((_, axis) => axes.indexOf(axis)),
  );
}
