import type { Value } from '../../src/ir/graph.ts';
import type { Dim, Shape } from '../../src/ir/types.ts';
import { type Match, type Miss, miss } from '../../src/rewrite/match.ts';
import { any, op } from '../../src/rewrite/pattern.ts';
import type { Rule, Site } from '../../src/rewrite/rule.ts';
import { binaryOperand } from './binary.ts';
import { isFoldable } from './floats.ts';

/** MatMul(a, b) + c of matrices is Gemm(a, b, c), when c is a row that broadcasts over the rows of the result. */
export const matmulAdd: Rule = {
  id: 'matmul-add',
  summary: 'turns MatMul and Add of matrices into Gemm',
  ops: ['Add'],
  pattern: op('Add', [op('MatMul', [any('a'), any('b')], { as: 'matmul', once: true }), any('c')]),
  check: (match, site) => {
    const broadcasts = binaryOperand(match, site);
    return broadcasts === true ? isGemm(match, site) : broadcasts;
  },
  apply(match, edit) {
    const gemm = edit.insert('Gemm', { inputs: [match.value('a'), match.value('b'), match.value('c')] });
    gemm.name = match.node('matmul').name;
    edit.replace(match.root, gemm);
  },
};

function isGemm(match: Match, { types }: Site): true | Miss {
  const node = match.node('matmul');
  const quiet = (why: string) => miss(match.root, why, false);
  for (const value of [match.value('a'), match.value('b')]) {
    const shape = types.shapeOf(value);
    if (!shape) return miss(match.root, `the rank of "${value.name}" is not known, and Gemm takes matrices only`);
    if (shape.length !== 2) return quiet(`"${value.name}" is of rank ${shape.length}, and Gemm takes matrices only`);
  }
  const dtype = types.dtypeOf(match.value('a')) ?? types.dtypeOf(match.value('b'));
  if (!isFoldable(dtype)) return quiet(`${node} computes in ${dtype ?? 'an unknown type'}`);
  return isRow(match.value('c'), types.shapeOf(match.value('c')), types.shapeOf(match.value('b'))?.[1], match);
}

/** [N] or [1, N], N known to be the number of columns. A residual of the full shape is none: Gemm would copy it first. */
function isRow(c: Value, shape: Shape | undefined, columns: Dim, match: Match): true | Miss {
  if (!shape) return miss(match.root, `the shape of "${c.name}" is not known`);
  const last = shape.at(-1);
  if (shape.length === 1 || (shape.length === 2 && shape[0] === 1)) {
    if (last !== undefined && last === columns) return true;
    return miss(
      match.root,
      `"${c.name}" of shape [${shape.join(',')}] is not known to have one number for each of the ${columns ?? '?'} columns`,
    );
  }
  return miss(match.root, `"${c.name}" of shape [${shape.join(',')}] is not one row`, false);
}
