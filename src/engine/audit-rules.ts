import { constantOf, constantScalar } from '../ir/constant.ts';
import type { Node, Value } from '../ir/graph.ts';
import { movers } from '../ir/movers.ts';
import { toNumbers } from '../ir/tensor.ts';
import { smallProduct } from '../kernels/blockwise.ts';

/**
 * Why ONNX Runtime left a node in float although it stands between DequantizeLinear and QuantizeLinear, or why a
 * quantized node is slow: the conditions of its QDQ selectors (core/optimizer/qdq_transformer/selectors_actions) and
 * measured kernel facts, one sentence each.
 */

interface Fusion {
  /** What the runtime makes of it. */
  readonly into: string;
  /** Whether the output must be quantized for it. */
  readonly output: 'required' | 'optional';
  /** Inputs that must come from DequantizeLinear; undefined: all. */
  readonly inputs?: number;
  /** Index of a bias input. */
  readonly bias?: number;
}

const fusions: Readonly<Record<string, Fusion>> = {
  Conv: { into: 'QLinearConv', output: 'required', inputs: 2, bias: 2 },
  MatMul: { into: 'QLinearMatMul', output: 'optional' },
  Gemm: { into: 'QGemm', output: 'optional', inputs: 2, bias: 2 },
  Add: { into: 'QLinearAdd', output: 'required' },
  Mul: { into: 'QLinearMul', output: 'required' },
  Sigmoid: { into: 'QLinearSigmoid', output: 'required' },
  LeakyRelu: { into: 'QLinearLeakyRelu', output: 'required' },
  Softmax: { into: 'QLinearSoftmax', output: 'required' },
  AveragePool: { into: 'QLinearAveragePool', output: 'required' },
  GlobalAveragePool: { into: 'QLinearGlobalAveragePool', output: 'required' },
  Concat: { into: 'QLinearConcat', output: 'required' },
  Where: { into: 'QLinearWhere', output: 'required' },
};

const weighted = new Set(['Conv', 'FusedConv', 'Gemm', 'FusedGemm', 'MatMul', 'FusedMatMul']);

/** Float fusions of the runtime that hide the op which could have been an integer one. */
const fusedFrom: Readonly<Record<string, string>> = { FusedConv: 'Conv', FusedGemm: 'Gemm', FusedMatMul: 'MatMul' };

/** Ops that stay in float whatever stands around them. */
const floatOnly = new Set([
  'Sub',
  'Div',
  'Erf',
  'Tanh',
  'HardSwish',
  'ReduceMean',
  'LayerNormalization',
  'Gelu',
  'Pow',
  'Sqrt',
  'Exp',
]);

/** A sentence for a node of the optimized graph that breaks a rule; undefined when nothing is wrong with it. */
export function explainNode(node: Node): string | undefined {
  if (node.op === 'ConvInteger') return explainConvInteger(node);
  if (node.op === 'MatMulInteger') {
    return 'stayed a MatMulInteger with its scaling apart: only DynamicQuantizeLinear → MatMulInteger → Cast → Mul with the standard order of scales becomes one kernel';
  }
  if (node.op === 'MatMulNBits') return explainMatMulNBits(node);
  const dequantized = node.inputs.filter((input) => isDequantized(input));
  if (dequantized.length === 0) return undefined;
  if (node.op === 'QuantizeLinear') return undefined;
  const fusion = fusions[node.domain === '' ? node.op : (fusedFrom[node.op] ?? '')];
  if (fusion) return explainFusion(node, fusion);
  if (movers.has(node.op)) return explainMover(node);
  if ((node.op === 'Relu' || node.op === 'Clip') && quantizersOf(node).length > 0) {
    return `${node.op} keeps running in float: it is dropped only when the zero point of the QuantizeLinear behind it stands for its lower bound`;
  }
  if (floatOnly.has(node.op) && quantizersOf(node).length > 0) {
    return `${node.op} has no integer kernel on the CPU: Q/DQ around it only add work, leave it in float`;
  }
  if (dequantized.every((input) => constantOf(input?.producer?.input(0)) !== undefined)) {
    return `its quantized weight is turned back into float on every run: ONNX Runtime has no kernel of ${node.op} that reads it`;
  }
  return undefined;
}

