import { miss } from '../../src/rewrite/match.ts';
import { constant } from '../../src/rewrite/pattern.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { batchNorm, batchNormAffine, infers } from './batch-norm.ts';
import { foldAffine } from './fold.ts';
import { gemmLinear, gemmPattern } from './gemm.ts';

/**
 * BN(Gemm(x, w, b)) on a matrix: its channels, axis 1, are the columns. Behind a MatMul of more than two dimensions axis 1
 * is not the columns, and nothing can be folded.
 */
export const gemmBatchNorm: Rule = {
  id: 'gemm-bn',
  summary: 'folds BatchNormalization into the Gemm or MatMul before it',
  ops: ['BatchNormalization'],
  pattern: batchNorm(gemmPattern(constant('w'))),
  check: infers,
  apply(match, edit) {
    const node = match.node('gemm');
    const rank = edit.types.shapeOf(match.value('x'))?.length;
    if (node.op === 'MatMul' && rank !== undefined && rank !== 2) {
      return miss(
        match.root,
        `${node} gives rank ${rank}: the channels of ${match.root} are axis 1, not the columns of the weight`,
      );
    }
    const linear = gemmLinear(match, edit);
    if (typeof linear === 'string') return miss(match.root, linear);
    const affine = batchNormAffine(match);
    if (typeof affine === 'string') return miss(match.root, affine);
    if (affine.scale.length !== linear.layout.channels) {
      return miss(
        match.root,
        `${match.root} has ${affine.scale.length} channels, ${node} gives ${linear.layout.channels}`,
      );
    }
    return foldAffine(match, edit, linear, affine);
  },
};
