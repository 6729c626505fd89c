import { equalDims } from './dim.ts';
import type { Shape } from './types.ts';

/**
 * A constant Reshape target that turns a tensor of shape `from` into one of `shape`: numbers; 0 where a symbolic dimension is the
 * same in `from` at the same place; -1 for at most one other. A -1 beside a 0 fails on tensors without elements, so both together
 * only where the target had a -1 before (`inferred`).
 */
export function targetFor(from: Shape | undefined, shape: Shape | undefined, inferred: boolean): number[] | undefined {
  if (!shape || shape.includes(0)) return undefined;
  const target: number[] = [];
  for (const [axis, dim] of shape.entries()) {
    if (typeof dim === 'number') target.push(dim);
    else if (equalDims(dim, from?.[axis])) target.push(0);
    else if (!target.includes(-1)) target.push(-1);
    else return undefined;
  }
  const copied = target.indexOf(0);
  if (target.includes(-1)) return copied < 0 || inferred ? target : undefined;
  // -1 says the same as one copied dimension, and does not depend on where it stands.
  if (copied >= 0 && target.indexOf(0, copied + 1) < 0) target[copied] = -1;
  return target;
}
