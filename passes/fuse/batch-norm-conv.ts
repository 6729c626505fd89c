import { miss } from '../../src/rewrite/match.ts';
import { any, constant, maybe, op } from '../../src/rewrite/pattern.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { batchNorm, batchNormAffine, infers } from './batch-norm.ts';
import { foldIntoConv } from './linear/fold-input.ts';

/** Conv(s · x + t, w, b) = Conv(x, w · s, b + Σ w · t), where Conv does not pad. */
export const batchNormConv: Rule = {
  id: 'bn-conv',
  summary: 'folds BatchNormalization into the Conv behind it, where that is exact',
  ops: ['Conv'],
  pattern: op('Conv', [batchNorm(any('x'), true), constant('w'), maybe(constant('b'))], { as: 'conv' }),
  check: infers,
  apply(match, edit) {
    const affine = batchNormAffine(match);
    if (typeof affine === 'string') return miss(match.root, affine);
    return foldIntoConv(match, edit, affine, String(match.node('bn')));
  },
};
