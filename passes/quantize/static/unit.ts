import { constantOf, constantScalar } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { movers } from '../../../src/ir/movers.ts';
import { typedArray } from '../../../src/ir/tensor.ts';
import type { RealRange } from '../../../src/kernels/calibrate.ts';
import { allFinite } from '../../../src/kernels/quantize.ts';
import { float32First } from '../linear.ts';
import { readWeighted, type Weighted } from './weighted.ts';

/**
 * A node that ONNX Runtime runs on integers when its inputs come from DequantizeLinear, together with the Relu or Clip behind it
 * that the quantized output can stand for (the conditions of core/optimizer/qdq_transformer/selectors_actions, measured).
 */
export interface Unit {
  readonly node: Node;
  /**
   * weighted: multiplies with constant weights, where the time goes · compute: cheaper arithmetic with an integer kernel · mover:
   * rearranges the integers, so that scale and zero point are the same on both sides.
   */
  readonly kind: 'weighted' | 'compute' | 'mover';
  /** Indices of the inputs that must be dequantized values: activations and constant operands, not weights and biases. */
  readonly inputs: readonly number[];
  readonly outputs: readonly Value[];
  /** Relu or Clip between the node and its output, and what it lets through. */
  readonly clamp: Node | undefined;
  readonly bounds: RealRange | undefined;
  /** False for MatMul and Gemm, which can hand out floats. */
  readonly needsOutput: boolean;
  readonly weighted: Weighted | undefined;
  /** An output range that is known beforehand. */
  readonly fixed: 'softmax' | undefined;
}

const computeInputs: Readonly<Record<string, (node: Node) => number[]>> = {
  Add: () => [0, 1],
  Mul: () => [0, 1],
  Concat: (node) => node.inputs.map((_, index) => index),
  Where: () => [1, 2],
  Sigmoid: () => [0],
  LeakyRelu: () => [0],
  Softmax: () => [0],
  AveragePool: () => [0],
  GlobalAveragePool: () => [0],
};

const weightedOps = new Set(['Conv', 'MatMul', 'Gemm']);

/** Why ops that one might expect to be quantized are not. */
export const neverQuantized: Readonly<Record<string, string>> = {
  ConvTranspose: 'ONNX Runtime has no integer ConvTranspose on the CPU',
  LSTM: 'ONNX Runtime has no statically quantized LSTM: quantize-dynamic makes it smaller',
  GRU: 'ONNX Runtime has no quantized GRU: to-fp16 makes it smaller',
  RNN: 'ONNX Runtime has no quantized RNN: to-fp16 makes it smaller',
};

/** Ops that the CPU provider has no integer kernel of: Q and DQ around them would only add work (reference §4.3, each row measured). */
const noKernel = new Set(
  `Sub Div Erf Tanh HardSwish HardSigmoid ReduceMean ReduceSum LayerNormalization InstanceNormalization GroupNormalization
  BatchNormalization RMSNormalization Gelu Mish Softplus Elu Selu Celu PRelu Pow Sqrt Exp Log Abs Neg Reciprocal Max Min Einsum
  LpPool GlobalMaxPool CumSum Pad`.split(/\s+/),
);

/** Why a node that computes stays in float: told when asked. */
export function floatReason(node: Node): string | undefined {
  if (node.domain !== '') return undefined;
  if (node.op === 'Relu' || node.op === 'Clip')
    return `${node.op} has no integer kernel: it goes into the range of what stands before it, where that runs on integers and has no other reader`;
  return noKernel.has(node.op)
    ? `ONNX Runtime has no integer ${node.op} on the CPU: QuantizeLinear and DequantizeLinear around it would only add work`
    : undefined;
}

export const quantizableOps: readonly string[] = [...weightedOps, ...Object.keys(computeInputs), ...movers];

/** True for ops whose staying in float is worth a sentence. */
export function isHeavy(node: Node): boolean {
  return node.domain === '' && (weightedOps.has(node.op) || Object.hasOwn(neverQuantized, node.op));
}

/**
 * The unit around a node of the main graph.
 * @returns a sentence when the node is of a kind that can be quantized but must not be; undefined for other nodes.
 */
