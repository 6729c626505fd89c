import type { Node, Value } from '../../../src/ir/graph.ts';
import { type Match, miss } from '../../../src/rewrite/match.ts';
import { insertableOpset, type Rule, type Site } from '../../../src/rewrite/rule.ts';
import { isFoldable } from '../floats.ts';

/** What a Transpose of a matrix turns. */
function turned(value: Value | undefined, reader: Node): Value | undefined {
  const node = value?.producer;
  if (!node?.is('Transpose') || node.graph !== reader.graph) return undefined;
  return (node.ints('perm') ?? [1, 0]).join() === '1,0' ? node.input(0) : undefined;
}

/** Gemm turns its operands itself. */
export const transposeGemm: Rule = {
  id: 'transpose-gemm',
  summary: 'takes Transposes of matrices in front of a Gemm or MatMul into the Gemm',
  ops: ['Gemm', 'MatMul'],
  check(match: Match, site: Site) {
    const { types } = site;
    const { root } = match;
    const found = [0, 1].some((index) => turned(root.input(index), root) !== undefined);
    if (!found) return miss(root, 'neither operand is the Transpose of a matrix', false);
    if (root.is('Gemm')) return true;
    const opset = insertableOpset(site);
    if (opset < 11) return miss(root, `Gemm of opset ${opset} takes no product without a summand`);
    for (const value of root.inputs.slice(0, 2)) {
      const rank = types.shapeOf(value)?.length;
      if (rank !== 2)
        return miss(
          root,
          `"${value?.name}" is ${rank === undefined ? 'of unknown rank' : `of rank ${rank}`}, and Gemm takes matrices only`,
        );
    }
    const dtype = types.dtypeOf(root.input(0)) ?? types.dtypeOf(root.input(1));
    return isFoldable(dtype) || miss(root, `${root} computes in ${dtype ?? 'an unknown type'}`);
  },
  apply(match, edit) {
    const { root } = match;
    const inputs = [...root.inputs];
    const attrs: Record<string, number> = {};
    for (const [index, name] of ['transA', 'transB'].entries()) {
      const source = turned(root.input(index), root);
      if (!source) continue;
      inputs[index] = source;
      attrs[name] = root.int(name, 0) === 0 ? 1 : 0;
    }
    if (root.is('Gemm')) {
      edit.replace(root, edit.insertLike(root, { inputs, attrs }));
      return;
    }
    const gemm = edit.insert('Gemm', { inputs, attrs });
    gemm.name = root.name;
    edit.replace(root, gemm);
  },
};
