import { miss } from '../../src/rewrite/match.ts';
import { any, constant, op } from '../../src/rewrite/pattern.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { batchNorm, infers } from './batch-norm.ts';
import { binaryOperand } from './binary.ts';
import { floatsOf, isFoldable } from './floats.ts';
import { foldAffine, type Linear, operand } from './fold.ts';

/** BN(x; γ, β) · c = BN(x; γ · c, β · c) and BN(x; γ, β) ± c = BN(x; γ, β ± c), when c is one number per channel. */
export const batchNormAffineBehind: Rule = {
  id: 'bn-affine',
  summary: 'moves a constant factor or summand behind a BatchNormalization into its scale and shift',
  ops: ['Add', 'Sub', 'Mul', 'Div'],
  quiet: true,
  pattern: op(['Add', 'Sub', 'Mul', 'Div'], [batchNorm(any('x'), true), constant('c')]),
  check: (match, site) => {
    const broadcasts = binaryOperand(match, site);
    return broadcasts === true ? infers(match, site) : broadcasts;
  },
  apply(match, edit) {
    const node = match.node('bn');
    const refuse = (why: string) => miss(match.root, why);
    const rank = edit.types.shapeOf(match.value('x'))?.length;
    if (rank === undefined) return refuse(`the rank of "${match.value('x').name}" is not known`);
    const weightData = match.tensor('scale');
    const { dtype } = weightData;
    const numbers = floatsOf(match.tensor('shift'));
    if (!isFoldable(dtype) || !numbers || match.tensor('c').dtype !== dtype)
      return refuse(`${node} computes in ${dtype}, ${match.root} in ${match.tensor('c').dtype}`);
    const channels = weightData.shape[0] ?? 0;
    const linear: Linear = {
      node,
      weight: match.value('scale'),
      weightData,
      layout: { channels, outer: 1, blocks: channels, inner: 1, channel: (_, block) => block },
      bias: { value: match.value('shift'), numbers },
      dtype,
      rank,
      axis: 1,
      insert: (to, inputs) =>
        to.insertLike(node, { inputs: [...inputs, match.value('mean'), match.value('variance')] }),
    };
    const c = operand(match, linear);
    if (typeof c === 'string') return refuse(c);
    switch (match.root.op) {
      case 'Add':
        return foldAffine(match, edit, linear, { shift: c });
      case 'Sub':
        return foldAffine(match, edit, linear, { shift: c.map((value) => -value) });
      case 'Mul':
        return foldAffine(match, edit, linear, { scale: c });
      default:
        return foldAffine(match, edit, linear, { scale: c.map((value) => 1 / value) });
    }
  },
};
