import { constantOf } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount, type Tensor, typedArray } from '../../../src/ir/tensor.ts';
import { allFinite, intRanges } from '../../../src/kernels/quantize.ts';
import { tooSmallToScale } from '../dynamic/underflow.ts';
import { notConstant, readLinear } from '../linear.ts';

/** Constant weights and bias of a Conv, MatMul or Gemm. */
export interface Weighted {
  readonly weight: Value;
  readonly tensor: Tensor;
  /** Other nodes read the weights too. */
  readonly isShared: boolean;
  /** Stored as [N, K] where the node takes [K, N], or the other way round: the codes are turned. */
  readonly transposed: boolean;
  /** Axis of the output channels, as the node sees the weights; undefined: one scale for all. */
  readonly axis: number | undefined;
  /** Output channels. */
  readonly channels: number;
  /** Products that are added up for one output. */
  readonly k: number;
  /** Goes into the scales of the weights (Gemm). */
  readonly alpha: number;
  /** One number per output channel, already times beta. */
  readonly bias: Float32Array | undefined;
  readonly biasName: string;
  /** Where the bias of a MatMul stands: an operand of the Add behind it. */
  readonly biasAt?: { readonly add: Node; readonly index: number } | undefined;
}

/** @returns a sentence when the node cannot be quantized. */
export function readWeighted(node: Node, minElements: number): Weighted | string {
  const activation = node.input(0);
  if (activation && activation.dtype !== 'float32')
    return `its input "${activation.name}" is ${activation.dtype ?? 'of unknown type'}, not float32`;
  if (activation && constantOf(activation))
    return `its input "${activation.name}" is constant: run simplify first, which computes it`;
  const weighted = node.op === 'Conv' ? readConv(node) : readProduct(node, minElements);
  if (typeof weighted === 'string') return weighted;
  const { weight, tensor, bias, biasName } = weighted;
  if (tensor.dtype !== 'float32') return `its weights "${weight.name}" are ${tensor.dtype}, not float32`;
  const numbers = typedArray(tensor, 'float32');
  if (!allFinite(numbers)) return `its weights "${weight.name}" hold NaN or infinite numbers`;
  const small = tooSmallToScale(weight, largestOf(numbers), intRanges.int8.symmetric.max);
  if (small !== undefined) return small;
  if (bias && !allFinite(bias)) return `its bias "${biasName}" holds NaN or infinite numbers`;
  return weighted;
}

function largestOf(numbers: Float32Array): number {
  let largest = 0;
  for (let at = 0; at < numbers.length; at++) largest = Math.max(largest, Math.abs(numbers[at] as number));
  return largest;
}

function readConv(node: Node): Weighted | string {
  const weight = node.input(1);
  const tensor = constantOf(weight);
  if (!weight || !tensor) return notConstant(weight);
  const channels = tensor.shape[0] ?? 0;
  if (tensor.shape.length < 3 || elementCount(tensor.shape) === 0)
    return `its weights "${weight.name}" have the shape [${tensor.shape.join(', ')}], which is no convolution`;
  const bias = readBias(node.input(2), channels, 1);
  if (typeof bias === 'string') return bias;
  return {
    weight,
    tensor,
    isShared: weight.useCount > 1,
    transposed: false,
    axis: 0,
    channels,
    k: elementCount(tensor.shape.slice(1)),
    alpha: 1,
    ...bias,
  };
}

function readProduct(node: Node, minElements: number): Weighted | string {
  const linear = readLinear(node);
  if (typeof linear === 'string') return linear;
  const { weight, tensor, batch, n, rows, alpha, beta, c } = linear;
  const elements = elementCount(tensor.shape);
  if (elements < minElements)
    return `its weights "${weight.name}" have ${elements} elements: below ${minElements} there is nothing to gain (--min-elements)`;
  if (!(alpha > 0)) return `alpha is ${alpha}; only positive factors can go into the scale of the weights`;
  const wanted = node.op === 'Gemm' && node.int('transB', 0) !== 0 ? 'n' : 'k';
  const biasAt = node.op === 'MatMul' && batch.length === 0 ? biasBehind(node, n) : undefined;
  const bias = readBias(biasAt ? biasAt.add.input(biasAt.index) : beta === 0 ? undefined : c, n, beta);
  if (typeof bias === 'string') return bias;
  // Scales of batched weights would need a matrix of their own; one for all is what the kernel takes.
  const axis = batch.length > 0 ? undefined : wanted === 'n' ? 0 : 1;
  return {
    weight,
    tensor,
    isShared: weight.useCount > 1,
    transposed: rows !== wanted,
    axis,
    channels: n,
    k: linear.k,
    alpha,
    ...bias,
    biasAt,
  };
}

/**
 * The Add of a row of constants behind a MatMul that ONNX Runtime makes one Gemm of (MatMulAddFusion: matrices, and known extents). With a
 * bias in float that Gemm would not become a QGemm, and would turn its weights into floats on every run.
 */
function biasBehind(node: Node, channels: number): { add: Node; index: number } | undefined {
  const output = node.outputs[0];
  const [add] = output?.consumers ?? [];
  const shape = node.input(0)?.shape;
  const known = shape?.length === 2 || (shape !== undefined && shape.every((dim) => typeof dim === 'number'));
  if (!output || !add?.is('Add') || !known || output.useCount !== 1 || output.isGraphOutput || add.list !== node.list)
    return undefined;
  const index = add.input(0) === output ? 1 : 0;
  const tensor = constantOf(add.input(index));
  if (tensor?.dtype !== 'float32' || tensor.shape.length !== 1 || tensor.shape[0] !== channels) return undefined;
  return { add, index };
}

function readBias(
  value: Value | undefined,
  channels: number,
  beta: number,
): { bias: Float32Array | undefined; biasName: string } | string {
  if (!value) return { bias: undefined, biasName: '' };
  const tensor = constantOf(value);
  if (tensor?.dtype !== 'float32')
    return tensor
      ? `its bias "${value.name}" is ${tensor.dtype}, not float32`
      : `its bias "${value.name}" is not constant, and an integer kernel takes it as int32`;
  const { shape } = tensor;
  const count = elementCount(shape);
  const isRow = shape.slice(0, -1).every((dim) => dim === 1) && (count === channels || count === 1);
  if (!isRow)
    return `its bias "${value.name}" has the shape [${shape.join(', ')}]; an integer kernel takes one number per output channel (${channels})`;
  const data = typedArray(tensor, 'float32');
  const bias = Float32Array.from({ length: channels }, (_, c) => (data[count === 1 ? 0 : c] as number) * beta);
  return { bias, biasName: value.name };
}
