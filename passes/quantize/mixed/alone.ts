import { cutModel } from '../../../src/ir/cut.ts';
import { type Model, type Value } from '../../../src/ir/graph.ts';
import { modelStats } from '../../../src/ir/stats.ts';
import { type Tensor, tensorFrom, tensorFromBytes } from '../../../src/ir/tensor.ts';
import { tensorType, type ValueType } from '../../../src/ir/types.ts';
import { chooseRange, countsFor } from '../../../src/kernels/calibrate.ts';
import { affineParams, intRanges } from '../../../src/kernels/quantize.ts';
import type { PassContext } from '../../../src/pass/pass.ts';
import { applyFormat, type FormatName, type FormatOptions } from './formats.ts';
import type { Layer } from './layers.ts';

/** A layer as a model of its own in one format, or why there is none. */
export type AloneResult = { readonly model: Model; readonly bytes: number } | { readonly why: string };

/** Values as the runtime gave them, for one batch. */
export type Observed = ReadonlyMap<string, Tensor>;

/** Extents may differ from batch to batch; type and rank do not. */
export function typeOf({ dtype, shape }: Tensor): ValueType {
  return tensorType(
    dtype,
    shape.map(() => undefined),
  );
}

/** The layer in float32. */
export function floatAlone(model: Model, layer: Layer, observed: Observed): Model {
  const inputs = layer.inputs.map(({ name, type }) => {
    const seen = observed.get(name);
    return { name, ...(seen ? { type: typeOf(seen) } : type && { type }) };
  });
  return cutModel(
    model,
    inputs,
    layer.outputs.map(({ name }) => name),
  );
}

/** The layer in a format, by the pass that makes it. */
export async function alone(
  float: Model,
  layer: Layer,
  format: FormatName,
  options: FormatOptions,
  ctx: PassContext,
): Promise<AloneResult> {
  if (layer.kind === 'arithmetic') {
    if (format !== 'int8') return { why: 'it has no weights' };
    return await roundedOutputs(float, layer, options, ctx);
  }
  const { changed, skipped } = await applyFormat(float, format, [], options, ctx);
  if (!changed) return { why: skipped[0] ?? 'the pass leaves it as it is' };
  return { model: float, bytes: modelStats(float).bytes };
}

/** Arithmetic on integers errs by rounding its results to 8 bits; the float node with that behind it gives the same. */
async function roundedOutputs(
  float: Model,
  layer: Layer,
  options: FormatOptions,
  ctx: PassContext,
): Promise<AloneResult> {
  const names = new Set(layer.outputs.map(({ name }) => name));
  const values = float.graph.outputs.filter(({ name }) => names.has(name));
  const histograms = await ctx.activations?.histograms(float, values, countsFor(options.calibrate));
  for (const value of values) {
    const histogram = histograms?.get(value.name);
    if (!histogram || histogram.absMax === 0 || histogram.nan + histogram.inf > 0)
      return { why: `no range is known for "${value.name}"` };
    const range = intRanges.uint8.asymmetric;
    const { low, high } = chooseRange(
      histogram,
      options.calibrate,
      { range, symmetric: false },
      { percentile: 99.999 },
    );
    roundBehind(float, value, affineParams(low, high, range, false));
  }
  if (float.opset < 10) return { why: `opset ${float.opset} has no QuantizeLinear` };
  return { model: float, bytes: 0 };
}

function roundBehind(model: Model, value: Value, { scale, zeroPoint }: { scale: number; zeroPoint: number }): void {
  const { graph } = model;
  const { name } = value;
  const at = graph.outputs.indexOf(value);
  const parameters = [
    graph.addInitializer(`${name}_scale`, tensorFrom('float32', [], Float32Array.of(scale))),
    graph.addInitializer(`${name}_zero_point`, tensorFromBytes('uint8', [], Uint8Array.of(zeroPoint))),
  ];
  value.name = graph.freshName(`${name}_exact`);
  const codes = graph.append('QuantizeLinear', { inputs: [value, ...parameters] });
  const rounded = graph.append('DequantizeLinear', {
    inputs: [codes.output(), ...parameters],
    outputs: [name],
    types: [value.type],
  });
  graph.setOutput(at, rounded.output());
}

/**
 * Time of a layer with integers on both sides, as it stands among its like: QuantizeLinear at its inputs and DequantizeLinear
 * at its outputs are left out of the model that is timed. Undefined where there are none.
 */
export function integerCore(model: Model): { model: Model; inputs: readonly string[] } | undefined {
  const inputs: string[] = [];
  for (const input of model.graph.inputs) {
    for (const reader of input.consumers) {
      if (!reader.is('QuantizeLinear')) return undefined;
      inputs.push(reader.output().name);
    }
  }
  const outputs = model.graph.outputs.flatMap(({ producer }) =>
    producer?.is('DequantizeLinear') && producer.input(0)?.producer?.is('QuantizeLinear')
      ? [producer.input(0)?.name ?? '']
      : [],
  );
  if (inputs.length === 0 || outputs.length !== model.graph.outputs.length) return undefined;
  const cut = cutModel(
    model,
    inputs.map((name) => ({ name })),
    outputs,
  );
  return cut.graph.nodeCount > 0 ? { model: cut, inputs } : undefined;
}
