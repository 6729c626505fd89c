import { cloneModel } from '../../../../src/ir/clone.ts';
import { constantOf } from '../../../../src/ir/constant.ts';
import type { Model, Value } from '../../../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../../../src/ir/tensor.ts';
import { tensorType } from '../../../../src/ir/types.ts';
import type { Activations, ChannelStats, PassContext } from '../../../../src/pass/pass.ts';
import { addConstant } from '../../../../src/rewrite/edit.ts';
import { biasOf, codedRows, type QdqLayer, storeBias } from './layer.ts';

export const biasCorrections = ['none', 'fast', 'full'] as const;
export type BiasCorrection = (typeof biasCorrections)[number];

/** Corrections larger than this many times the bias, or the spread of the outputs where that is larger, are a sign of trouble (NNCF's threshold). */
const largestShift = 2;

/**
 * Takes the mean error of each output channel out of the bias: b ← b + E[y_fp] − E[y_q].
 * fast: what the rounding of the weights does to the mean input, (W − Ŵ) · E[x], from the float model · full: layer by layer, each seen behind
 * the quantized and corrected layers before it, so that errors of activations count too.
 */
export async function correctBiases(
  float: Model,
  model: Model,
  layers: readonly QdqLayer[],
  activations: Activations,
  options: { readonly method: BiasCorrection; readonly inputScale: (layer: QdqLayer) => number },
  ctx: PassContext,
): Promise<void> {
  const byName = new Map<string, Value>();
  for (const value of float.graph.inputs) byName.set(value.name, value);
  for (const node of float.graph.nodes) for (const output of node.outputs) if (output) byName.set(output.name, output);
  const floatOf = (layer: QdqLayer) => {
    const output = byName.get(layer.floatOutput);
    const input = output?.producer?.input(0);
    return output && input ? { output, input } : undefined;
  };
  const axisOf = (layer: QdqLayer): number => (layer.node.op === 'Conv' ? 1 : -1);
  const turnsInput = ({ node }: QdqLayer): boolean => node.op === 'Gemm' && node.int('transA', 0) !== 0;
  const requests = layers.flatMap((layer) => {
    const found = floatOf(layer);
    if (!found) return [];
    const axis = axisOf(layer);
    const withInput = options.method === 'fast' && !turnsInput(layer);
    return [{ value: found.output, axis }, ...(withInput ? [{ value: found.input, axis }] : [])];
  });
  const stats = await activations.layers.channels(float, requests);
  // In a run of its own: statistics go by names, and what such a Gemm reads by rows others read, or give out, by columns.
  const turned = layers.flatMap((layer) => {
    const found = options.method === 'fast' && turnsInput(layer) ? floatOf(layer) : undefined;
    return found ? [{ value: found.input, axis: 0 }] : [];
  });
  const turnedStats = turned.length > 0 ? await activations.layers.channels(float, turned) : undefined;
  for (const layer of layers) {
    ctx.signal.throwIfAborted();
    const found = floatOf(layer);
    const output = found && stats.get(found.output.name);
    if (!found || !output) continue;
    let shift: Float64Array | undefined;
    if (options.method === 'fast')
      shift = roundingShift(layer, (turnsInput(layer) ? turnedStats : stats)?.get(found.input.name));
    else {
      const part = prefix(model, layer.node.output());
      const value = part.graph.outputs[0];
      const seen = value && (await activations.layers.channels(part, [{ value, axis: axisOf(layer) }])).get(value.name);
      shift = seen && output.mean.map((mean, c) => mean - (seen.mean[c] as number));
    }
    if (!shift) continue;
    const why = apply(layer, shift, output, options.inputScale(layer));
    if (why) ctx.skipped('bias', layer.node, why);
    else ctx.applied('bias', layer.node, `by up to ${Math.max(...shift.map(Math.abs)).toPrecision(2)}`);
  }
}

/** (W − Ŵ) · E[x] per output; what zero padding takes from the mean at the border is left out. */
function roundingShift(layer: QdqLayer, input: ChannelStats | undefined): Float64Array | undefined {
  const { rows, n, k, groups } = layer;
  const { codes, scales } = codedRows(layer);
  const taps = layer.node.op === 'Conv' ? k / (input ? input.mean.length / groups : k) : 1;
  if (!input || !Number.isInteger(taps)) return undefined;
  const shift = new Float64Array(n);
  for (let row = 0; row < n; row++) {
    const scale = scales[scales.length === 1 ? 0 : row] as number;
    const first = Math.floor(row / (n / groups)) * (k / taps);
    let sum = 0;
    for (let i = 0; i < k; i++) {
      const error = (rows[row * k + i] as number) - (codes[row * k + i] as number) * scale;
      sum += error * (input.mean[first + Math.floor(i / taps)] as number);
    }
    shift[row] = sum * layer.weighted.alpha;
  }
  return shift;
}

