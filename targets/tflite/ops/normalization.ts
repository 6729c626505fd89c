import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import { type Converter, type Entry, type Handler, rootOf } from '../converter.ts';
import { lastPerm, permuted } from '../order.ts';
import type { OpName } from '../schema.ts';
import { operand } from './elementwise.ts';
import { movedLike } from './reduction.ts';

const add = { type: 'AddOptions', value: {} };
const mul = { type: 'MulOptions', value: {} };
const sub = { type: 'SubOptions', value: {} };
const keep = { type: 'ReducerOptions', value: { keep_dims: true } };

/** (x − mean) / √(variance + ε) over axes of the tensor as it lies. */
function normalized(c: Converter, node: Node, from: number, axes: readonly number[], epsilon: number): number {
  const { shape } = c.of(from);
  const name = node.output().name;
  const small = shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  const table = c.lite.ints('axes', axes);
  const op = (code: OpName, inputs: readonly number[], to: readonly number[], options?: typeof add): number =>
    c.op(code, inputs, { name, shape: to, type: 'float32' }, options);
  const mean = c.op('MEAN', [from, table], { name, shape: small, type: 'float32' }, keep);
  const centred = op('SUB', [from, mean], shape, sub);
  const square = op('MUL', [centred, centred], shape, mul);
  const variance = c.op('MEAN', [square, table], { name, shape: small, type: 'float32' }, keep);
  const root = op('RSQRT', [op('ADD', [variance, c.floats('epsilon', [], [epsilon])], small, add)], small);
  return op('MUL', [centred, root], shape, mul);
}

function scaled(c: Converter, node: Node, from: number, scale: number | undefined, bias: number | undefined): number {
  const { shape } = c.of(from);
  const name = node.output().name;
  let result = from;
  if (scale !== undefined) result = c.op('MUL', [result, scale], { name, shape, type: 'float32' }, mul);
  if (bias !== undefined) result = c.op('ADD', [result, bias], { name, shape, type: 'float32' }, add);
  return result;
}

export const layerNormalization: Handler = (node, c) => {
  if (node.outputs.slice(1).some((value) => value?.isUsed))
    c.fail(node, 'its mean and deviation as outputs have no counterpart');
  const entry = c.entry(node.input(0) as Value);
  const rank = entry.shape.length;
  const axis = (node.int('axis', -1) + rank) % rank;
  const axes = entry.shape.map((_, at) => at).filter((at) => at >= axis);
  const from = normalized(c, node, c.get(entry, 'plain'), axes, node.float('epsilon', 1e-5));
  const at = (value: Value | undefined): number | undefined => value && operand(c, value, 'plain', rank);
  c.put(node.output(), 'plain', scaled(c, node, from, at(node.input(1)), at(node.input(2))));
};

/** A picture with channels last whose channels, group by group, are the rows of this value: how exporters write group normalization. */
function groupedPicture(entry: Entry): Entry | undefined {
  if (!entry.moved || entry.forms.size > 0) return undefined;
  const { root, index } = rootOf(entry.moved);
  const [n, channels = 1, ...space] = root.shape;
  const [own, groups = 1, ...rest] = entry.shape;
  const fits = n === own && channels % groups === 0 && elementCount(rest) === (channels / groups) * elementCount(space);
  return root.forms.has('last') && space.length > 0 && fits && index.every((at, i) => at === i) ? root : undefined;
}

/** Group normalization on channels last: the mean is that of the pixels and of a group's channels. @returns whether it is one */
function groupNormalization(node: Node, c: Converter, entry: Entry): boolean {
  const root = groupedPicture(entry);
  const [scale, bias] = [1, 2].map((i) => c.constant(node.input(i)));
  if (!root || !scale || !bias) return false;
  const [n = 1, channels = 1, ...space] = root.shape;
  const groups = entry.shape[1] ?? 1;
  const name = node.output().name;
  const rows = c.reshape(name, c.get(root, 'last'), [n, elementCount(space), groups, channels / groups]);
  const even = normalized(c, node, rows, [1, 3], node.float('epsilon', 1e-5));
  const at = ({ values }: { readonly values: ArrayLike<number> }, neutral: number): number | undefined =>
    Array.from(values).every((value) => value === neutral)
      ? undefined
      : c.floats(name, [1, 1, groups, 1], Float32Array.from(values));
  const result = scaled(c, node, even, at(scale, 1), at(bias, 0));
  const picture = c.reshape(name, result, permuted(root.shape, lastPerm(root.shape.length)));
  c.set(node.output(), movedLike(entry, name, root, picture));
  return true;
}

export const instanceNormalization: Handler = (node, c) => {
  const entry = c.entry(node.input(0) as Value);
  if (groupNormalization(node, c, entry)) return;
  const rank = entry.shape.length;
  const axes = Array.from({ length: rank - 2 }, (_, i) => i + 1);
  const from = normalized(c, node, c.get(entry, 'last'), axes, node.float('epsilon', 1e-5));
  const at = (value: Value | undefined): number | undefined => value && c.get(c.entry(value), 'plain');
  c.put(node.output(), 'last', scaled(c, node, from, at(node.input(1)), at(node.input(2))));
};

/** One that could not be joined with a convolution: a factor and an offset for each channel. */
export const batchNormalization: Handler = (node, c) => {
  const [scale, bias, mean, variance] = [1, 2, 3, 4].map((i) => c.numbers(node, i, 'a statistic of it')) as [
    number[],
    number[],
    number[],
    number[],
  ];
  const epsilon = node.float('epsilon', 1e-5);
  const factor = scale.map((value, i) => value / Math.sqrt((variance[i] ?? 0) + epsilon));
  const offset = bias.map((value, i) => value - (mean[i] ?? 0) * (factor[i] ?? 0));
  const entry = c.entry(node.input(0) as Value);
  const rank = entry.shape.length;
  const layout = rank > 2 ? 'last' : 'plain';
  const from = c.get(entry, layout);
  const at = (values: readonly number[]): number => c.floats('channel', [values.length], values);
  c.put(node.output(), layout, scaled(c, node, from, at(factor), at(offset)));
};
