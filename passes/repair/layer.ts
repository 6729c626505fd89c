import { constantOf } from '../../src/ir/constant.ts';
import type { Graph, Node, Value } from '../../src/ir/graph.ts';
import { elementCount, tensorFrom, typedArray } from '../../src/ir/tensor.ts';
import type { ChannelGrid } from '../../src/kernels/equalize.ts';
import { allFinite } from '../../src/kernels/quantize.ts';
import { addConstant } from '../../src/rewrite/edit.ts';
import { releaseConstant } from '../../src/rewrite/release-constant.ts';
import { readLinear } from '../quantize/linear.ts';

/**
 * A Conv, Gemm or MatMul with constant float32 weights of its own. The weights lie as [a, b, inner]; `output` and `input` name the channels
 * of a pair (a, b).
 */
export interface Layer {
  readonly node: Node;
  /** The value that holds the weights (in front of a Transpose, where there is one). */
  readonly weight: Value;
  readonly shape: readonly number[];
  data: Float32Array;
  readonly a: number;
  readonly b: number;
  readonly inner: number;
  readonly outputs: number;
  readonly inputs: number;
  readonly output: (a: number, b: number) => number;
  readonly input: (a: number, b: number) => number;
  /** One number per output channel, as it counts in the output; undefined where the layer has no bias. */
  bias: Float32Array | undefined;
  readonly beta: number;
  readonly alpha: number;
}

/** @returns a sentence where the node is no such layer, or must not be rescaled. */
export function readLayer(node: Node): Layer | string {
  const layer = node.op === 'Conv' ? readConv(node) : readProduct(node);
  if (typeof layer === 'string') return layer;
  const { weight } = layer;
  const [direct] = weight.consumers;
  const reader = direct?.is('Transpose') ? direct.output() : weight;
  if (weight.useCount > 1 || reader.useCount > 1 || weight.isGraphOutput || reader.isGraphOutput) {
    const other = [...weight.consumers, ...reader.consumers].find((one) => one !== node && one !== direct);
    return `its weights "${weight.name}" are shared${other ? ` with ${other}` : ''}, and scaling them would change what else reads them`;
  }
  if (!allFinite(layer.data)) return `its weights "${weight.name}" hold NaN or infinite numbers`;
  if (layer.bias && !allFinite(layer.bias)) return `its bias "${node.input(2)?.name}" holds NaN or infinite numbers`;
  return layer;
}

function constantFloats(
  value: Value | undefined,
  what: string,
): { value: Value; shape: readonly number[]; data: Float32Array } | string {
  const tensor = constantOf(value);
  if (!value || !tensor) {
    if (value?.initializer)
      return `its ${what} "${value.name}" are a graph input too, so a caller may replace them: make them a plain initializer`;
    return `its ${what} "${value?.name ?? ''}" are not constant`;
  }
  if (tensor.dtype !== 'float32') return `its ${what} "${value.name}" are ${tensor.dtype}, not float32`;
  return { value, shape: tensor.shape, data: typedArray(tensor, 'float32') };
}

function readConv(node: Node): Layer | string {
  const found = constantFloats(node.input(1), 'weights');
  if (typeof found === 'string') return found;
  const { value: weight, shape, data } = found;
  const [outputs = 0, perGroup = 0] = shape;
  const groups = node.int('group', 1);
  if (shape.length < 3 || outputs === 0 || groups < 1 || outputs % groups !== 0)
    return `its weights "${weight.name}" have the shape [${shape.join(', ')}] in ${groups} groups, which is no convolution`;
  const bias = readBias(node, outputs, 1);
  if (typeof bias === 'string') return bias;
  return {
    node,
    weight,
    shape,
    data,
    a: outputs,
    b: perGroup,
    inner: elementCount(shape.slice(2)),
    outputs,
    inputs: perGroup * groups,
    output: (a) => a,
    input: (a, b) => Math.floor(a / (outputs / groups)) * perGroup + b,
    bias,
    alpha: 1,
    beta: 1,
  };
}

