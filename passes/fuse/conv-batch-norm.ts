import { miss } from '../../src/rewrite/match.ts';
import { any, constant, maybe, op } from '../../src/rewrite/pattern.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { batchNorm, batchNormAffine, infers } from './batch-norm.ts';
import { convOps } from './channels.ts';
import { convLinear, foldAffine } from './fold.ts';

/** BN(Conv(x, w, b)) = Conv(x, w · s, b · s + t), the same for ConvTranspose along its output channels. */
export const convBatchNorm: Rule = {
  id: 'conv-bn',
  summary: 'folds BatchNormalization into the Conv or ConvTranspose before it',
  ops: ['BatchNormalization'],
  pattern: batchNorm(op(convOps, [any('x'), constant('w'), maybe(constant('b'))], { as: 'conv', once: true })),
  check: infers,
  apply(match, edit) {
    const linear = convLinear(match, edit);
    if (typeof linear === 'string') return miss(match.root, linear);
    const affine = batchNormAffine(match);
    if (typeof affine === 'string') return miss(match.root, affine);
    if (affine.scale.length !== linear.layout.channels) {
      return miss(
        match.root,
        `${match.root} has ${affine.scale.length} channels, ${linear.node} gives ${linear.layout.channels}`,
      );
    }
    return foldAffine(match, edit, linear, affine);
  },
};
