/** Forms that operators had before opset 24, down to 13: inputs that were attributes, attributes that were not there. */
import { constantNumbers } from '../../src/ir/constant.ts';
import type { Node } from '../../src/ir/graph.ts';
import { int64Vector } from '../../src/ir/tensor.ts';
import type { ValueTypes } from '../../src/rewrite/rule.ts';
import { Emit } from './emit.ts';

interface Step {
  readonly from: number;
  readonly to: number;
  readonly types: ValueTypes;
}

/** Puts a node into its older form, or says why it has none. */
type Form = (node: Node, step: Step) => string | undefined;

const crosses = ({ from, to }: Step, version: number): boolean => from >= version && to < version;

/** Input `index` became one in `version`; before, it was an attribute. */
const attribute =
  (name: string, index: number, version: number): Form =>
  (node, step) => {
    const value = node.input(index);
    if (!crosses(step, version) || !value) return undefined;
    const numbers = constantNumbers(value);
    if (!numbers) return `its ${name} "${value.name}" are computed, which opset ${step.to} cannot take`;
    node.setInputs(node.inputs.filter((_, at) => at !== index));
    node.setAttr(name, numbers);
    return undefined;
  };

/** An attribute that came with `version` goes where it says nothing. */
const only =
  (name: string, version: number, harmless: (node: Node) => boolean): Form =>
  (node, step) => {
    if (!crosses(step, version) || !node.attrs.has(name)) return undefined;
    if (!harmless(node)) return `its ${name} came with opset ${version}`;
    node.removeAttr(name);
    return undefined;
  };

const all =
  (...forms: readonly Form[]): Form =>
  (node, step) => {
    for (const form of forms) {
      const why = form(node, step);
      if (why) return why;
    }
    return undefined;
  };

const isZero =
  (name: string) =>
  (node: Node): boolean =>
    node.int(name, 0) === 0;

const isMinusOne =
  (name: string) =>
  (node: Node): boolean =>
    node.int(name, -1) === -1;

const never = (): boolean => false;

/** noop_with_empty_axes of reductions by attribute: nothing is reduced where no axes are given. */
const reduction: Form = (node, step) => {
  if (!crosses(step, 18)) return undefined;
  const none = !node.input(1) || constantNumbers(node.input(1))?.length === 0;
  if (none && node.int('noop_with_empty_axes', 0) === 1) return 'it reduces over no axes at all';
  node.removeAttr('noop_with_empty_axes');
  return attribute('axes', 1, 18)(node, step);
};

const split: Form = (node, step) => {
  if (!crosses(step, 18) || !node.attrs.has('num_outputs')) return undefined;
  const count = node.int('num_outputs', node.outputs.length);
  node.removeAttr('num_outputs');
  const shape = step.types.shapeOf(node.input(0));
  const axis = node.int('axis', 0);
  const extent = shape?.at(axis);
  if (typeof extent !== 'number') return 'the extent that it splits is not known, and may not be even';
  if (extent % count === 0) return undefined;
  const size = Math.ceil(extent / count);
  const sizes = Array.from({ length: count }, (_, at) => Math.min(size, extent - at * size));
  node.setInput(1, new Emit(node, step.to, step.types).tensor(int64Vector(sizes), 'split'));
  return undefined;
};

const pad: Form = (node, step) => {
  if (crosses(step, 19) && node.string('mode') === 'wrap') return 'its mode wrap came with opset 19';
  const axes = node.input(3);
  if (!crosses(step, 18) || !axes) return undefined;
  const [given, amounts] = [constantNumbers(axes), constantNumbers(node.input(1))];
  const rank = step.types.shapeOf(node.input(0))?.length;
  if (!given || !amounts || rank === undefined)
    return 'its axes came with opset 18, and the rank or the amounts are not known';
  const pads = Array.from({ length: 2 * rank }, () => 0);
  for (const [at, axis] of given.entries()) {
    const place = axis < 0 ? axis + rank : axis;
    pads[place] = amounts[at] as number;
    pads[place + rank] = amounts[at + given.length] as number;
  }
  node.setInput(1, new Emit(node, step.to, step.types).tensor(int64Vector(pads), 'pads'));
  node.setInput(3, undefined);
  return undefined;
};

/** Shape of some axes is a Slice of the whole one. */
const shape: Form = (node, step) => {
  if (!crosses(step, 15) || (!node.attrs.has('start') && !node.attrs.has('end'))) return undefined;
  const emit = new Emit(node, step.to, step.types);
  const whole = emit.op('Shape', [node.input(0)]);
  const part = emit.slice(whole, node.int('start', 0), node.int('end', 2 ** 31 - 1), 0);
  node.graph.replaceUses(node.output(), part);
  node.graph.remove(node);
  return undefined;
};

