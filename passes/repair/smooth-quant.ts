import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { sortTopologically } from '../../src/ir/sort.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { intRanges, transpose } from '../../src/kernels/quantize.ts';
import { fakeQuantizeRows, fakeQuantizeWeights, smoothFactors } from '../../src/kernels/smooth.ts';
import { opt } from '../../src/pass/options.ts';
import { type ChannelStats, definePass, type Gram, type PassContext, reordered } from '../../src/pass/pass.ts';
import { addConstant, provenanceKey } from '../../src/rewrite/edit.ts';
import { isKept, reportUnmatched } from '../../src/rewrite/keep.ts';
import { type Products, products } from '../quantize/weight-only/product.ts';
import { absorberOf } from './absorber.ts';
import { type Layer, readLayer, scaleLayer, storeLayer, tooOld } from './layer.ts';

const options = {
  insert: opt.boolean(true, 'insert a multiplication where nothing before the layer can take the factors in'),
  perChannel: opt.boolean(true, 'judge by weights with a scale for each output channel'),
  bits: opt.int(8, 'judge by weights of so many bits: 8, or 7 for processors without VNNI', { min: 7, max: 8 }),
  minGain: opt.number(0.5, 'leave layers whose outputs would gain fewer decibels than this', { min: 0 }),
  keep: opt.list([], 'names of layers, or operators, that keep their weights'),
} as const;

/** α tried for each layer. At 0 the weights are levelled, at 1 the activation is. */
const alphas = Array.from({ length: 21 }, (_, i) => i / 20);
const leastRows = 16;

/** Moves the unevenness of activations into the weights, where quantization can bear it. */
export const smoothQuant = definePass({
  id: 'smooth-quant',
  summary:
    'Level the input channels of MatMul and Gemm for static INT8, as far as that brings their outputs nearer (before quantize-static, with data)',
  options,
  rules: {
    smooth: 'Factors went into what comes before the layer, and into its weights',
    'smooth-insert': 'Factors went into a multiplication before the layer, and into its weights',
    keep: 'Layers that you asked to keep',
    opset: 'Models of opsets before 7 stay as they are',
    'no-data': 'There is no data to see activations by',
  },
  numerics: () => reordered(),
  async run(model, given, ctx) {
    const old = tooOld(model.opset);
    if (old) {
      ctx.skipped('opset', 'model', old);
      return { changed: false };
    }
    if (!ctx.activations) {
      ctx.skipped(
        'no-data',
        'model',
        'factors are chosen from what activations look like: give a folder of samples with --data',
      );
      return { changed: false };
    }
    sortTopologically(model.graph);
    reportUnmatched(model, given.keep, ctx);
    const groups = findGroups(model, given.keep, ctx);
    const stats = await ctx.activations.layers.channels(
      model,
      [...groups.keys()].map((value) => ({ value, axis: -1 })),
    );
    const requests = [...groups].map(([value, [first]]) => ({ value, k: first?.inputs ?? 0 }));
    const product = products(ctx.compute);
    const chosen = new Map<Value, Choice>();
    await ctx.activations.grams(model, requests, async (value, gram) => {
      ctx.signal.throwIfAborted();
      const seen = stats.get(value.name);
      const layers = groups.get(value) ?? [];
      const choice = seen
        ? await chooseAlpha(layers, seen, gram, given, product)
        : `"${value.name}" was not reached by the samples`;
      if (typeof choice !== 'string') chosen.set(value, choice);
      else for (const { node } of layers) ctx.skipped('smooth', node, choice);
    });
    let changed = false;
    for (const [value, choice] of chosen)
      if (apply(value, groups.get(value) ?? [], choice, given.insert, ctx)) changed = true;
    return { changed };
  },
});

interface Choice {
  readonly factors: Float64Array;
  readonly alpha: number;
  readonly gain: number;
}

/** Layers by what they read: they share factors. */
function findGroups(model: Model, keep: readonly string[], ctx: PassContext): Map<Value, Layer[]> {
  const groups = new Map<Value, Layer[]>();
  for (const node of model.graph.nodes) {
    const input = node.input(0);
    if (!input || !(node.is('MatMul') || node.is('Gemm'))) continue;
    const layer = isKept(node, keep) ? 'you asked for it to stay as it is (--keep)' : readLayer(node);
    if (typeof layer === 'string') ctx.skipped('smooth', node, layer);
    else groups.set(input, [...(groups.get(input) ?? []), layer]);
  }
  return groups;
}

