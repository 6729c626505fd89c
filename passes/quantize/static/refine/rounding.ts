import { convWindow } from '../../../../src/ir/conv-window.ts';
import type { Model, Value } from '../../../../src/ir/graph.ts';
import { gptqFactor } from '../../../../src/kernels/gptq.ts';
import { type IntRange, transpose } from '../../../../src/kernels/quantize.ts';
import { type CodedRows, gptqRows, roundRows, searchScales } from '../../../../src/kernels/weight-rows.ts';
import type { Activations, Gram, PassContext, PatchRequest } from '../../../../src/pass/pass.ts';
import { beyondBudget, checkMemory, gptqCost } from '../../fit-cost.ts';
import { type Products, products } from '../../weight-only/product.ts';
import { codedRows, overflowingChannels, type QdqLayer, storeRows } from './layer.ts';

/**
 * minmax: the whole range, rounded to nearest · mse: the range with the least squared error of the weights · weighted: of the outputs,
 * as far as the mean squares of the inputs tell · gptq: that range, and each rounding error made up for by the weights that follow.
 */
export const roundings = ['minmax', 'mse', 'weighted', 'gptq'] as const;
export type Rounding = (typeof roundings)[number];

export interface RoundingOptions {
  readonly method: Rounding;
  /** Nobody asked for the method by name: layers that would take long are left as they are. */
  readonly chosenByUs: boolean;
  /** Codes that weights may have. */
  readonly range: IntRange;
  /** Scale of the activation that a layer reads. */
  readonly inputScale: (layer: QdqLayer) => number;
  /** Output channels whose products could saturate with these codes on the processor they are meant for. */
  readonly unsafe: (layer: QdqLayer, codes: Int8Array) => readonly number[];
}

/** Seconds of processor time for each k²·n of GPTQ on given scales, two codings of a layer: 0.3 s for one at 2048×512, 0.6 s at 4096×512. */
const perWeight = 2e-10;
/** Share of the mean diagonal added to it. */
const damping = 0.01;
/** With fewer rows of data than these, and as few to judge by, nothing is fitted to them. */
const leastRows = 64;
const leastHeldOut = 8;

/**
 * Looks for better codes for the weights of layers whose inputs can be observed in the float model. What is found is judged on
 * rows that it was not fitted to, and kept where it brings the outputs nearer.
 */
export async function refineRounding(
  float: Model,
  layers: readonly QdqLayer[],
  activations: Activations,
  options: RoundingOptions,
  ctx: PassContext,
): Promise<void> {
  const product = products(ctx.compute);
  const values = new Map<string, Value>();
  for (const value of float.graph.inputs) values.set(value.name, value);
  for (const node of float.graph.nodes) for (const output of node.outputs) if (output) values.set(output.name, output);
  const convs = new Map<PatchRequest, QdqLayer>();
  const linears = new Map<string, QdqLayer[]>();
  const inputs = inputsOf(float, layers);
  const left = options.chosenByUs ? tooCostly(inputs.keys(), activations.samples) : new Map<QdqLayer, string>();
  for (const [layer, input] of inputs) {
    const value = values.get(input);
    const why =
      layer.codes.useCount > 1
        ? `its weights "${layer.weighted.weight.name}" are shared: codes fitted to one layer would harm the other`
        : left.get(layer);
    if (why || !value) {
      if (why) ctx.skipped('rounding', layer.node, why);
      continue;
    }
    if (!options.chosenByUs)
      checkMemory(
        options.method,
        `"${layer.node}"`,
        layer.k,
        ctx.compute.freeBytes?.(),
        'Leave it in float with --keep, or use --weights minmax.',
      );
    if (layer.node.op === 'Conv') {
      const window = convWindow(layer.node, layer.weighted.tensor.shape.slice(2));
      convs.set({ value, window, groups: layer.groups, k: layer.k }, layer);
    } else linears.set(input, [...(linears.get(input) ?? []), layer]);
  }
  const fit = async (layer: QdqLayer, grams: readonly Gram[]): Promise<void> => {
    ctx.signal.throwIfAborted();
    const answer = await fitLayer(layer, grams, options, product);
    if ('why' in answer) ctx.skipped('rounding', layer.node, answer.why);
    else {
      storeRows(layer, answer.coded, options.inputScale(layer));
      ctx.applied('rounding', layer.node, answer.detail);
    }
  };
  await activations.layers.patches(float, [...convs.keys()], async (request, grams) => {
    const layer = convs.get(request);
    if (layer) await fit(layer, grams);
  });
  const requests = [...linears].flatMap(([name, [first]]) => {
    const value = values.get(name);
    return value && first ? [{ value, k: first.k }] : [];
  });
  await activations.grams(float, requests, async (value, gram) => {
    for (const layer of linears.get(value.name) ?? []) if (layer.k === gram.k) await fit(layer, [gram]);
  });
}

/** What each layer reads in the float model, by the name of what it gives out there. */
function inputsOf(float: Model, layers: readonly QdqLayer[]): Map<QdqLayer, string> {
  const byOutput = new Map<string, string>();
  for (const node of float.graph.nodes) {
    const input = node.input(0);
    if (input) byOutput.set(node.output().name, input.name);
  }
  const inputs = new Map<QdqLayer, string>();
  for (const layer of layers) {
    const input = byOutput.get(layer.floatOutput);
    if (input !== undefined) inputs.set(layer, input);
  }
  return inputs;
}

