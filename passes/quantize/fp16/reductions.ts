import { constantNumbers } from '../../../src/ir/constant.ts';
import type { Node } from '../../../src/ir/graph.ts';
import type { ElementTypes } from './element-types.ts';

/** Reductions that add up their inputs. */
const sums = new Set([
  'ReduceSum',
  'ReduceMean',
  'ReduceL1',
  'ReduceL2',
  'ReduceSumSquare',
  'ReduceLogSumExp',
  'ReduceLogSum',
  'ReduceProd',
]);
/** Operators that reduce everything behind the channel axis. */
const spatial = new Set(['GlobalAveragePool', 'GlobalLpPool', 'InstanceNormalization']);

/**
 * Why the reduction of a node is too long for half precision: from 2048 = 2¹¹ terms on, a half sum of ones no longer
 * grows. Undefined where the extents are not known.
 */
export function longReduction(node: Node, types: ElementTypes, max: number): string | undefined {
  const terms = max === 0 ? 0 : (reducedTerms(node, types) ?? 0);
  return terms > max
    ? `it adds up ${terms} values, more than ${max} that a float16 sum can take (--max-reduction)`
    : undefined;
}

/** How many values one output of a reduction is made of, as far as extents are known; undefined for other nodes. */
export function reducedTerms(node: Node, types: ElementTypes): number | undefined {
  if (node.domain !== '') return undefined;
  const shape = types.shapeOf(node.input(0));
  if (!shape) return undefined;
  const rank = shape.length;
  let axes: number[];
  if (spatial.has(node.op)) axes = Array.from({ length: Math.max(0, rank - 2) }, (_, i) => i + 2);
  else if (sums.has(node.op)) {
    const given = node.ints('axes') ?? constantNumbers(node.input(1));
    if (!given && node.input(1)) return undefined;
    axes =
      given && given.length > 0
        ? given.map((axis) => (axis < 0 ? axis + rank : axis))
        : Array.from({ length: rank }, (_, i) => i);
  } else return undefined;
  let terms = 1;
  for (const axis of axes) {
    const dim = shape[axis];
    if (typeof dim === 'number') terms *= dim;
  }
  return terms;
}
