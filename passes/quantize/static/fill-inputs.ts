import { constantOf } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { int64Vector, type Tensor, tensorFromBytes } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { addConstant, provenanceKey } from '../../../src/rewrite/edit.ts';
import { quantizableOps } from './unit.ts';

/** Input channels that the quick integer kernel of a convolution takes at a time. */
export const quad = 4;
const leastFilters = 16;

/** Over values of these a neighbour's kernel decides; Relu and Clip end one. */
const onIntegers = new Set([...quantizableOps, 'Relu', 'Clip']);

/**
 * How many channels the input of an image convolution is to have for that kernel, zeros among them: most of all the three of a picture. Undefined where it has them, where no
 * number would help, or where the input may come from another node on integers: then zeros would have to be put between its channels, once for each position.
 */
export function filledChannels(conv: Node, { shape }: Pick<Tensor, 'shape'>): number | undefined {
  const [filters = 0, channels = 0] = shape;
  if (!conv.is('Conv') || conv.int('group', 1) !== 1 || shape.length !== 4) return undefined;
  if (filters < leastFilters || channels === 0 || channels % quad === 0) return undefined;
  const producer = conv.input(0)?.producer;
  return producer?.domain === '' && onIntegers.has(producer.op) ? undefined : Math.ceil(channels / quad) * quad;
}

/**
 * Channels of zeros behind those of quantized inputs, and of the weights that meet them: the codes are filled up with the zero point, so no sum changes.
 * @param wide channels of each convolution, as it stands between QuantizeLinear and DequantizeLinear
 * @returns those that have them now
 */
export function fillInputs(wide: ReadonlyMap<Node, number>): Node[] {
  const inputs = new Map<Value, Value>();
  const weights = new Map<Value, Value>();
  return [...wide].flatMap(([conv, channels]) => {
    const [x, w] = [conv.input(0)?.producer, conv.input(1)?.producer];
    const codes = x?.is('DequantizeLinear') ? x.input(0) : undefined;
    const zero = constantOf(x?.input(2));
    const kernel = w?.is('DequantizeLinear') ? constantOf(w.input(0)) : undefined;
    const isScalar = zero?.dtype === 'uint8' && zero.shape.length === 0;
    if (!x || !w || !codes?.producer?.is('QuantizeLinear') || !isScalar || kernel?.dtype !== 'int8') return [];
    const extra = channels - (kernel.shape[1] ?? channels);
    if (extra <= 0) return [];
    const input = inputs.get(codes) ?? filledCodes(conv, x, codes, extra);
    const weight = weights.get(w.output()) ?? filledWeights(conv, w, kernel, channels);
    inputs.set(codes, input);
    weights.set(w.output(), weight);
    conv.setInput(0, input);
    conv.setInput(1, weight);
    for (const before of [x, w]) if (!before.output().isUsed && !before.output().isGraphOutput) release(before);
    return [conv];
  });
}

function filledCodes(conv: Node, dequantize: Node, codes: Value, extra: number): Value {
  const [samples, channels, ...window] = codes.shape ?? [];
  const wide = typeof channels === 'number' ? channels + extra : undefined;
  const shape = codes.shape && [samples, wide, ...window];
  const type = (dtype: 'uint8' | 'float32') => tensorType(dtype, shape);
  const pads = addConstant(conv, `${codes.name}_pads`, int64Vector([0, 0, 0, 0, 0, extra, 0, 0]));
  const { graph } = conv;
  const pad = graph.insertBefore(conv, 'Pad', {
    inputs: [codes, pads, dequantize.input(2)],
    outputs: [graph.freshName(`${codes.name}_filled`)],
    types: [type('uint8')],
  });
  return copyOf(conv, dequantize, pad.output(), type('float32'));
}

function filledWeights(conv: Node, dequantize: Node, kernel: Tensor, channels: number): Value {
  const [filters = 0, inner = 0, ...window] = kernel.shape;
  const taps = window.reduce((product, size) => product * size, 1);
  const wide = new Uint8Array(filters * channels * taps);
  const bytes = kernel.bytes();
  for (let n = 0; n < filters; n++)
    wide.set(bytes.subarray(n * inner * taps, (n + 1) * inner * taps), n * channels * taps);
  const shape = [filters, channels, ...window];
  const codes = addConstant(conv, `${dequantize.input(0)?.name}_filled`, tensorFromBytes('int8', shape, wide));
  return copyOf(conv, dequantize, codes, tensorType('float32', shape));
}

/** The same DequantizeLinear over other codes. */
function copyOf(conv: Node, dequantize: Node, codes: Value, type: ReturnType<typeof tensorType>): Value {
  const { graph } = conv;
  const node = graph.insertBefore(conv, 'DequantizeLinear', {
    inputs: [codes, dequantize.input(1), dequantize.input(2)],
    outputs: [graph.freshName(`${dequantize.output().name}_filled`)],
    attrs: Object.fromEntries(dequantize.attrs),
    types: [type],
  });
  const from = dequantize.meta?.get(provenanceKey);
  if (from) node.meta = new Map([[provenanceKey, from]]);
  return node.output();
}

function release(dequantize: Node): void {
  const [codes] = dequantize.inputs;
  dequantize.graph.removeWithUnused(dequantize);
  if (!codes?.initializer || codes.isUsed || codes.isGraphOutput) return;
  if (codes.isGraphInput) codes.graph.removeInput(codes);
  codes.graph.removeInitializer(codes);
}
