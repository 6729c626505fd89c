import { miss } from '../../src/rewrite/match.ts';
import { any, constant, maybe, op } from '../../src/rewrite/pattern.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { binaryOperand } from './binary.ts';
import { convOps } from './channels.ts';
import { convLinear, foldAffine, operand } from './fold.ts';

/** Conv(x, w, b) · c = Conv(x, w · c, b · c), when c is one number per channel. */
export const convMul: Rule = {
  id: 'conv-mul',
  summary: 'folds a constant factor (divisor) of a convolution into its weight and bias',
  ops: ['Mul', 'Div'],
  quiet: true,
  pattern: op(
    ['Mul', 'Div'],
    [op(convOps, [any('x'), constant('w'), maybe(constant('b'))], { as: 'conv', once: true }), constant('c')],
  ),
  check: binaryOperand,
  apply(match, edit) {
    const linear = convLinear(match, edit);
    if (typeof linear === 'string') return miss(match.root, linear);
    const c = operand(match, linear);
    if (typeof c === 'string') return miss(match.root, c);
    return foldAffine(match, edit, linear, { scale: match.root.op === 'Div' ? c.map((value) => 1 / value) : c });
  },
};
