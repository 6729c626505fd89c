/** Operators that came after opset 13, in older ones (their specifications' own function bodies, where they have one). */
import { int } from '../../src/ir/attr.ts';
import type { Node, Value } from '../../src/ir/graph.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import type { Emit, Lowering } from './emit.ts';
import { lowerAttention } from './lower-attention.ts';
import { lowerRotary } from './lower-rotary.ts';

const floats = new Set(['float32', 'float64', 'float16']);

const x = (node: Node): Value => node.input(0) as Value;

function typeOf({ node, types }: Emit): string {
  const dtype = types.dtypeOf(node.input(0));
  return dtype && floats.has(dtype) ? dtype : `${node} works on ${dtype ?? 'an unknown type'}, which is not lowered`;
}

const isType = (text: string): text is 'float32' | 'float64' | 'float16' => floats.has(text);

/** Half precision is normalized in float32 (stash_type 1), and brought back before the scale. */
function normalized(emit: Emit, center: boolean): Value | string {
  const { node } = emit;
  const dtype = typeOf(emit);
  if (!isType(dtype)) return dtype;
  const rank = emit.shape(node.input(0))?.length;
  if (rank === undefined) return `the rank of "${node.input(0)?.name}" is not known`;
  if (node.outputs.slice(1).some((output) => output?.isUsed)) return `the mean or deviation of ${node} is used too`;
  const given = node.int('axis', -1);
  const axis = given < 0 ? given + rank : given;
  const axes = Array.from({ length: rank - axis }, (_, at) => axis + at);
  const wide = dtype === 'float16' && node.int('stash_type', 1) === 1;
  const own = wide ? 'float32' : dtype;
  const input = wide ? emit.op('Cast', [x(node)], { to: int(1) }) : x(node);
  const centred = center ? emit.op('Sub', [input, emit.mean(input, axes)]) : input;
  const variance = emit.mean(emit.op('Mul', [centred, centred]), axes);
  const epsilon = emit.number(node.float('epsilon', Math.fround(1e-5)), own);
  const deviation = emit.op('Sqrt', [emit.op('Add', [variance, epsilon])]);
  const result = emit.op('Div', [centred, deviation]);
  return wide ? emit.op('Cast', [result], { to: int(10) }) : result;
}

const layerNorm: Lowering = (emit) => {
  const result = normalized(emit, true);
  if (typeof result === 'string') return result;
  const [, scale, bias] = emit.node.inputs;
  const scaled = emit.op('Mul', [result, scale]);
  return [bias ? emit.op('Add', [scaled, bias]) : scaled];
};

const rmsNorm: Lowering = (emit) => {
  const result = normalized(emit, false);
  return typeof result === 'string' ? result : [emit.op('Mul', [result, emit.node.input(1)])];
};

const gelu: Lowering = (emit) => {
  const { node } = emit;
  const dtype = typeOf(emit);
  if (!isType(dtype)) return dtype;
  const input = x(node);
  const n = (value: number): Value => emit.number(value, dtype);
  const half = emit.op('Mul', [input, n(0.5)]);
  if ((node.string('approximate') ?? 'none') === 'none') {
    const erf = emit.op('Erf', [emit.op('Mul', [input, n(Math.SQRT1_2)])]);
    return [emit.op('Mul', [half, emit.op('Add', [erf, n(1)])])];
  }
  const cube = emit.op('Mul', [emit.op('Mul', [input, input]), input]);
  const inner = emit.op('Add', [input, emit.op('Mul', [cube, n(0.044715)])]);
  const tanh = emit.op('Tanh', [emit.op('Mul', [inner, n(Math.sqrt(2 / Math.PI))])]);
  return [emit.op('Mul', [half, emit.op('Add', [tanh, n(1)])])];
};

/** Groups as samples of one InstanceNormalization each; scale and bias by group up to opset 20, by channel from 21 on. */
const groupNorm =
  (from: number): Lowering =>
  (emit) => {
    const { node } = emit;
    const [input, scale, bias] = node.inputs;
    const dtype = typeOf(emit);
    if (dtype !== 'float32') return `${node} works on ${dtype}, which is not lowered`;
    const shape = emit.shape(input);
    const groups = node.int('num_groups', 1);
    if (!shape) return `the rank of "${input?.name}" is not known`;
    if (from < 21) return `${node} of opset ${from} scales by groups`;
    const parts = emit.op('Reshape', [input, emit.ints(0, groups, -1)]);
    const ones = emit.tensor(tensorFrom('float32', [groups], new Float32Array(groups).fill(1)));
    const zeros = emit.tensor(tensorFrom('float32', [groups], new Float32Array(groups)));
    const attr = node.attr('epsilon');
    const even = emit.op('InstanceNormalization', [parts, ones, zeros], attr ? { epsilon: attr } : {});
    const back = emit.op('Reshape', [even, emit.op('Shape', [input])]);
    const spatial = Array.from({ length: shape.length - 2 }, (_, at) => at + 1);
    const byChannel = (value: Value | undefined): Value => emit.unsqueeze(value as Value, ...spatial);
    return [emit.op('Add', [emit.op('Mul', [back, byChannel(scale)]), byChannel(bias)])];
  };

/** Operator → opset that it came with, and how it is said before. */
export const lowerings: Readonly<Record<string, { since(from: number): number; lower(from: number): Lowering }>> = {
  HardSwish: {
    since: () => 14,
    lower: () => (emit) => [emit.op('Mul', [x(emit.node), emit.hardSigmoid(x(emit.node))])],
  },
  LayerNormalization: { since: () => 17, lower: () => layerNorm },
  Mish: {
    since: () => 18,
    lower: () => (emit) => [emit.op('Mul', [x(emit.node), emit.op('Tanh', [emit.op('Softplus', [x(emit.node)])])])],
  },
  // What scale and bias belong to changed: since opset 21 it is another operator.
  GroupNormalization: { since: (from) => (from >= 21 ? 21 : 18), lower: groupNorm },
  Gelu: { since: () => 20, lower: () => gelu },
  RMSNormalization: { since: () => 23, lower: () => rmsNorm },
  RotaryEmbedding: { since: () => 23, lower: () => lowerRotary },
  Attention: { since: () => 23, lower: () => lowerAttention },
  Swish: { since: () => 24, lower: () => (emit) => [emit.swish(x(emit.node), emit.node.float('alpha', 1))] },
};
