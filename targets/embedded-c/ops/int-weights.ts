import type { Node } from '../../../src/ir/graph.ts';
import type { Tensor } from '../../../src/ir/tensor.ts';
import type { Compiler } from '../compile/compiler.ts';
import { integers } from '../compile/constants.ts';
import { cannot, type Ref } from '../compile/types.ts';

/** Weights as int8 around a zero point: unsigned ones are moved by 128. */
export function int8Weights(tensor: Tensor, zero: number): { bytes: Uint8Array; zero: number } | undefined {
  if (tensor.dtype === 'int8') return { bytes: tensor.bytes(), zero };
  if (tensor.dtype !== 'uint8') return undefined;
  return { bytes: Uint8Array.from(tensor.bytes(), (value) => (value - 128) & 255), zero: zero - 128 };
}

interface IntWeights {
  readonly ref: Ref;
  readonly zero: number;
  /** One for each output. */
  readonly scales: Float32Array;
}

/** Weights behind a DequantizeLinear with scales for each output (axis 0), or one for all. */
export function intWeights(compiler: Compiler, node: Node, outputs: number): IntWeights | undefined {
  const dequantizer = node.inputs[1]?.producer;
  const data = dequantizer && compiler.constantOf(dequantizer.inputs[0]);
  if (!dequantizer || !data || dequantizer.int('block_size', 0) !== 0) return undefined;
  const scales = compiler.numbers(dequantizer, 1);
  const zeroTensor = compiler.constantOf(dequantizer.inputs[2]);
  const zeros = zeroTensor ? Array.from(integers(zeroTensor) ?? []) : [0];
  const axis = dequantizer.int('axis', 1);
  if (!scales || (scales.length > 1 && (axis !== 0 || scales.length !== outputs))) return undefined;
  if (zeros.some((zero) => zero !== zeros[0])) return undefined;
  const moved = int8Weights(data, zeros[0] ?? 0);
  if (!moved) return undefined;
  return {
    ref: compiler.bytes('i8', data.shape, moved.bytes),
    zero: moved.zero,
    scales: Float32Array.from({ length: outputs }, (_, i) => scales[scales.length === 1 ? 0 : i] ?? 1),
  };
}

/** Bias as whole numbers in units of input scale times weight scale; as it stands in the model where it is quantized so. */
export function intBias(compiler: Compiler, node: Node, units: Float64Array): Int32Array {
  const value = node.inputs[2];
  if (!value) return new Int32Array(units.length);
  const dequantizer = value.producer?.is('DequantizeLinear') ? value.producer : undefined;
  const source = compiler.constantOf(dequantizer?.inputs[0]);
  const scales = dequantizer && compiler.numbers(dequantizer, 1);
  const isInUnits =
    scales && units.every((unit, i) => Math.abs((scales[scales.length === 1 ? 0 : i] ?? 0) / unit - 1) < 1e-4);
  if (source?.dtype === 'int32' && isInUnits && !dequantizer.inputs[2]) return Int32Array.from(integers(source) ?? []);
  const bias = compiler.numbers(node, 2) ?? cannot(node, 'its bias must be a constant');
  return Int32Array.from(units, (unit, i) => Math.round((bias[i] ?? 0) / unit));
}
