/** Folds a per-channel y = scale · x + shift into the weight and bias of the operator before it. */
import { constantOf } from '../../src/ir/constant.ts';
import type { Node, Value } from '../../src/ir/graph.ts';
import type { Tensor } from '../../src/ir/tensor.ts';
import { staticShape } from '../../src/ir/types.ts';
import type { Edit } from '../../src/rewrite/edit.ts';
import { type Match, miss } from '../../src/rewrite/match.ts';
import type { Applied, Site } from '../../src/rewrite/rule.ts';
import { perChannel, scaleChannels, type WeightLayout, weightLayout } from './channels.ts';
import { finiteTensor, floatRoom, floatsOf, isFoldable } from './floats.ts';

/** Folding into a weight that others use makes a second copy of it: done up to this many bytes. */
export const maxSharedCopy = 64 * 1024;

export interface Affine {
  readonly scale?: ArrayLike<number>;
  readonly shift?: ArrayLike<number>;
}

/** An operator that takes a per-channel factor and shift in: inputs x, weight and, maybe, bias. */
export interface Linear {
  readonly node: Node;
  readonly weight: Value;
  /** Undefined when the weight is not constant: a shift can still be folded. */
  readonly weightData: Tensor | undefined;
  readonly layout: WeightLayout;
  /** Present bias, one number per channel, as it counts in the output. */
  readonly bias: { readonly value: Value; readonly numbers: ArrayLike<number> } | undefined;
  /** Element type of the weight, and of the bias. */
  readonly dtype: Tensor['dtype'];
  /** Rank of the output, and its axis of channels. */
  readonly rank: number;
  readonly axis: number;
  insert(edit: Edit, inputs: readonly (Value | undefined)[]): Node;
}

/** The Conv or ConvTranspose bound as `conv` with weight `w` and bias `b`; a sentence where it cannot take anything in. */
export function convLinear(match: Match, { types }: Site): Linear | string {
  const node = match.node('conv');
  const weight = match.value('w');
  const weightData = constantOf(weight);
  const shape = staticShape(types.shapeOf(weight));
  if (!shape || shape.length < 3) return `the shape of the weight "${weight.name}" of ${node} is not known`;
  const layout = weightLayout(node, shape);
  if (typeof layout === 'string') return layout;
  const dtype = types.dtypeOf(weight);
  if (!isFoldable(dtype)) return `${node} computes in ${dtype ?? 'an unknown type'}, which is not folded`;
  let bias: Linear['bias'];
  if (match.has('b')) {
    const numbers = floatsOf(match.tensor('b'));
    if (numbers?.length !== layout.channels) return `the bias of ${node} does not have ${layout.channels} numbers`;
    bias = { value: match.value('b'), numbers };
  }
  return {
    node,
    weight,
    weightData,
    layout,
    bias,
    dtype,
    rank: shape.length,
    axis: 1,
    insert: (edit, inputs) => edit.insertLike(node, { inputs }),
  };
}

/** The constant bound as `c`, that meets the output of `linear`, as one number per channel. */
export function operand(match: Match, linear: Linear): Float64Array | string {
  const { rank, axis, layout } = linear;
  return perChannel(match.tensor('c'), match.value('c').name, { rank, axis, channels: layout.channels });
}

/** Why a weight may not be copied and changed, if so. */
export function mayCopy(weight: Value, data: Tensor, node: Node): string | undefined {
  const shared = weight.useCount > 1 || weight.isGraphOutput;
  if (!shared || data.byteLength <= maxSharedCopy) return undefined;
  return `the weight "${weight.name}" of ${node} is shared, and folding would store another ${data.byteLength} bytes`;
}

/** Puts the folded operator in the place of the match's root, or says why not. */
export function foldAffine(match: Match, edit: Edit, linear: Linear, affine: Affine): Applied {
  const folded = foldedConstants(linear, affine);
  if (typeof folded === 'string') return miss(linear.node, folded);
  const weight = folded.weight ? edit.constant(linear.weight.name, folded.weight) : linear.weight;
  const bias = folded.bias && edit.constant(linear.bias?.value.name ?? `${linear.weight.name}_bias`, folded.bias);
  edit.replace(match.root, linear.insert(edit, [linear.node.input(0), weight, bias]));
}

function foldedConstants(linear: Linear, affine: Affine): { weight?: Tensor; bias?: Tensor } | string {
  const { node, layout, dtype, weightData } = linear;
  const { scale, shift } = affine;
  let weight: Tensor | undefined;
  if (scale) {
    if (!weightData) return `the weight "${linear.weight.name}" of ${node} is not constant`;
    const shared = mayCopy(linear.weight, weightData, node);
    if (shared) return shared;
    weight = scaleChannels(weightData, layout, scale);
    if (!weight) return `the folded weight of ${node} would not be finite in ${dtype}`;
  }
  const old = linear.bias?.numbers;
  if (!old && !shift) return weight ? { weight } : {};
  const room = floatRoom(dtype, layout.channels);
  for (let c = 0; c < layout.channels; c++) {
    room[c] = (old?.[c] ?? 0) * (scale?.[c] ?? 1) + (shift?.[c] ?? 0);
  }
  const bias = finiteTensor(dtype, [layout.channels], room);
  if (!bias) return `the folded bias of ${node} would not be finite in ${dtype}`;
  return weight ? { weight, bias } : { bias };
}
