import { staticShape } from '../../src/ir/types.ts';
import { miss } from '../../src/rewrite/match.ts';
import { any, constant, maybe, op } from '../../src/rewrite/pattern.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { batchNorm, batchNormAffine, infers } from './batch-norm.ts';
import { scaleChannels, weightLayout } from './channels.ts';
import { finiteTensor, floatRoom } from './floats.ts';
import { mayCopy } from './fold.ts';

/**
 * A BatchNormalization of tokens is written over the matrix of their rows: BN(rows(x · w)) = rows(x · (w · s) + t), where rows makes
 * [rows, C] of [..., C]. LeViT and its kind are exported like this.
 */
export const rowsBatchNorm: Rule = {
  id: 'rows-bn',
  summary: 'folds BatchNormalization over the rows of a product of more than two axes into its weight, and a sum',
  ops: ['BatchNormalization'],
  quiet: true,
  pattern: batchNorm(
    op(['Flatten', 'Reshape'], [op('MatMul', [any('x'), constant('w')], { as: 'matmul', once: true }), maybe(any())], {
      as: 'rows',
      once: true,
    }),
  ),
  check: infers,
  apply(match, edit) {
    const refuse = (why: string) => miss(match.root, why);
    const [product, rows] = [match.node('matmul'), match.node('rows')];
    const weight = match.tensor('w');
    const shared = mayCopy(match.value('w'), weight, product);
    if (shared) return refuse(shared);
    if (weight.shape.length !== 2) return refuse(`the weight of ${product} is no matrix`);
    const layout = weightLayout(product, weight.shape);
    if (typeof layout === 'string') return refuse(layout);
    const columns = staticShape(edit.types.shapeOf(rows.output())?.slice(1));
    if (columns?.length !== 1 || columns[0] !== layout.channels)
      return refuse(`${rows} does not make rows of the ${layout.channels} columns of ${product}`);
    const affine = batchNormAffine(match);
    if (typeof affine === 'string') return refuse(affine);
    if (affine.scale.length !== layout.channels)
      return refuse(`${match.root} has ${affine.scale.length} channels, ${product} gives ${layout.channels}`);
    const scaled = scaleChannels(weight, layout, affine.scale);
    const room = floatRoom(weight.dtype, layout.channels);
    room.set(affine.shift);
    const shift = finiteTensor(weight.dtype, [layout.channels], room);
    if (!scaled || !shift) return refuse(`what is folded into ${product} would not be finite in ${weight.dtype}`);
    const name = match.value('w').name;
    const multiplied = edit.insertLike(product, { inputs: [match.value('x'), edit.constant(name, scaled)] });
    const added = edit.insert('Add', { inputs: [multiplied.output(), edit.constant(`${name}_bias`, shift)] });
    edit.replace(match.root, edit.insertLike(rows, { inputs: [added.output(), ...rows.inputs.slice(1)] }));
  },
};
