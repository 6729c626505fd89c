import type { Node } from '../../../src/ir/graph.ts';
import { localRule } from '../local-rule.ts';

export const transposeNoop = localRule(
  'transpose-noop',
  'Transpose that moves nothing: its input',
  ['Transpose'],
  (node, known) => {
    const input = node.input(0);
    const perm = permutation(node, known.rank(node.input(0)));
    return input && perm?.every((axis, index) => axis === index) ? { bypass: input } : undefined;
  },
);

export const transposeChain = localRule(
  'transpose-chain',
  'Transpose of a Transpose: one, or none',
  ['Transpose'],
  (node, known) => {
    const middle = node.input(0);
    const first = middle?.producer;
    const x = first?.input(0);
    if (!middle || !first?.is('Transpose') || !x) return undefined;
    const inner = permutation(first, known.rank(x));
    const outer = permutation(node, inner?.length);
    if (!inner || !outer || inner.length !== outer.length)
      return { why: 'the rank of the transposed value is unknown' };
    const perm = outer.map((axis) => inner[axis] ?? 0);
    if (perm.every((axis, index) => axis === index)) return { bypass: x };
    if (middle.useCount > 1 || middle.isGraphOutput) {
      return { why: `the value between, "${middle.name}", is used elsewhere too` };
    }
    if (first.graph !== node.graph) return { why: `"${middle.name}" comes from the graph around` };
    return {
      detail: `perm ${perm.join(',')}`,
      make: (edit) => edit.insertLike(node, { inputs: [x], attrs: { perm } }),
    };
  },
);

/** Without the attribute, all axes in reverse. */
function permutation(node: Node, rank: number | undefined): number[] | undefined {
  return node.ints('perm') ?? (rank === undefined ? undefined : Array.from({ length: rank }, (_, i) => rank - 1 - i));
}
