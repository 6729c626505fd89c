import { miss } from '../../src/rewrite/match.ts';
import { any, constant, maybe, op } from '../../src/rewrite/pattern.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { binaryOperand } from './binary.ts';
import { foldAffine, operand } from './fold.ts';
import { gemmLinear } from './gemm.ts';

/** Gemm(x, w, b) ± c = Gemm(x, w, b ± c), when c is one number per column. */
export const gemmAdd: Rule = {
  id: 'gemm-add',
  summary: 'moves a constant added to (subtracted from) a Gemm into its bias',
  ops: ['Add', 'Sub'],
  pattern: op(
    ['Add', 'Sub'],
    [op('Gemm', [any('x'), any('w'), maybe(constant('b'))], { as: 'gemm', once: true }), constant('c')],
  ),
  check: binaryOperand,
  apply(match, edit) {
    const linear = gemmLinear(match, edit);
    if (typeof linear === 'string') return miss(match.root, linear);
    const c = operand(match, linear);
    if (typeof c === 'string') return miss(match.root, c);
    return foldAffine(match, edit, linear, { shift: match.root.op === 'Sub' ? c.map((value) => -value) : c });
  },
};
