import { constantNumbers } from '../ir/constant.ts';
import type { Node } from '../ir/graph.ts';

/** Negative axes counted from the end; undefined when one is out of range. */
export function normalizeAxes(axes: readonly number[], rank: number): number[] | undefined {
  const result = axes.map((axis) => (axis < 0 ? axis + rank : axis));
  return result.every((axis) => axis >= 0 && axis < rank) ? result : undefined;
}

/**
 * A list that is an attribute in old opsets and an input in new ones: 'absent', 'dynamic' when a caller or a node
 * computes it, else the numbers.
 */
export function listArgument(node: Node, attr: string, input: number): readonly number[] | 'absent' | 'dynamic' {
  const fromAttr = node.ints(attr);
  if (fromAttr) return fromAttr;
  const value = node.input(input);
  if (!value) return 'absent';
  return constantNumbers(value) ?? 'dynamic';
}
