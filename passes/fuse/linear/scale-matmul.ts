/** Constant factors before and behind a MatMul of a constant weight go into the weight: the scale of queries, mostly. */
import { elementCount, type Tensor } from '../../../src/ir/tensor.ts';
import { type Match, miss } from '../../../src/rewrite/match.ts';
import { any, constant, op } from '../../../src/rewrite/pattern.ts';
import type { Applied, Rule } from '../../../src/rewrite/rule.ts';
import { binaryOperand } from '../binary.ts';
import { perChannel } from '../channels.ts';
import { finiteTensor, floatRoom, floatsOf } from '../floats.ts';
import { mayCopy } from '../fold.ts';
import { endsFormula, spreads } from './formula.ts';

const products = ['Mul', 'Div'];

/** (x · c) W = x (c · W), c one number or one for each row of W. */
export const scaleMatmul: Rule = {
  id: 'scale-matmul',
  summary: 'folds a constant factor into the weight of the MatMul behind it',
  ops: ['MatMul'],
  quiet: true,
  pattern: op('MatMul', [op(products, [any('x'), constant('c')], { as: 'scale', once: true }), constant('w')], {
    as: 'matmul',
  }),
  check: (match, site) => {
    const scale = match.node('scale');
    if (endsFormula(scale)) return miss(match.root, `${scale} may be the last step of an activation or a norm`);
    return binaryOperand(match, site);
  },
  apply(match, edit) {
    const weight = scaled(match, 'rows');
    if ('why' in weight) return weight;
    const [x, c] = [match.value('x'), match.tensor('c')];
    const shape = edit.types.shapeOf(x);
    if (shape === undefined || shape.length < c.shape.length)
      return miss(match.root, `the rank of "${x.name}" is not known to be that of the product`);
    const rows = elementCount(c.shape);
    if (rows > 1 && shape.at(-1) !== rows)
      return miss(
        match.root,
        `"${x.name}" is not known to have ${rows} columns before "${match.value('c').name}" scales them`,
      );
    edit.replace(
      match.root,
      edit.insertLike(match.root, {
        inputs: [match.value('x'), edit.constant(match.value('w').name, weight)],
      }),
    );
  },
};

/** (x W) · c = x (W · c), and (x W + b) · c = x (W · c) + b · c. */
export const matmulScale: Rule = {
  id: 'matmul-scale',
  summary: 'folds a constant factor behind a MatMul, or behind its bias, into weight and bias',
  ops: products,
  quiet: true,
  pattern: op(products, [op('MatMul', [any('x'), constant('w')], { as: 'matmul', once: true }), constant('c')]),
  check: binaryOperand,
  apply(match, edit) {
    const weight = scaled(match, 'columns');
    if ('why' in weight) return weight;
    const rank = edit.types.shapeOf(match.node('matmul').output())?.length;
    if (rank === undefined || rank < match.tensor('c').shape.length)
      return miss(match.root, `the rank of ${match.node('matmul')} is not known to be that of the product`);
    const inputs = [match.value('x'), edit.constant(match.value('w').name, weight)];
    edit.replace(match.root, edit.insertLike(match.node('matmul'), { inputs }));
  },
};

export const biasScale: Rule = {
  id: 'bias-scale',
  summary: 'folds a constant factor behind the bias of a MatMul into weight and bias',
  ops: products,
  quiet: true,
  pattern: op(products, [
    op('Add', [op('MatMul', [any('x'), constant('w')], { as: 'matmul', once: true }), constant('b')], {
      as: 'add',
      once: true,
    }),
    constant('c'),
  ]),
  check: binaryOperand,
  apply(match, edit) {
    const [b, c] = [match.tensor('b'), match.tensor('c')];
    const columns = match.tensor('w').shape.at(-1) ?? 0;
    const name = match.value('b').name;
    const [bias, factor] = [columnsOf(b, name, columns), columnsOf(c, match.value('c').name, columns)];
    if (typeof bias === 'string') return miss(match.root, bias);
    if (typeof factor === 'string') return miss(match.root, factor);
    const rank = edit.types.shapeOf(match.node('matmul').output())?.length;
    if (rank === undefined || rank < Math.max(b.shape.length, c.shape.length))
      return miss(match.root, `the rank of ${match.node('matmul')} is not known to be that of the product`);
    const weight = scaled(match, 'columns');
    if ('why' in weight) return weight;
    const room = floatRoom(b.dtype, columns);
    const divides = match.root.op === 'Div';
    for (let i = 0; i < columns; i++)
      room[i] = divides ? (bias[i] as number) / (factor[i] as number) : (bias[i] as number) * (factor[i] as number);
    const folded = finiteTensor(b.dtype, [columns], room);
    if (!folded) return miss(match.root, `the folded bias "${name}" would not be finite in ${b.dtype}`);
    const matmul = edit.insertLike(match.node('matmul'), {
      inputs: [match.value('x'), edit.constant(match.value('w').name, weight)],
    });
    matmul.output().type = edit.types.typeOf(match.node('matmul').output());
    const add = edit.insertLike(match.node('add'), { inputs: [matmul.output(), edit.constant(name, folded)] });
    edit.replace(match.root, add);
  },
};

const columnsOf = (tensor: Tensor, name: string, channels: number) =>
  perChannel(tensor, name, {
    rank: Math.max(1, tensor.shape.length),
    axis: Math.max(1, tensor.shape.length) - 1,
    channels,
  });

/** The weight `w` with its rows (input channels) or columns times (or divided by) the constant `c`. */
function scaled(
  match: Match,
  which: 'rows' | 'columns',
): Tensor | Exclude<Applied, undefined | void | { detail: string }> {
  const { root } = match;
  const weight = match.tensor('w');
  const c = match.tensor('c');
  const [rows, columns] = [weight.shape.at(-2), weight.shape.at(-1)];
  if (rows === undefined || columns === undefined) return miss(root, `"${match.value('w').name}" is no matrix`);
  const channels = which === 'rows' ? rows : columns;
  const factor = columnsOf(c, match.value('c').name, channels);
  if (typeof factor === 'string') return miss(root, factor);
  const uneven = which === 'rows' ? spreads(factor, match.value('c').name) : undefined;
  if (uneven) return miss(root, uneven);
  const from = floatsOf(weight);
  if (!from) return miss(root, `${root} computes in ${weight.dtype}, which is not folded`);
  const shared = mayCopy(match.value('w'), weight, root);
  if (shared) return miss(root, shared);
  const product = match.has('scale') ? match.node('scale') : root;
  const to = floatRoom(weight.dtype, from.length);
  const count = elementCount(weight.shape);
  for (let i = 0; i < count; i++) {
    const by = factor[which === 'columns' ? i % columns : Math.floor(i / columns) % rows] as number;
    to[i] = product.op === 'Div' ? (from[i] as number) / by : (from[i] as number) * by;
  }
  return (
    finiteTensor(weight.dtype, weight.shape, to) ??
    miss(root, `the folded weight "${match.value('w').name}" would not be finite in ${weight.dtype}`)
  );
}
