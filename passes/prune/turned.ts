import type { Node } from '../../src/ir/graph.ts';

/** The axis of what a Transpose reads that is `axis` of what it gives; the same axis where there is none. */
export function axisBehind(turn: Node | undefined, axis: number, rank: number): number {
  if (!turn) return axis;
  return turn.ints('perm')?.[axis] ?? rank - 1 - axis;
}