function explainFusion(node: Node, fusion: Fusion): string | undefined {
  const wanted = node.inputs.slice(0, fusion.inputs);
  const weightOnly = wanted.filter(isDequantized).every((input) => constantOf(input?.producer?.input(0)) !== undefined);
  const missing = wanted.findIndex(
    (input, index) => input !== undefined && !(node.op === 'Where' && index === 0) && !isDequantized(input),
  );
  // Weights in plain float: somebody chose to leave it there.
  if (weighted.has(node.op) && !isDequantized(node.input(1))) return undefined;
  if (missing >= 0) {
    if (weightOnly && (node.op === 'MatMul' || node.op === 'Gemm')) return explainWeightOnly(node);
    if (weightOnly)
      return `only its weight is quantized, and is turned back into float on every run: quantize its input "${node.inputs[missing]?.name}" too, or store the weight in float`;
    return `its input "${node.inputs[missing]?.name}" does not come from a DequantizeLinear, as ${fusion.into} needs`;
  }
  const output = node.outputs[0];
  const { into } = fusion;
  const quantizers = quantizersOf(node);
  const activation = node.string('activation');
  if (activation !== undefined) return explainActivation(activation, quantizers[0], into);
  if (output?.isGraphOutput) {
    return `it makes the graph output "${output.name}" itself: ${into} needs a QuantizeLinear (and DequantizeLinear) behind it`;
  }
  const others = (output?.consumers ?? []).filter((consumer) => consumer.op !== 'QuantizeLinear');
  const [next] = others;
  if (next && others.length === 1 && quantizers.length === 0 && limits.has(next.op)) {
    return explainActivation(String(next), quantizersOf(next)[0], into);
  }
  if (quantizers.length === 0 && fusion.output === 'required') {
    return `its output is not quantized${next ? ` (read in float by ${next})` : ''}; ${into} needs a QuantizeLinear behind it`;
  }
  if (quantizers.length > 1)
    return `its output goes to ${quantizers.length} QuantizeLinear nodes; ${into} gives one quantized output`;
  if (quantizers.length === 1 && next)
    return `its output is also read in float by ${next}; with a second reader ${into} cannot take over`;
  return explainTypes(node, fusion, quantizers[0]) ?? explainBias(node, fusion) ?? explainRest(node, fusion);
}

/** Activations that a quantized output can stand for. */
const limits = new Set(['Relu', 'Clip']);

/** An activation directly behind the node (`quantizer`: the QuantizeLinear behind that) that keeps it in float. */
function explainActivation(activation: string, quantizer: Node | undefined, into: string): string {
  if (!quantizer)
    return `${activation} stands behind it and its output is not quantized; ${into} needs a QuantizeLinear there`;
  if (![...limits].some((op) => activation.startsWith(op))) {
    return `${activation} follows it in float; ${into} needs a QuantizeLinear between the two`;
  }
  const zero = constantScalar(quantizer.input(2)) ?? 0;
  return `${activation} stands between it and its QuantizeLinear, whose zero point ${zero} is not the lowest code: with a symmetric range it cannot be folded into ${into}`;
}

function explainTypes(node: Node, fusion: Fusion, quantizer: Node | undefined): string | undefined {
  const types = node.inputs
    .slice(0, fusion.inputs)
    .filter(isDequantized)
    .map((input) => input?.producer?.input(0)?.dtype);
  const out = quantizer?.outputs[0]?.dtype ?? quantizer?.input(2)?.dtype;
  if ([...types, out].some((dtype) => dtype === 'int16' || dtype === 'uint16'))
    return '16-bit quantization has no integer kernels on the CPU: use 8 bits';
  const [activation, weight] = types;
  if (activation === 'int8' && weight === 'uint8')
    return 'int8 activations need int8 weights; this one has uint8 weights';
  if (activation !== undefined && out !== undefined && activation !== out)
    return `its input is ${activation} and its output ${out}: ${fusion.into} needs the same type on both sides`;
  return undefined;
}