function readProduct(node: Node): Layer | string {
  const linear = readLinear(node);
  if (typeof linear === 'string') return linear;
  const { weight, tensor, batch, k, n, rows, alpha, beta, c, transA } = linear;
  if (batch.length > 0) return `its weights "${weight.name}" are a batch of matrices`;
  if (transA) return 'it transposes its input';
  const found = constantFloats(weight, 'weights');
  if (typeof found === 'string') return found;
  const bias = c && beta !== 0 ? readBias(node, n, beta) : undefined;
  if (typeof bias === 'string') return bias;
  return {
    node,
    weight,
    shape: tensor.shape,
    data: found.data,
    a: rows === 'k' ? k : n,
    b: rows === 'k' ? n : k,
    inner: 1,
    outputs: n,
    inputs: k,
    output: rows === 'k' ? (_, b) => b : (a) => a,
    input: rows === 'k' ? (a) => a : (_, b) => b,
    bias,
    alpha,
    beta,
  };
}

function readBias(node: Node, channels: number, beta: number): Float32Array | string | undefined {
  const value = node.input(2);
  if (!value) return undefined;
  const found = constantFloats(value, 'biases');
  if (typeof found === 'string') return found;
  const { shape, data } = found;
  const isRow = shape.slice(0, -1).every((dim) => dim === 1) && (data.length === channels || data.length === 1);
  if (!isRow) return `its bias "${value.name}" has the shape [${shape.join(', ')}], not one number per output channel`;
  return Float32Array.from({ length: channels }, (_, c) => (data[data.length === 1 ? 0 : c] as number) * beta);
}

/** Largest magnitudes of the weights, for `equalizeFactors`. */
export function gridOf({ a, b, inner, data, output, input }: Layer): ChannelGrid {
  const max = new Float64Array(a * b);
  for (let block = 0, at = 0; block < max.length; block++) {
    let most = 0;
    for (const end = at + inner; at < end; at++) most = Math.max(most, Math.abs(data[at] as number));
    max[block] = most;
  }
  return { a, b, max, output, input };
}

/** Weights times a factor for each pair of channels; outputs of `bias` times theirs. */
export function scaleLayer(
  layer: Layer,
  output: ((channel: number) => number) | undefined,
  input?: (channel: number) => number,
): void {
  const { a, b, inner, data } = layer;
  const scaled = new Float32Array(data.length);
  for (let i = 0, at = 0; i < a; i++) {
    for (let j = 0; j < b; j++) {
      const factor = (output?.(layer.output(i, j)) ?? 1) * (input?.(layer.input(i, j)) ?? 1);
      for (const end = at + inner; at < end; at++) scaled[at] = (data[at] as number) * factor;
    }
  }
  layer.data = scaled;
  if (output && layer.bias) layer.bias = layer.bias.map((x, c) => x * output(c));
}

/** Stores weights and bias as they are by now: new constants, the old ones dropped. */
export function storeLayer(layer: Layer): void {
  const { node, weight, shape, data, bias } = layer;
  const reader = weight.consumers[0] ?? node;
  const index = reader.inputs.indexOf(weight);
  // A Transpose may stand in a graph around that of the node.
  reader.setInput(index, addConstant(reader, weight.name, tensorFrom('float32', shape, data)));
  releaseConstant(weight);
  const old = node.input(2);
  if (!bias || node.op === 'MatMul') return;
  if (layer.beta === 0) node.removeAttr('beta');
  const stored = layer.beta === 0 || layer.beta === 1 ? bias : bias.map((x) => x / layer.beta);
  node.setInput(
    2,
    addConstant(node, old?.name ?? `${weight.name}_bias`, tensorFrom('float32', [stored.length], stored)),
  );
  releaseConstant(old);
}

/** Before this opset Add and Mul broadcast along an axis of their own choice. */
const oldestOpset = 7;

/** Why a model is left as it is, if so. */
export const tooOld = (opset: number): string | undefined =>
  opset < oldestOpset
    ? `opset ${opset} is too old: Add and Mul meant something else before opset ${oldestOpset}; export the model anew`
    : undefined;

/** Where a graph input stands among `graph`'s own values; statistics exist for the main graph alone. */
export const isMain = (graph: Graph): boolean => graph.model?.graph === graph;
