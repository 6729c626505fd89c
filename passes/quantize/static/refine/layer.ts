import { constantOf } from '../../../../src/ir/constant.ts';
import type { Node, Value } from '../../../../src/ir/graph.ts';
import { elementCount, tensorFrom, typedArray } from '../../../../src/ir/tensor.ts';
import { largestBias, transpose } from '../../../../src/kernels/quantize.ts';
import type { CodedRows } from '../../../../src/kernels/weight-rows.ts';
import type { Unit } from '../unit.ts';
import type { Weighted } from '../weighted.ts';

/** A quantized layer as it stands in the QDQ model: int8 weights and the int32 bias with their scales. */
export interface QdqLayer {
  readonly node: Node;
  readonly weighted: Weighted;
  readonly codes: Value;
  readonly scale: Value;
  /** Float weights [n, k] as the product takes them, alpha of a Gemm left out. */
  readonly rows: Float32Array;
  readonly n: number;
  readonly k: number;
  readonly groups: number;
  /** What it gives out in the float model, before any activation. */
  readonly floatOutput: string;
  readonly bias: { readonly codes: Value; readonly scale: Value } | undefined;
  /** Where the bias stands, or would, in float: for engines that take no int32 (TensorRT). */
  readonly floatBias: { readonly reader: Node; readonly index: number } | undefined;
}

/** @returns undefined where weights or bias are not of this form: shared with another layer, or quantized elsewhere. */
export function readQdqLayer({ node, weighted }: Unit, floatOutput: string, inFloat: boolean): QdqLayer | undefined {
  const dequantize = node.input(1)?.producer;
  if (!weighted || !dequantize?.is('DequantizeLinear')) return undefined;
  const [codes, scale] = dequantize.inputs;
  if (!codes || !scale || constantOf(codes)?.dtype !== 'int8') return undefined;
  const { biasAt } = weighted;
  const reader = biasAt ? { reader: biasAt.add, index: biasAt.index } : { reader: node, index: 2 };
  const added = reader.reader.input(reader.index);
  const behind = added?.producer;
  const [biasCodes, biasScale] = behind?.is('DequantizeLinear') ? behind.inputs : [];
  const { tensor, transposed, channels } = weighted;
  const elements = elementCount(tensor.shape);
  const isConv = node.op === 'Conv';
  const k = elements / channels;
  const data = typedArray(tensor, 'float32');
  // As the file has it: Conv [N, K]; a product [K, N], unless exactly one of transB and a turned tensor says otherwise.
  const byRows = isConv || (node.op === 'Gemm' && node.int('transB', 0) !== 0) !== transposed;
  return {
    node,
    weighted,
    codes,
    scale,
    rows: byRows ? data : transpose(data, k, channels),
    n: channels,
    k,
    floatOutput,
    groups: isConv ? node.int('group', 1) : 1,
    // The Add behind a MatMul may be a unit of its own: what it adds is an activation's 8 bits then, no bias.
    bias:
      biasCodes && biasScale && constantOf(biasCodes)?.dtype === 'int32'
        ? { codes: biasCodes, scale: biasScale }
        : undefined,
    floatBias: inFloat ? reader : undefined,
  };
}

/** Whether the product takes its weights as [N, K]. */
const takesRows = ({ node }: QdqLayer): boolean =>
  node.op === 'Conv' || (node.op === 'Gemm' && node.int('transB', 0) !== 0);

/** The stored codes as rows. Scales come without alpha. */
export function codedRows(layer: QdqLayer): CodedRows {
  const { codes, scale, n, k, weighted } = layer;
  const stored = constantOf(codes)?.bytes() ?? new Uint8Array();
  const bytes = takesRows(layer) ? stored.slice() : transpose(stored, k, n);
  const scales = typedArray(constantOf(scale) ?? tensorFrom('float32', [0], new Float32Array()), 'float32');
  const own = weighted.alpha === 1 ? scales.slice() : scales.map((s) => s / weighted.alpha);
  return { codes: new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length), scales: own };
}

/** Puts other codes and scales in their place; the bias goes over to its new scale. */
export function storeRows(layer: QdqLayer, coded: CodedRows, inputScale: number): void {
  const { codes, scale, n, k, weighted, bias } = layer;
  const bytes = new Uint8Array(coded.codes.buffer, coded.codes.byteOffset, coded.codes.length);
  const shape = constantOf(codes)?.shape ?? [];
  const before = typedArray(constantOf(scale) ?? tensorFrom('float32', [0], new Float32Array()), 'float32').slice();
  const after = coded.scales.map((s) => s * weighted.alpha);
  codes.graph.setInitializer(
    codes,
    tensorFrom('int8', shape, new Int8Array((takesRows(layer) ? bytes : transpose(bytes, n, k)).buffer)),
  );
  if (after.every((s, c) => s === before[c])) return;
  scale.graph.setInitializer(scale, tensorFrom('float32', constantOf(scale)?.shape ?? [], after));
  if (bias)
    storeBias(
      layer,
      biasOf(layer),
      after.map((s) => s * inputScale),
    );
}

/** The bias as it is stored, in floats. */
export function biasOf({ bias, floatBias, n }: QdqLayer): Float64Array {
  const float = floatBias && constantOf(floatBias.reader.input(floatBias.index));
  if (float) {
    const data = typedArray(float, 'float32');
    return Float64Array.from({ length: n }, (_, c) => data[data.length === 1 ? 0 : c] as number);
  }
  const [codes, scale] = [constantOf(bias?.codes), constantOf(bias?.scale)];
  if (!codes || !scale) return new Float64Array(n);
  const ints = typedArray(codes, 'int32');
  const scales = typedArray(scale, 'float32');
  return Float64Array.from(
    { length: n },
    (_, c) => (ints[c] as number) * (scales[scales.length === 1 ? 0 : c] as number),
  );
}

/** Channels whose bias would not fit int32 in steps of these products. */
export function overflowingChannels(layer: QdqLayer, scales: Float32Array, inputScale: number): number[] {
  if (!layer.bias) return [];
  const factor = layer.weighted.alpha * inputScale;
  return [...biasOf(layer)].flatMap((b, c) => {
    const scale = scales[scales.length === 1 ? 0 : c] as number;
    return Math.abs(b) > largestBias * scale * factor ? [c] : [];
  });
}

/** @param scales of the products, one or one for each channel. @returns false where a number does not fit int32; nothing is changed then. */
export function storeBias({ bias }: QdqLayer, numbers: Float64Array, scales: Float32Array): boolean {
  if (!bias) return false;
  const ints = Int32Array.from(numbers, (b, c) => Math.round(b / (scales[scales.length === 1 ? 0 : c] as number)));
  if (numbers.some((b, c) => Math.abs(b / (scales[scales.length === 1 ? 0 : c] as number)) > largestBias)) return false;
  bias.codes.graph.setInitializer(bias.codes, tensorFrom('int32', [ints.length], ints));
  bias.scale.graph.setInitializer(bias.scale, tensorFrom('float32', constantOf(bias.scale)?.shape ?? [], scales));
  return true;
}
