import { equalDims, maxDims } from '../dim.ts';
import type { Dim, Shape } from '../types.ts';

/** Axis counted from the end made plain; undefined when it lies outside. */
export function plainAxis(axis: number | undefined, rank: number): number | undefined {
  if (axis === undefined) return undefined;
  const plain = axis < 0 ? axis + rank : axis;
  return Number.isInteger(plain) && plain >= 0 && plain < rank ? plain : undefined;
}

/** Axes counted from the end made plain; undefined when one lies outside. */
export function plainAxes(axes: readonly number[] | undefined, rank: number): number[] | undefined {
  const plain = axes?.map((axis) => plainAxis(axis, rank));
  return plain?.every((axis) => axis !== undefined) ? plain : undefined;
}

/**
 * The extent of two broadcast dimensions (NumPy rules). Of two different symbols the larger: the only other legal case
 * is that one of them is 1. (A symbol that is 0 against one that is 1 would make 0; no model does that on purpose.)
 */
export function broadcastDims(a: Dim, b: Dim): Dim {
  if (a === 1) return b;
  if (b === 1) return a;
  if (equalDims(a, b)) return a;
  if (typeof a === 'number') return typeof b === 'number' ? undefined : a;
  if (typeof b === 'number') return b;
  return maxDims(a, b);
}

export function broadcastShapes(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (!a || !b) return undefined;
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const i = axis - rank + a.length;
    const j = axis - rank + b.length;
    if (i < 0) return b[j];
    return j < 0 ? a[i] : broadcastDims(a[i], b[j]);
  });
}

/** What two descriptions of the same shape say together: numbers before symbols, symbols before nothing. */
export function unifyDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number') return a;
  if (typeof b === 'number') return b;
  return a ?? b;
}

/** What is true of both shapes: dimensions that are not known to be equal become unknown. */
export function commonShape(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (!a || !b || a.length !== b.length) return undefined;
  return a.map((dim, axis) => (equalDims(dim, b[axis]) ? dim : undefined));
}

/** Copy with one dimension replaced. */
export function withDim(shape: Shape, axis: number, dim: Dim): Dim[] {
  const copy = [...shape];
  copy[axis] = dim;
  return copy;
}

/** As many unknown dimensions. */
export function unknownDims(count: number): Dim[] {
  return Array.from({ length: count }, () => undefined);
}