function tooCostly(layers: Iterable<QdqLayer>, samples: number): Map<QdqLayer, string> {
  const costs = new Map(
    [...layers].map((layer) => {
      const { k, n, groups } = layer;
      const rows = layer.node.op === 'Conv' ? patchesFor(k) : samples;
      const { seconds, bytes } = gptqCost({ k, outputs: n / groups, rows, factorizations: 1, perWeight });
      // Sums of all groups are held, factors one by one.
      return [layer, { k, seconds: groups * seconds, bytes: bytes + 4 * groups * k * k }];
    }),
  );
  return beyondBudget(costs, '--weights gptq');
}

/** Patches that are drawn for a convolution, as src/engine/layer-statistics.ts does. */
const patchesFor = (k: number): number => Math.max(4096, 8 * k);

type Answer = { readonly coded: CodedRows; readonly detail: string } | { readonly why: string };

async function fitLayer(
  layer: QdqLayer,
  grams: readonly Gram[],
  { method, range, unsafe, inputScale }: RoundingOptions,
  product: Products,
): Promise<Answer> {
  const { rows, k, n, groups } = layer;
  const perGroup = n / groups;
  const short = grams.find((gram) => gram.rows < leastRows || gram.heldOutRows < leastHeldOut);
  if (short || grams.length !== groups)
    return { why: `${(short?.rows ?? 0) + (short?.heldOutRows ?? 0)} rows of data are too few to fit its weights to` };
  const energies = grams.map(({ sum }) => Float64Array.from({ length: k }, (_, i) => sum[i * k + i] as number));
  const energyOf = (row: number): Float64Array => energies[Math.floor(row / perGroup)] as Float64Array;
  const now = codedRows(layer);
  const scales = searchScales(rows, k, now.scales, range, method === 'mse' ? undefined : energyOf);
  const candidates: [string, CodedRows][] = [[method, roundRows(rows, k, scales, range)]];
  if (method === 'gptq') {
    candidates[0] = ['weighted', candidates[0]?.[1] as CodedRows];
    const codings = [
      ['gptq', scales],
      ['gptq over the whole range', now.scales],
    ] as const;
    // Scales of their own: rows may go back to others.
    for (const [name, own] of codings)
      candidates.push([name, { codes: roundRows(rows, k, own, range).codes, scales: own.slice() }]);
    for (const [group, { sum }] of grams.entries()) {
      // The same for all scales, and most of the time: once for each group.
      const factor = await gptqFactor(sum, k, k, damping, product.float64);
      if (!factor) continue;
      for (const [, coded] of candidates.slice(1))
        await gptqRows(rows, group * perGroup, perGroup, factor, coded, range, product.float32);
    }
  }
  const before = await noiseOf(layer, now, grams, product);
  let best: { name: string; coded: CodedRows; noise: number } | undefined;
  let reverted = 0;
  for (const [name, coded] of candidates) {
    const rowsBack = unsafe(layer, coded.codes);
    // Finer steps than a large bias has room for: those of next to dead channels.
    const tooFine = overflowingChannels(layer, coded.scales, inputScale(layer));
    if (!revertRows(coded, now, [...rowsBack, ...tooFine], k)) continue;
    const noise = await noiseOf(layer, coded, grams, product);
    if (!(noise < (best?.noise ?? before))) continue;
    best = { name, coded, noise };
    reverted = rowsBack.length;
  }
  if (!best)
    return { why: `rounding to nearest over the whole range is best on rows that nothing was fitted to (${method})` };
  const left =
    reverted > 0 ? `; ${reverted} of ${n} channels left, since their products could saturate without VNNI` : '';
  const gain = (10 * Math.log10(before / best.noise)).toFixed(1);
  return { coded: best.coded, detail: `${best.name}, ${gain} dB less noise from its weights${left}` };
}

/** Puts rows back as they were. @returns false where one scale for all has changed, so that none can go back alone. */
function revertRows(coded: CodedRows, before: CodedRows, rows: readonly number[], k: number): boolean {
  const single = coded.scales.length === 1;
  if (rows.length > 0 && single && coded.scales[0] !== before.scales[0]) return false;
  for (const row of rows) {
    coded.codes.set(before.codes.subarray(row * k, (row + 1) * k), row * k);
    if (!single) coded.scales[row] = before.scales[row] as number;
  }
  return true;
}

/** Σ (x · (w − ŵ))² over the rows held out. */
async function noiseOf(layer: QdqLayer, coded: CodedRows, grams: readonly Gram[], product: Products): Promise<number> {
  const { rows, k, n, groups } = layer;
  const perGroup = n / groups;
  let noise = 0;
  for (const [group, { heldOut, heldOutRows }] of grams.entries()) {
    const from = group * perGroup * k;
    const errors = new Float32Array(perGroup * k);
    for (let at = 0; at < errors.length; at++) {
      const scale = coded.scales[coded.scales.length === 1 ? 0 : Math.floor((from + at) / k)] as number;
      errors[at] = (rows[from + at] as number) - (coded.codes[from + at] as number) * scale;
    }
    const outputs = await product.float32(heldOut, transpose(errors, perGroup, k), heldOutRows, k, perGroup);
    for (let at = 0; at < outputs.length; at++) noise += (outputs[at] as number) ** 2;
  }
  return noise / (grams[0]?.heldOutRows ?? 1);
}
