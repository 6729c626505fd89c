import { cloneModel } from '../../src/ir/clone.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { sortTopologically } from '../../src/ir/sort.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, type PassContext, reordered } from '../../src/pass/pass.ts';
import { addConstant } from '../../src/rewrite/edit.ts';
import { isKept, reportUnmatched } from '../../src/rewrite/keep.ts';
import { applyFormat } from '../quantize/mixed/formats.ts';
import { quantizableOps } from '../quantize/static/unit.ts';
import { products } from '../quantize/weight-only/product.ts';
import { absorberOf, markSmooth } from './absorber.ts';
import { type Layer, readLayer, scaleLayer, storeLayer, tooOld } from './layer.ts';
import { type Choice, chooseAlpha } from './smooth-choice.ts';

const options = {
  insert: opt.boolean(true, 'insert a multiplication where nothing before the layer can take the factors in'),
  perChannel: opt.boolean(true, 'judge by weights with a scale for each output channel'),
  bits: opt.int(
    7,
    'judge by weights of so many bits: 7 for any processor, as quantize-static does, or 8 for VNNI, ARM and WebAssembly',
    {
      min: 7,
      max: 8,
    },
  ),
  minGain: opt.number(0.5, 'leave layers whose outputs would gain fewer decibels than this', { min: 0 }),
  check: opt.boolean(true, 'take back what brings the outputs of the whole model in static INT8 further away'),
  keep: opt.list([], 'names of layers, or operators, that keep their weights'),
} as const;

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
        ? await chooseAlpha(
            layers,
            seen,
            gram,
            { ...given, rounded: roundedBefore(value, layers, given.keep) },
            product,
          )
        : `"${value.name}" was not reached by the samples`;
      if (typeof choice !== 'string') chosen.set(value, choice);
      else for (const { node } of layers) ctx.skipped('smooth', node, choice);
    });
    const kept = await keptChoices(model, chosen, given, ctx);
    let changed = false;
    for (const [value, choice] of chosen) {
      const layers = groups.get(value) ?? [];
      if (kept.has(value.name)) changed = apply(value, layers, choice, given, ctx) || changed;
      else for (const { node } of layers) ctx.skipped('smooth', node, worseInAll);
    }
    return { changed };
  },
});

const worseInAll =
  'its own outputs would come nearer, but those of the whole model in static INT8 would not, on the samples';

/**
 * Names of the values whose factors stay: all of them, or the half that gains most, or half of that and so on, until the whole model in static
 * INT8 is no further from float than without any. A layer is judged alone before, with what comes before it in float; errors of several
 * layers can add up where they cancelled before.
 */
async function keptChoices(
  model: Model,
  chosen: ReadonlyMap<Value, Choice>,
  given: { readonly keep: readonly string[]; readonly insert: boolean; readonly bits: number; readonly check: boolean },
  ctx: PassContext,
): Promise<Set<string>> {
  const { activations } = ctx;
  if (!given.check) return new Set([...chosen.keys()].map(({ name }) => name));
  if (chosen.size === 0 || !activations) return new Set();
  const silent: PassContext = { ...ctx, applied: () => undefined, skipped: () => undefined };
  const cpu = given.bits === 7 ? 'auto' : 'vnni';
  const quality = async (names: ReadonlySet<string>, place: 'pays' | 'all'): Promise<number> => {
    const copy = cloneModel(model);
    const groups = findGroups(copy, given.keep, silent);
    for (const [{ name }, choice] of chosen) {
      const [value, layers] = [...groups].find(([own]) => own.name === name) ?? [];
      if (names.has(name) && value && layers) apply(value, layers, choice, given, silent);
    }
    await applyFormat(copy, 'int8', [], { calibrate: 'minmax', cpu, place, block: 32, method: 'auto' }, silent);
    const outputs = await activations.layers.sqnr(model, copy, judgedSamples);
    return Math.min(...outputs.values());
  };
  // Where no layer pays, none would be quantized by default, and nothing could be judged.
  let place: 'pays' | 'all' = 'pays';
  let plain = await quality(new Set(), place);
  if (plain === Number.POSITIVE_INFINITY) {
    place = 'all';
    plain = await quality(new Set(), place);
  }
  let names = [...chosen].sort(([, a], [, b]) => b.gain - a.gain).map(([{ name }]) => name);
  while (names.length > 0) {
    ctx.progress?.(`whole model with ${names.length} layers levelled`);
    if ((await quality(new Set(names), place)) >= plain) break;
    names = names.slice(0, Math.floor(names.length / 2));
  }
  return new Set(names);
}

/** Samples that whole models are compared on. */
const judgedSamples = 128;

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

/**
 * Whether the factors would meet activations that are in 8 bits already: a multiplication of their own behind something that runs on integers
 * rounds a second time. (Without this the pass took layers that lost 3 dB in the whole model.)
 */
function roundedBefore(value: Value, layers: readonly Layer[], keep: readonly string[]): boolean {
  const { producer } = value;
  return (
    typeof absorberFor(value, layers, keep) === 'string' &&
    producer !== undefined &&
    producer.domain === '' &&
    (producer.op === 'Relu' || producer.op === 'Clip' || quantizableOps.includes(producer.op))
  );
}

/** What takes the factors in, or why nothing does. */
function absorberFor(value: Value, layers: readonly Layer[], keep: readonly string[]): ReturnType<typeof absorberOf> {
  const nodes = new Set<Node>(layers.map(({ node }) => node));
  const others = value.consumers.filter((node) => !nodes.has(node));
  const alone = others.length === 0 && !value.isGraphOutput && value.useCount === layers.length;
  return alone
    ? absorberOf(value, layers[0]?.inputs ?? 0, keep)
    : `"${value.name}" is read by ${others[0] ?? 'the caller'} too`;
}

function apply(
  value: Value,
  layers: readonly Layer[],
  { factors, alpha, gain }: Choice,
  { insert, keep }: { readonly insert: boolean; readonly keep: readonly string[] },
  ctx: PassContext,
): boolean {
  const nodes = new Set<Node>(layers.map(({ node }) => node));
  const absorber = absorberFor(value, layers, keep);
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
    markSmooth(mul);
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