/** The part of the model that `value` needs, with `value` as its output. */
function prefix(model: Model, value: Value): Model {
  const copy = cloneModel(model);
  for (let index = copy.graph.outputs.length - 1; index >= 0; index--) copy.graph.removeOutput(index);
  for (const node of copy.graph.nodes)
    for (const output of node.outputs) if (output?.name === value.name) copy.graph.addOutput(output);
  for (const node of copy.graph.nodesReversed())
    if (!node.outputs.some((output) => output?.isUsed)) copy.graph.remove(node);
  return copy;
}

/** @returns why the bias stays as it is. */
function apply(layer: QdqLayer, shift: Float64Array, output: ChannelStats, inputScale: number): string | undefined {
  const { node, bias, n } = layer;
  if (shift.length !== n || !shift.every(Number.isFinite)) return 'the mean of its outputs is not finite';
  const old = biasOf(layer);
  const worst = shift.reduce((most, delta, c) => {
    const spread = Math.sqrt(Math.max(0, (output.meanSquare[c] as number) - (output.mean[c] as number) ** 2));
    const size = Math.max(Math.abs(old[c] as number), spread);
    return Math.max(most, size > 0 ? Math.abs(delta) / size : delta === 0 ? 0 : Number.POSITIVE_INFINITY);
  }, 0);
  if (!(worst < largestShift))
    return `the correction would be ${worst.toPrecision(2)} times its bias and spread, more than ${largestShift}: a sign that something else is wrong`;
  const sum = old.map((b, c) => b + (shift[c] as number));
  const scales = codedRows(layer).scales.map((s) => s * layer.weighted.alpha * inputScale);
  if (bias) return storeBias(layer, sum, scales) ? undefined : 'the corrected bias would not fit int32';
  if (node.op === 'MatMul') return correctAdd(layer, shift);
  if (layer.floatBias) {
    const name = node.input(2)?.name ?? `${layer.weighted.weight.name}_bias`;
    node.setInput(2, addConstant(node, name, tensorFrom('float32', [n], Float32Array.from(sum))));
    return undefined;
  }
  addBias(layer, sum, scales);
  return undefined;
}

/** A MatMul has no bias; an Add of a float constant behind it is one. */
function correctAdd({ node, n }: QdqLayer, shift: Float64Array): string | undefined {
  const output = node.output();
  const [add] = output.consumers;
  const index = add?.input(0) === output ? 1 : 0;
  const constant = add?.input(index);
  const tensor = constantOf(constant);
  if (
    output.useCount !== 1 ||
    output.isGraphOutput ||
    !add?.is('Add') ||
    !constant ||
    tensor?.dtype !== 'float32' ||
    tensor.shape.at(-1) !== n
  )
    return 'it has no bias, and no Add of a float constant behind it that could take a correction';
  const data = typedArray(tensor, 'float32');
  if (data.length !== n) return `the constant "${constant.name}" added behind it is no single row`;
  const sum = data.map((b, c) => b + (shift[c] as number));
  add.setInput(index, addConstant(add, constant.name, tensorFrom('float32', tensor.shape, sum)));
  if (!constant.isUsed && !constant.producer && !constant.isGraphInput) constant.graph.removeInitializer(constant);
  return undefined;
}

/** A bias for a Conv or Gemm that had none. */
function addBias({ node, weighted, n }: QdqLayer, numbers: Float64Array, scales: Float32Array): void {
  const { graph } = node;
  const single = scales.length === 1;
  const name = `${weighted.weight.name}_bias`;
  const ints = Int32Array.from(numbers, (b, c) => Math.round(b / (scales[single ? 0 : c] as number)));
  const codes = addConstant(node, `${name}_quantized`, tensorFrom('int32', [n], ints));
  const scale = addConstant(node, `${name}_scale`, tensorFrom('float32', single ? [] : [n], scales));
  const dequantize = graph.insertBefore(node, 'DequantizeLinear', {
    inputs: [codes, scale],
    outputs: [graph.freshName(`${name}_dequantized`)],
    types: [tensorType('float32', [n])],
    attrs: single ? {} : { axis: 0 },
  });
  node.setInput(2, dequantize.output());
}
