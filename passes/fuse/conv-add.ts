import { miss } from '../../src/rewrite/match.ts';
import { any, constant, maybe, op } from '../../src/rewrite/pattern.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { binaryOperand } from './binary.ts';
import { convOps } from './channels.ts';
import { convLinear, foldAffine, operand } from './fold.ts';

/** Conv(x, w, b) ± c = Conv(x, w, b ± c), when c is one number per channel. */
export const convAdd: Rule = {
  id: 'conv-add',
  summary: 'moves a constant added to (subtracted from) a convolution into its bias',
  ops: ['Add', 'Sub'],
  pattern: op(
    ['Add', 'Sub'],
    [op(convOps, [any('x'), any('w'), maybe(constant('b'))], { as: 'conv', once: true }), constant('c')],
  ),
  check: binaryOperand,
  apply(match, edit) {
    const linear = convLinear(match, edit);
    if (typeof linear === 'string') return miss(match.root, linear);
    const c = operand(match, linear);
    if (typeof c === 'string') return miss(match.root, c);
    return foldAffine(match, edit, linear, { shift: match.root.op === 'Sub' ? c.map((value) => -value) : c });
  },
};
