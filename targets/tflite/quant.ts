import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { readConstant } from './constant.ts';
import { type Converter, type Entry } from './converter.ts';
import type { Quant } from './graph.ts';
import type { Activation } from './schema.ts';

/** Where the result of a node goes: behind a fused activation, and as 8 bits where it is quantized right away. */
export interface Sink {
  readonly value: Value;
  readonly activation: Activation;
  /** Set where the output is 8-bit. */
  readonly quant?: Quant;
  readonly absorbed: readonly Node[];
}

/** A value that has exactly one reader and is no output of the graph. */
function onlyReader(value: Value): Node | undefined {
  return value.isGraphOutput || value.useCount !== 1 ? undefined : value.consumers[0];
}

function activationOf(c: Converter, node: Node | undefined): Activation | undefined {
  if (node?.is('Relu')) return 'relu';
  if (!node?.is('Clip')) return undefined;
  const [low, high] = clipBounds(c, node) ?? [];
  if (low === 0 && high === 6) return 'relu6';
  return low === 0 && high === Number.POSITIVE_INFINITY ? 'relu' : undefined;
}

/** Bounds of a Clip, as inputs or (before opset 11) attributes; undefined where one is computed. */
export function clipBounds(c: Converter, node: Node): [number, number] | undefined {
  const read = (index: number, attr: string, fallback: number): number | undefined => {
    const input = node.input(index);
    return input ? c.constant(input)?.values[0] : node.float(attr, fallback);
  };
  const low = read(1, 'min', Number.NEGATIVE_INFINITY);
  const high = read(2, 'max', Number.POSITIVE_INFINITY);
  if (low === undefined || high === undefined) return undefined;
  return [low < -3e38 ? Number.NEGATIVE_INFINITY : low, high > 3e38 ? Number.POSITIVE_INFINITY : high];
}

/** Follows the output over an activation that the operator can take in, and over a QuantizeLinear if `int8`. */
export function sinkOf(c: Converter, node: Node, { int8, fuses = true }: { int8: boolean; fuses?: boolean }): Sink {
  let value = node.output();
  const absorbed: Node[] = [];
  let activation: Activation = 'none';
  const next = onlyReader(value);
  const kind = fuses ? activationOf(c, next) : undefined;
  if (kind && next) {
    activation = kind;
    absorbed.push(next);
    value = next.output();
  }
  if (!int8) return { value, activation, absorbed };
  const q = onlyReader(value);
  const quant = q?.is('QuantizeLinear') && q.input(0) === value ? quantOf(c, q) : undefined;
  if (!q || !quant) return { value: node.output(), activation: 'none', absorbed: [] };
  return { value: q.output(), activation, quant, absorbed: [...absorbed, q] };
}

/** Scale and zero point of a QuantizeLinear or DequantizeLinear over activations, in the converter's storage; undefined for others. */
export function quantOf(c: Converter, node: Node): Quant | undefined {
  const scale = c.constant(node.input(1));
  if (scale?.values.length !== 1) return undefined;
  const zero = node.input(2);
  const type = zero?.dtype ?? (node.is('DequantizeLinear') ? node.input(0) : node.output())?.dtype;
  const given = zero ? c.constant(zero)?.values[0] : 0;
  if (given === undefined || (type !== 'uint8' && type !== 'int8')) return undefined;
  const shift = type === c.storage ? 0 : c.storage === 'int8' ? -128 : 128;
  return { scale: [scale.values[0] ?? 1], zero: [given + shift], axis: 0 };
}

export function sameQuant(a: Quant | undefined, b: Quant | undefined): boolean {
  return a !== undefined && b !== undefined && a.scale[0] === b.scale[0] && a.zero[0] === b.zero[0];
}

/** The 8-bit entries behind activations, where all are real forms of such. */
export function storedInputs(c: Converter, values: readonly Value[]): Entry[] | undefined {
  const stored = values.map((value) => (c.has(value) ? c.entry(value).stored : undefined));
  return stored.every((entry) => entry !== undefined) ? stored : undefined;
}

/** Stored integers of a constant weight behind a DequantizeLinear. */
export interface StoredWeight {
  readonly shape: readonly number[];
  /** In the converter's storage. */
  readonly values: Int32Array;
  readonly scale: readonly number[];
  readonly zero: number;
  /** Axis of the scales, where there is more than one. */
  readonly axis: number;
}

/** Reads a quantized weight in a form that the kernels take: symmetric int8, or uint8 with one zero point. */
export function storedWeight(c: Converter, value: Value | undefined): StoredWeight | undefined {
  const node = value?.producer;
  if (!value || !node?.is('DequantizeLinear') || node.int('block_size', 0) !== 0) return undefined;
  const q = c.constant(node.input(0));
  const scale = c.constant(node.input(1));
  const zeros = node.input(2) ? c.constant(node.input(2)) : undefined;
  if (!q || !scale || (q.dtype !== 'int8' && q.dtype !== 'uint8')) return undefined;
  const count = scale.values.length;
  const rank = q.shape.length;
  const axis = count === 1 ? 0 : (node.int('axis', 1) + rank) % rank;
  const zero = zeros ? Array.from(zeros.values) : [0];
  const base = { shape: q.shape, scale: Array.from(scale.values), axis };
  if (c.storage === 'uint8') {
    if (count !== 1) return undefined;
    const shift = q.dtype === 'uint8' ? 0 : 128;
    return { ...base, values: Int32Array.from(q.values, (at) => at + shift), zero: (zero[0] ?? 0) + shift };
  }
  const inner = q.shape.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const values = Int32Array.from(
    q.values,
    (at, i) => at - (zero[zero.length === 1 ? 0 : Math.floor(i / inner) % count] ?? 0),
  );
  return values.every((at) => at >= -128 && at <= 127) ? { ...base, values, zero: 0 } : undefined;
}

/** Bias in steps of input scale · weight scale. */
export function storedBias(
  c: Converter,
  value: Value | undefined,
  scales: readonly number[],
  count: number,
): Int32Array | undefined {
  const bias = value ? c.constant(value) : undefined;
  if (value && !bias) return undefined;
  const steps = Array.from({ length: count }, (_, i) =>
    Math.round((bias?.values[i] ?? 0) / (scales[scales.length === 1 ? 0 : i] ?? 1)),
  );
  return steps.every((step) => Math.abs(step) < 2 ** 31) ? Int32Array.from(steps) : undefined;
}

/** Which 8-bit type the graph is stored in: weights with a wide zero point fit uint8 kernels only. */
export function storageOf(model: Model): 'int8' | 'uint8' {
  for (const node of model.graph.nodes) {
    if (!node.is('DequantizeLinear')) continue;
    const [weight, zero] = [node.input(0), node.input(2)];
    if (weight?.dtype !== 'uint8' || zero?.dtype !== 'uint8') continue;
    const [values, zeros] = [readConstant(weight)?.values, readConstant(zero)?.values];
    const [only, ...more] = zeros ?? [];
    if (!values || only === undefined || more.length > 0) continue;
    if (values.some((at) => at - only > 127 || at - only < -128)) return 'uint8';
  }
  return 'int8';
}