export function readUnit(node: Node, options: { readonly minElements: number }): Unit | string | undefined {
  if (node.domain !== '') return undefined;
  const unusual = node.outputs.find((output) => output && output.dtype !== 'float32');
  if (weightedOps.has(node.op)) {
    if (unusual) return notFloat32(unusual);
    const weighted = readWeighted(node, options.minElements);
    if (typeof weighted === 'string') return weighted;
    return finish(node, 'weighted', [0], weighted);
  }
  const inputs = movers.has(node.op) ? [0] : computeInputs[node.op]?.(node);
  if (!inputs) return undefined;
  if (unusual) return notFloat32(unusual);
  const why = operandProblem(node, inputs);
  if (why) return why;
  return finish(node, movers.has(node.op) ? 'mover' : 'compute', inputs, undefined);
}

/** An AveragePool with dilations: QLinearAveragePool has none. */
export const isSpreadPool = (node: Node): boolean =>
  node.is('AveragePool') && (node.ints('dilations') ?? []).some((dilation) => dilation !== 1);

function operandProblem(node: Node, inputs: readonly number[]): string | undefined {
  let constants = 0;
  for (const index of inputs) {
    const value = node.input(index);
    if (!value) return `it lacks input ${index}`;
    if (value.dtype !== 'float32') return notFloat32(value);
    const tensor = constantOf(value);
    if (value.initializer && !tensor) return `its operand "${value.name}" is an initializer that a caller may replace`;
    if (!tensor) continue;
    constants++;
    if (!allFinite(typedArray(tensor, 'float32'))) return `its operand "${value.name}" holds NaN or infinite numbers`;
  }
  if (constants === inputs.length) return 'all its operands are constant: run simplify first';
  if (movers.has(node.op)) return moverProblem(node);
  return isSpreadPool(node) ? 'it has dilations, which the integer AveragePool of ONNX Runtime has not' : undefined;
}

/** Why what moves values cannot move their codes; undefined where it can. */
export function moverProblem(node: Node): string | undefined {
  if (node.op === 'MaxPool' && node.outputs[1]) return 'it gives the indices of the largest too';
  if (node.op === 'Resize' && !['nearest', undefined].includes(node.string('mode')))
    return `it interpolates (mode ${node.string('mode')}), which ONNX Runtime does not do on integers`;
  if (node.op === 'Resize' && node.string('coordinate_transformation_mode') === 'tf_crop_and_resize')
    return 'it crops, and what lies outside of its input becomes a number of its own (extrapolation_value), which the codes need not have';
  return undefined;
}

const notFloat32 = (value: Value): string =>
  `"${value.name}" is ${value.dtype ?? 'of unknown type'}, not float32${float32First(value.dtype)}`;

function finish(node: Node, kind: Unit['kind'], inputs: readonly number[], weighted: Weighted | undefined): Unit {
  const behind = kind === 'mover' ? undefined : clampBehind(node);
  // A Gemm is fused with its activation first, and then stays in float, unless that is quantized.
  const needsOutput = kind !== 'weighted' || node.op === 'Conv' || (node.op === 'Gemm' && behind !== undefined);
  return {
    node,
    kind,
    inputs,
    outputs: behind ? [behind.clamp.output()] : node.outputs.filter((output) => output !== undefined),
    clamp: behind?.clamp,
    bounds: behind?.bounds,
    needsOutput,
    weighted,
    fixed: node.op === 'Softmax' && !behind ? 'softmax' : undefined,
  };
}

/** The Clip of opset 10 and below: ONNX Runtime 1.30 drops one between integers and cannot load what is left. */
export const hasBoundsAsAttributes = (clip: Node): boolean =>
  clip.attr('min') !== undefined || clip.attr('max') !== undefined;

/** The only reader of the node, where that is a Relu or a Clip with constant bounds around zero. */
function clampBehind(node: Node): { clamp: Node; bounds: RealRange } | undefined {
  const output = node.outputs[0];
  if (!output || output.isGraphOutput || output.useCount !== 1 || node.outputs.length !== 1) return undefined;
  const [clamp] = output.consumers;
  if (!clamp || clamp.list !== node.list || clamp.input(0) !== output || clamp.domain !== '') return undefined;
  if (clamp.op === 'Relu') return { clamp, bounds: { low: 0, high: Number.POSITIVE_INFINITY } };
  if (clamp.op !== 'Clip' || hasBoundsAsAttributes(clamp)) return undefined;
  const low = clamp.input(1) ? constantScalar(clamp.input(1)) : Number.NEGATIVE_INFINITY;
  const high = clamp.input(2) ? constantScalar(clamp.input(2)) : Number.POSITIVE_INFINITY;
  if (low === undefined || high === undefined || !(low <= 0 && high > 0)) return undefined;
  return { clamp, bounds: { low, high } };
}
