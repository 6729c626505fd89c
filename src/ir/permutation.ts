import type { Shape } from './types.ts';

/** The Transpose by `perm` that undoes one by `perm`. */
export const invert = (perm: readonly number[]): number[] => {
  const inverse = perm.map(() => 0);
  for (const [at, axis] of perm.entries()) inverse[axis] = at;
  return inverse;
};

/** Transpose by `first`, then by `second`, is one Transpose by this. */
export const compose = (first: readonly number[], second: readonly number[]): number[] =>
  second.map((axis) => first[axis] as number);

export const isIdentity = (perm: readonly number[]): boolean => perm.every((axis, index) => axis === index);

/** Whether a Transpose of a value of this shape puts elements into another order in memory: moving a 1 does not. */
export function movesElements(from: Shape, perm: readonly number[]): boolean {
  const moved = perm.filter((axis) => from[axis] !== 1);
  return moved.some((axis, at) => at > 0 && axis < (moved[at - 1] as number));
}