const gridModes: Form = (node, step) => {
  const mode = node.string('mode');
  if (crosses(step, 20) && (mode === 'linear' || mode === 'cubic')) node.setAttr('mode', `bi${mode}`);
  return undefined;
};

const resize: Form = all(
  only('antialias', 18, isZero('antialias')),
  only('axes', 18, never),
  only('keep_aspect_ratio_policy', 18, (node) => node.string('keep_aspect_ratio_policy') === 'stretch'),
);

const scatter: Form = all(
  (node, step) =>
    crosses(step, 18) && ['max', 'min'].includes(node.string('reduction') ?? '')
      ? 'its reduction came with opset 18'
      : undefined,
  only('reduction', 16, (node) => (node.string('reduction') ?? 'none') === 'none'),
);

const quantize: Form = all(
  only('block_size', 21, isZero('block_size')),
  only('output_dtype', 21, isZero('output_dtype')),
  (node, step) =>
    node.is('DequantizeLinear') ? only('output_dtype', 23, isZero('output_dtype'))(node, step) : undefined,
  only('saturate', 19, () => true),
  only('precision', 23, isZero('precision')),
);

const ones =
  (name: string) =>
  (node: Node): boolean =>
    (node.ints(name) ?? []).every((value) => value === 1);

/** What is not said stands for half a pixel since opset 16; before, coordinates were not moved. */
const roiAlign: Form = (node, step) => {
  const mode = node.string('coordinate_transformation_mode') ?? 'half_pixel';
  if (crosses(step, 16) && mode !== 'output_half_pixel') return `its coordinates (${mode}) came with opset 16`;
  return only('coordinate_transformation_mode', 16, () => true)(node, step);
};

/** Until opset 17 these took optionals alone; since, values as they are too, and none at all. */
const optional: Form = (node, step) => {
  if (!crosses(step, 18) || step.types.typeOf(node.input(0))?.kind === 'optional') return undefined;
  return 'what it takes is not known to be an optional, which opset 18 brought';
};

const recurrent = only('layout', 14, isZero('layout'));

export const forms: Readonly<Record<string, Form>> = {
  ...Object.fromEntries(
    'L1 L2 LogSum LogSumExp Max Mean Min Prod SumSquare'.split(' ').map((name) => [`Reduce${name}`, reduction]),
  ),
  Split: split,
  Pad: pad,
  Shape: shape,
  GridSample: gridModes,
  Resize: resize,
  ScatterElements: scatter,
  ScatterND: scatter,
  QuantizeLinear: quantize,
  DequantizeLinear: quantize,
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,
  Cast: all(
    only('saturate', 19, () => true),
    only('round_mode', 24, () => true),
  ),
  CastLike: all(
    (_, step) => (crosses(step, 15) ? 'it came with opset 15' : undefined),
    only('saturate', 19, () => true),
  ),
  Reshape: only(
    'allowzero',
    14,
    (node) => isZero('allowzero')(node) || constantNumbers(node.input(1))?.includes(0) === false,
  ),
  BatchNormalization: only('training_mode', 14, isZero('training_mode')),
  AveragePool: only('dilations', 19, ones('dilations')),
  LpPool: all(only('ceil_mode', 18, isZero('ceil_mode')), only('dilations', 18, ones('dilations'))),
  RoiAlign: roiAlign,
  Attention: all(
    (node, step) =>
      crosses(step, 24) && node.input(6) ? 'it has lengths of keys without padding, which opset 24 brought' : undefined,
    only('left_window_size', 25, isMinusOne('left_window_size')),
    only('right_window_size', 25, isMinusOne('right_window_size')),
  ),
  OptionalGetElement: optional,
  OptionalHasElement: optional,
  DFT: (_, step) => (crosses(step, 20) ? 'its axis became an input in opset 20' : undefined),
  ReduceMax: reduction,
  CumSum: () => undefined,
};

/** Operators that came after opset 13 and have no older form here; those of `lowerings` are not among them. */
const introduced: readonly (readonly [opset: number, names: string])[] = [
  [14, 'Trilu'],
  [15, 'Bernoulli Optional OptionalGetElement OptionalHasElement'],
  [17, 'BlackmanWindow HammingWindow HannWindow MelWeightMatrix SequenceMap STFT DFT'],
  [18, 'BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im'],
  [19, 'DeformConv'],
  [20, 'AffineGrid ImageDecoder RegexFullMatch StringConcat StringSplit'],
  [24, 'TensorScatter'],
  [26, 'BitCast CumProd'],
  [27, 'CausalConvWithState LinearAttention'],
  [28, 'SwiGLU'],
];

const sinceOf = new Map(introduced.flatMap(([opset, names]) => names.split(' ').map((name) => [name, opset] as const)));

/** The opset that an operator came with, where that is above 13; GridSample, PRelu and the like came earlier or stand in `forms`. */
export function cameWith(node: Node): number | undefined {
  return node.op === 'GridSample' ? 16 : sinceOf.get(node.op);
}