/** @returns why the layers stay as they are */
async function chooseAlpha(
  layers: readonly Layer[],
  seen: ChannelStats,
  gram: Gram,
  given: { readonly perChannel: boolean; readonly bits: number; readonly minGain: number },
  product: Products,
): Promise<Choice | string> {
  const { k, heldOut, heldOutRows } = gram;
  if (seen.nonFinite > 0) return `its input was NaN or infinite ${seen.nonFinite} times on the samples`;
  if (heldOutRows < leastRows || seen.mean.length !== k)
    return `${heldOutRows} rows of data are too few to choose factors by`;
  const range = given.bits === 7 ? intRanges.int8.reduced : intRanges.int8.symmetric;
  // Chosen on every other row, judged on the rest.
  const parts = [0, 1].map((part) => everyOther(heldOut, k, part));
  const weights = layers.map((layer) => ({ n: layer.outputs, data: weightMatrix(layer) }));
  const exact = await Promise.all(
    parts.map((rows) => Promise.all(weights.map(({ n, data }) => product.float32(rows, data, rows.length / k, k, n)))),
  );
  const noise = async (factors: Float64Array, part: number): Promise<number> => {
    const rows = parts[part] as Float32Array;
    const x = fakeQuantizeRows(rows, k, seen.min, seen.max, factors);
    let sum = 0;
    for (const [index, { n, data }] of weights.entries()) {
      const w = fakeQuantizeWeights(data, k, n, factors, range, given.perChannel);
      const y = await product.float32(x, w, rows.length / k, k, n);
      const want = exact[part]?.[index] as Float32Array;
      for (let at = 0; at < y.length; at++) sum += ((y[at] as number) - (want[at] as number)) ** 2;
    }
    return sum;
  };
  const activation = Float64Array.from(seen.max, (max, j) => Math.max(max, -(seen.min[j] as number)));
  const weight = largestByInput(layers, k);
  let best: { alpha: number; factors: Float64Array; noise: number } | undefined;
  for (const alpha of alphas) {
    const factors = smoothFactors(activation, weight, alpha);
    const own = await noise(factors, 0);
    if (!best || own < best.noise) best = { alpha, factors, noise: own };
  }
  if (!best) return 'its weights are zero';
  const before = await noise(new Float64Array(k).fill(1), 1);
  const gain = 10 * Math.log10(before / (await noise(best.factors, 1)));
  if (!(gain >= given.minGain))
    return `no factors bring its outputs nearer by ${given.minGain} dB on rows that they were not chosen by (best ${gain.toFixed(1)} dB, with α ${best.alpha})`;
  return { factors: best.factors, alpha: best.alpha, gain };
}

function everyOther(rows: Float32Array, k: number, part: number): Float32Array {
  const count = rows.length / k;
  const picked = new Float32Array(Math.floor((count - part + 1) / 2) * k);
  for (let row = part, at = 0; row < count; row += 2, at += k) picked.set(rows.subarray(row * k, (row + 1) * k), at);
  return picked;
}

/** [k, n] */
function weightMatrix({ data, a, b, inputs, input }: Layer): Float32Array {
  const byInput = a === inputs && input(a - 1, 0) === a - 1;
  return byInput ? data : transpose(data, a, b);
}

function largestByInput(layers: readonly Layer[], k: number): Float64Array {
  const largest = new Float64Array(k);
  for (const layer of layers) {
    for (let i = 0, at = 0; i < layer.a; i++) {
      for (let j = 0; j < layer.b; j++, at++) {
        const input = layer.input(i, j);
        largest[input] = Math.max(largest[input] as number, Math.abs(layer.data[at] as number));
      }
    }
  }
  return largest;
}

function apply(
  value: Value,
  layers: readonly Layer[],
  { factors, alpha, gain }: Choice,
  insert: boolean,
  ctx: PassContext,
): boolean {
  const nodes = new Set<Node>(layers.map(({ node }) => node));
  const others = value.consumers.filter((node) => !nodes.has(node));
  const alone = others.length === 0 && !value.isGraphOutput && value.useCount === layers.length;
  const absorber = alone
    ? absorberOf(value, factors.length)
    : `"${value.name}" is read by ${others[0] ?? 'the caller'} too`;
  const detail = `α ${alpha.toFixed(2)}, ${gain.toFixed(1)} dB nearer`;
  if (typeof absorber === 'string' && !insert) {
    for (const node of nodes)
      ctx.skipped('smooth', node, `${absorber}, so that factors would take a multiplication of their own (--insert)`);
    return false;
  }
  if (typeof absorber === 'string') {
    const [first] = layers;
    if (!first) return false;
    const inverse = tensorFrom(
      'float32',
      [factors.length],
      Float32Array.from(factors, (s) => 1 / s),
    );
    const anchor = firstOf(nodes, first.node);
    const { graph } = anchor;
    const mul = graph.insertBefore(anchor, 'Mul', {
      inputs: [value, addConstant(anchor, `${value.name}_smooth`, inverse)],
      outputs: [graph.freshName(`${value.name}_smoothed`)],
      types: [tensorType('float32', value.shape)],
    });
    mul.meta = new Map([[provenanceKey, `smooth-quant(${value.name})`]]);
    for (const node of nodes) node.setInput(0, mul.output());
  } else absorber(factors);
  for (const { node } of layers) {
    // Read anew: factors of the layer behind it may be in its weights by now.
    const layer = readLayer(node);
    if (typeof layer === 'string') continue;
    scaleLayer(layer, undefined, (channel) => factors[channel] as number);
    storeLayer(layer);
    ctx.applied(typeof absorber === 'string' ? 'smooth-insert' : 'smooth', node, detail);
  }
  return true;
}

/** The one that stands first in the graph. */
function firstOf(nodes: ReadonlySet<Node>, fallback: Node): Node {
  for (const node of fallback.graph.nodes) if (nodes.has(node)) return node;
  return fallback;
}
