import { UserError } from '../../src/errors.ts';
import type { Model, Value } from '../../src/ir/graph.ts';
import { f32ToF16 } from '../../src/kernels/f16.ts';
import { Converter } from './converter.ts';
import type { LiteGraph } from './graph.ts';
import { handlers } from './handlers.ts';
import { checkTypes } from './kernel-types.ts';
import { lastPerm, permuted } from './order.ts';
import { storageOf } from './quant.ts';

export interface ConvertOptions {
  /** Pictures go in channels last ([N, H, W, C]), or as the model has them. */
  readonly inputs: 'nhwc' | 'keep';
  readonly weights: 'float32' | 'float16';
  /** Inputs of 64-bit integers come in as 32 bits, which every binding exchanges, or as the model has them. */
  readonly integers: 'int32' | 'keep';
}

export interface Converted {
  readonly graph: LiteGraph;
  /** Order of axes of inputs that are not as in the model, by name. */
  readonly axes: Readonly<Record<string, readonly number[]>>;
}

/** Sentences on operators that have no counterpart; empty when all have. */
export function unsupportedOps(model: Model): string[] {
  const missing = new Map<string, number>();
  for (const node of model.graph.nodes) {
    const name = node.domain === '' ? node.op : `${node.domain}:${node.op}`;
    if (node.op === 'Constant' || (node.domain === '' && Object.hasOwn(handlers, node.op))) continue;
    missing.set(name, (missing.get(name) ?? 0) + 1);
  }
  return [...missing]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => (count > 1 ? `${name} (${count})` : name));
}

/**
 * The graph in TensorFlow Lite's operators. Tensors lie channels last from the first convolution on; values that only
 * rearrange others are made when somebody reads them, in the order in which they are read.
 * @param model of fixed shapes, types of all values known
 * @throws UserError `tflite-unsupported` naming the first node that has no counterpart and why
 */
export function convertToLite(model: Model, options: ConvertOptions): Converted {
  const missing = unsupportedOps(model);
  if (missing.length > 0) {
    throw new UserError(
      'tflite-unsupported',
      `These operators have no counterpart in TensorFlow Lite here: ${missing.join(', ')}.`,
    );
  }
  const c = new Converter(model, storageOf(model));
  const axes: Record<string, number[]> = {};
  for (const value of model.graph.inputs) {
    if (value.initializer) continue;
    const shape = c.shape(value);
    const last =
      options.inputs === 'nhwc' && shape.length === 4 && value.consumers.some((node) => isPictureReader(node.op));
    const perm = lastPerm(shape.length);
    const to = last ? permuted(shape, perm) : shape;
    const type = c.typeOf(value);
    const narrow = type === 'int64' && options.integers === 'int32';
    const tensor = c.lite.tensor(value.name, to, narrow ? 'int32' : type);
    c.lite.inputs.push(tensor);
    const given = narrow ? c.op('CAST', [tensor], { name: value.name, shape: to, type }) : tensor;
    c.put(value, last ? 'last' : 'plain', given);
    if (last) axes[value.name] = perm;
  }
  for (const node of model.graph.nodes) {
    if (c.done(node) || node.is('Constant')) continue;
    // Constants on the grid of a scale are read where they are used.
    if ((node.is('DequantizeLinear') || node.is('QuantizeLinear')) && c.constant(node.output())) continue;
    (handlers[node.op] ?? (() => c.fail(node, 'there is no counterpart')))(node, c);
  }
  if (options.weights === 'float16') halveWeights(c.lite);
  c.lite.outputs = model.graph.outputs.map((value) => outputTensor(c, value));
  checkTypes(c.lite);
  return { graph: c.lite, axes };
}

function isPictureReader(op: string): boolean {
  return [
    'Conv',
    'MaxPool',
    'AveragePool',
    'Resize',
    'ConvTranspose',
    'QuantizeLinear',
    'Pad',
    'Sub',
    'Mul',
    'Div',
    'Add',
  ].includes(op);
}

/** The tensor that holds an output of the model in its own order of axes, under its name. */
function outputTensor(c: Converter, value: Value): number {
  let at = inOwnType(c, value, c.get(c.entry(value), 'plain'));
  // A value that is an input or a constant, or two outputs of one tensor: every output is a tensor of its own.
  const { data, shape, type, quant } = c.of(at);
  if (data || c.lite.inputs.includes(at) || c.lite.outputs.includes(at)) {
    const options = { type: 'ReshapeOptions', value: { new_shape: shape } };
    at = c.op('RESHAPE', [at, c.lite.ints('shape', shape)], { name: value.name, shape, type, quant }, options);
  }
  c.lite.rename(at, value.name);
  c.lite.outputs.push(at);
  return at;
}

/** 8 bits as the model has them: within, all are of one type. */
function inOwnType(c: Converter, value: Value, at: number): number {
  const { shape, type, quant } = c.of(at);
  const own = c.typeOf(value);
  if (!quant || own === type || (own !== 'int8' && own !== 'uint8')) return at;
  const shift = own === 'int8' ? -128 : 128;
  const turned = { ...quant, zero: quant.zero.map((zero) => zero + shift) };
  return c.op('QUANTIZE', [at], { name: value.name, shape, type: own, quant: turned });
}

/** Float weights of more than a few elements are stored in 16 bits, with an operator that widens them. */
function halveWeights(lite: LiteGraph): void {
  const widened = new Map<number, number>();
  const ops = [...lite.ops];
  lite.ops.length = 0;
  for (const op of ops) {
    const inputs = op.inputs.map((at) => {
      const tensor = lite.tensors[at];
      if (!tensor?.data || tensor.type !== 'float32' || tensor.data.length < 64) return at;
      const known = widened.get(at);
      if (known !== undefined) return known;
      const floats = new Float32Array(tensor.data.slice().buffer);
      const half = lite.constant(`${tensor.name}_half`, tensor.shape, f32ToF16(floats));
      const wide = lite.op('DEQUANTIZE', [half], { name: tensor.name, shape: tensor.shape, type: 'float32' });
      widened.set(at, wide);
      return wide;
    });
    lite.ops.push({ ...op, inputs });
  }
}