function explainBias(node: Node, { bias, into }: Fusion): string | undefined {
  const value = bias === undefined ? undefined : node.input(bias);
  const dq = value?.producer;
  if (!dq || dq.op !== 'DequantizeLinear') return undefined;
  if (dq.input(0)?.dtype !== undefined && dq.input(0)?.dtype !== 'int32')
    return `its bias is quantized as ${dq.input(0)?.dtype}; ${into} takes int32 (or float)`;
  const biasScale = scales(dq);
  const inputScale = scales(node.input(0)?.producer)?.[0];
  const weightScale = scales(node.input(1)?.producer);
  if (!biasScale || inputScale === undefined || !weightScale) return undefined;
  let worst = 0;
  for (const [channel, scale] of biasScale.entries()) {
    const expected = inputScale * (weightScale[weightScale.length === 1 ? 0 : channel] ?? 0);
    worst = Math.max(worst, Math.abs(scale / expected - 1));
  }
  if (worst <= 0.01) return undefined;
  return `the scale of its bias is ${(worst * 100).toFixed(1)} % off input scale × weight scale; more than 1 % keeps it in float`;
}

function explainRest(node: Node, { into }: Fusion): string {
  if (node.op === 'Gemm' && node.float('beta', 1) !== 1) return `beta is ${node.float('beta', 1)}; ${into} needs 1`;
  const scale = node.inputs.find(
    (input) => isDequantized(input) && constantOf(input?.producer?.input(1)) === undefined,
  );
  if (scale) return `the scale of its input "${scale.name}" is computed at run time; ${into} needs a constant`;
  const axis = node.op === 'Conv' ? node.input(1)?.producer?.int('axis', 1) : undefined;
  if (axis !== undefined && axis !== 0 && (scales(node.input(1)?.producer)?.length ?? 1) > 1) {
    return `its weight is quantized along axis ${axis}; ${into} takes axis 0 (output channels)`;
  }
  return `it stands between DequantizeLinear and QuantizeLinear but was not made a ${into}; no known rule of ONNX Runtime says why`;
}

function explainWeightOnly(node: Node): string | undefined {
  const dq = node.input(1)?.producer;
  const block = dq?.int('block_size', 0) ?? 0;
  if (dq && block > 0 && (block < 16 || (block & (block - 1)) !== 0))
    return `its weight is quantized in blocks of ${block}; MatMulNBits needs a power of two from 16`;
  if (dq && (dq.input(0)?.shape?.length ?? 2) !== 2)
    return 'its weight is not a matrix, so MatMulNBits cannot read it: it is turned back into float on every run';
  return 'its quantized weight is turned back into float on every run: MatMulNBits needs a constant matrix, quantized along its input features or per tensor';
}

function explainMover(node: Node): string | undefined {
  const dq = node.input(0)?.producer;
  const [quantizer] = quantizersOf(node);
  if (dq?.op !== 'DequantizeLinear' || !quantizer) return undefined;
  const same =
    scales(dq)?.join() === scales(quantizer)?.join() &&
    constantScalar(dq.input(2)) === constantScalar(quantizer.input(2));
  if (same) return undefined;
  return `${node.op} could move the integers as they are, but scale or zero point differ before and behind it: give both sides the same`;
}

function explainConvInteger(node: Node): string {
  const weights = node.input(1)?.dtype;
  const cost =
    weights === 'int8'
      ? 'with int8 weights it runs about 3.6 × slower than the float convolution'
      : 'it gains little over the float convolution';
  return `ConvInteger is never fused with its scaling; ${cost}: quantize convolutions statically`;
}

function explainMatMulNBits(node: Node): string | undefined {
  const bits = node.int('bits', 4);
  if (node.int('accuracy_level', 0) === 4 || node.input(0)?.dtype === 'float16') return undefined;
  if (bits === 4 && node.int('K', 0) * node.int('N', 0) <= smallProduct) return undefined;
  if (bits === 4) return 'accuracy_level is not 4: without int8 arithmetic 4-bit weights run slower than float ones';
  return `accuracy_level is not 4: ${bits}-bit weights then run some 45 × slower than float ones`;
}

function isDequantized(value: Value | undefined): boolean {
  return value?.producer?.op === 'DequantizeLinear';
}

function quantizersOf(node: Node): Node[] {
  return node.outputs.flatMap((output) =>
    (output?.consumers ?? []).filter((consumer) => consumer.op === 'QuantizeLinear'),
  );
}

/** Scales of a Q or DQ, where they are constant. */
function scales(node: Node | undefined): number[] | undefined {
  const tensor = node && constantOf(node.input(1));
  return tensor && toNumbers(tensor);
}
