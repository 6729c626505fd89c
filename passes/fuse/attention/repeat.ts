import { constantNumbers } from '../../../src/ir/constant.ts';
import { equalDims } from '../../../src/ir/dim.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Site } from '../../../src/rewrite/rule.ts';

/**
 * Keys or values of which each head stands for several heads of queries: Unsqueeze (or Reshape) to [batch, heads, 1, length, size],
 * Expand (or Tile) to [batch, heads, n, length, size], Reshape to [batch, heads·n, length, size].
 */
export function findRepeat(
  value: Value,
  { types }: Site,
): { readonly source: Value; readonly nodes: readonly Node[] } | undefined {
  const merge = value.producer;
  const expand = merge?.is('Reshape') ? merge.input(0)?.producer : undefined;
  const open = expand?.is('Expand') || expand?.is('Tile') ? expand.input(0)?.producer : undefined;
  const source = open?.is('Unsqueeze') || open?.is('Reshape') ? open.input(0) : undefined;
  if (!merge || !expand || !open || !source) return undefined;
  const [from, opened] = [types.shapeOf(source), types.shapeOf(open.output())];
  const [expanded, to] = [types.shapeOf(expand.output()), types.shapeOf(value)];
  if (from?.length !== 4 || opened?.length !== 5 || expanded?.length !== 5 || to?.length !== 4) return undefined;
  const repeats = expanded[2];
  const [heads, total] = [from[1], to[1]];
  if (opened[2] !== 1 || typeof repeats !== 'number' || typeof heads !== 'number' || total !== heads * repeats)
    return undefined;
  const tiles = expand.is('Tile') ? constantNumbers(expand.input(1)) : undefined;
  if (expand.is('Tile') && tiles?.some((count, at) => at !== 2 && count !== 1) !== false) return undefined;
  const same = [0, 2, 3].every((axis) => {
    const at = axis === 0 ? 0 : axis + 1;
    return equalDims(from[axis], opened[at]) && equalDims(from[axis], expanded[at]) && equalDims(from[axis], to[axis]);
  });
  return same && opened[1] === heads && expanded[1] === heads ? { source, nodes: [merge, expand, open] } : undefined;
}
