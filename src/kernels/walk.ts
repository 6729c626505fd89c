/** Elements from one position to the next along each axis, row-major. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis--)
    strides[axis] = (strides[axis + 1] ?? 1) * (shape[axis + 1] ?? 1);
  return strides;
}

/** Places that are reached when the shape is walked in order with these steps. */
export function walk(shape: readonly number[], steps: readonly number[], start = 0): Int32Array {
  const index = new Int32Array(shape.reduce((count, extent) => count * extent, 1));
  const place = shape.map(() => 0);
  let from = start;
  for (let at = 0; at < index.length; at++) {
    index[at] = from;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place[axis] = (place[axis] ?? 0) + 1;
      from += steps[axis] ?? 0;
      if ((place[axis] ?? 0) < (shape[axis] ?? 1)) break;
      from -= (steps[axis] ?? 0) * (shape[axis] ?? 1);
      place[axis] = 0;
    }
  }
  return index;
}

/** Place in a tensor of `shape` for each element of a tensor of `to` that it broadcasts to. */
export function broadcastIndex(shape: readonly number[], to: readonly number[]): Int32Array {
  const wide = [...Array<number>(to.length - shape.length).fill(1), ...shape];
  return walk(
    to,
    stridesOf(wide).map((stride, axis) => (wide[axis] === 1 ? 0 : stride)),
  );
}
