import { miss } from '../../src/rewrite/match.ts';
import { any, constant, maybe, op } from '../../src/rewrite/pattern.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { binaryOperand } from './binary.ts';
import { foldAffine, operand } from './fold.ts';
import { gemmLinear } from './gemm.ts';

/** Gemm(x, w, b) · c = Gemm(x, w · c, b · c), when c is one number per column. */
export const gemmMul: Rule = {
  id: 'gemm-mul',
  summary: 'folds a constant factor (divisor) of a Gemm into its weight and bias',
  ops: ['Mul', 'Div'],
  quiet: true,
  pattern: op(
    ['Mul', 'Div'],
    [op('Gemm', [any('x'), constant('w'), maybe(constant('b'))], { as: 'gemm', once: true }), constant('c')],
  ),
  check: binaryOperand,
  apply(match, edit) {
    const linear = gemmLinear(match, edit);
    if (typeof linear === 'string') return miss(match.root, linear);
    const c = operand(match, linear);
    if (typeof c === 'string') return miss(match.root, c);
    return foldAffine(match, edit, linear, { scale: match.root.op === 'Div' ? c.map((value) => 1 / value) : c });
  },
};
