import type { Model } from '../../src/ir/graph.ts';
import type { Judge } from '../../src/pass/judge.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, type Gram, lossy, type PassContext, type StandIns } from '../../src/pass/pass.ts';
import { isKept, reportUnmatched } from '../../src/rewrite/keep.ts';
import { type FitLayer, fitLayer } from '../prune/fit-layer.ts';
import { pruneTargets } from '../prune/targets.ts';
import { products } from '../quantize/weight-only/product.ts';
import { LayerClock } from './clock.ts';
import { type Decomposed, decompose } from './decompose.ts';
import { OutputMeter } from './meter.ts';
import { isNarrowed, replaceLayer } from './rewrite.ts';
import { type LowRankOptions, searchForm } from './search.ts';

const options = {
  rank: opt.choice(
    ['energy', 'latency'],
    'energy',
    'energy: the smallest rank that keeps --energy of the output of a layer · latency: the largest with which it is --speedup times as fast',
  ),
  energy: opt.number(
    0.99,
    'share of the variance of its outputs that a layer keeps; with --rank energy more where the outputs of the model lose too much (--max-loss)',
    { min: 0.01, max: 1 },
  ),
  maxLoss: opt.number(
    0.01,
    'what the outputs may lose altogether, on 32 samples: divergence of class scores in nats, or ten times the noise where there are none (0.01: 30 dB)',
    { min: 0 },
  ),
  speedup: opt.number(1.2, 'with --rank latency: how much faster a layer has to become', { min: 1.05, max: 100 }),
  tucker: opt.boolean(
    true,
    'convolutions of more than one element between two of single ones (Tucker-2), where that is faster',
  ),
  provider: opt.string(
    'cpu',
    'execution provider that layers are timed on: a form is kept only where it is faster there',
  ),
  minElements: opt.int(4096, 'leave weights with fewer elements whole', { min: 0 }),
  keep: opt.list([], 'names of nodes, or operators, that stay as they are'),
} as const;

/** Metadata of a model that this pass has changed: the options it was done with. */
const settingsKey = 'mlpack.low-rank';

/** Two small layers for one large, where the weights allow it and the clock says that it pays. */
export const lowRank = definePass({
  id: 'low-rank',
  summary:
    'Two or three narrow layers for one wide (SVD weighed by activations, Tucker-2), kept only where they are measured to be faster',
  options,
  rules: {
    'low-rank': 'A layer became a product of narrow ones, and is faster for it',
    keep: 'Names given with --keep that stand for nothing',
  },
  numerics: () => lossy(-20),
  async run(model, given, ctx) {
    reportUnmatched(model, given.keep, ctx);
    // What the outputs may lose is lost already, and the clock may say otherwise of layers that stayed.
    const settings = JSON.stringify(Object.entries(given).sort(([a], [b]) => (a < b ? -1 : 1)));
    if (model.meta.get(settingsKey) === settings) {
      ctx.skipped('low-rank', 'model', 'it was done with these settings before: start from the model as it was');
      return { changed: false };
    }
    const layers = layersOf(model, given, ctx);
    if (layers.length === 0) return { changed: false };
    if (!ctx.judge) {
      for (const { target } of layers) ctx.skipped('low-rank', target.node, 'there is no clock to measure with here');
      return { changed: false };
    }
    const judge = await ctx.judge(model);
    try {
      const changed = await replaceAll(model, layers, judge, given, ctx);
      if (changed) model.meta.set(settingsKey, settings);
      return { changed };
    } finally {
      await judge.dispose();
    }
  },
});

function layersOf(
  model: Model,
  { minElements, keep }: { readonly minElements: number; readonly keep: readonly string[] },
  ctx: PassContext,
): FitLayer[] {
  const targets = pruneTargets(
    model,
    minElements,
    (node) => isKept(node, keep),
    (node, why) => ctx.skipped('low-rank', node, why.replace(': prune before quantizing', ', not float32 or float16')),
  );
  const layers: FitLayer[] = [];
  for (const target of targets) {
    const layer = fitLayer(target, model);
    const why = isNarrowed(target.node)
      ? 'it took the place of a wider layer: factors of factors lose again what that one was asked to keep'
      : typeof layer === 'string'
        ? layer.replace(/: by magnitude$/, '')
        : target.node.op !== 'Conv' && target.node.op !== 'MatMul' && target.node.op !== 'Gemm'
          ? `${target.node.op} has no form of narrow layers`
          : layer.groups > 1
            ? `it works in ${layer.groups} groups, each narrow already`
            : undefined;
    if (why !== undefined) ctx.skipped('low-rank', target.node, why);
    else layers.push(layer as FitLayer);
  }
  return layers;
}

/** The share asked for, then such that lose a tenth as much, and a hundredth. */
const energiesFrom = (energy: number): number[] => [energy, 1 - (1 - energy) / 10, 1 - (1 - energy) / 100];

async function replaceAll(
  model: Model,
  layers: readonly FitLayer[],
  judge: Judge,
  given: LowRankOptions,
  ctx: PassContext,
): Promise<boolean> {
  const clock = await LayerClock.of(model, layers, judge);
  const meter = await OutputMeter.of(model, judge);
  const product = products(ctx.compute);
  const replaced: (() => void)[] = [];
  let seen = 0;
  const consider = async (layer: FitLayer, gram: Gram | undefined): Promise<StandIns | undefined> => {
    ctx.signal.throwIfAborted();
    const { node, value } = layer.target;
    ctx.progress?.(String(node));
    // Each layer may lose its part of the whole, and what those before it left of theirs.
    const allowed = (given.maxLoss * ++seen) / layers.length;
    let decomposed: Promise<Decomposed | string> | undefined;
    let tooMuch = '';
    for (const energy of given.rank === 'latency' ? [given.energy] : energiesFrom(given.energy)) {
      const once = async (): Promise<Decomposed | string> =>
        await (decomposed ??= decompose(layer, gram, product.float64));
      const found = await searchForm(layer, once, clock, { ...given, energy });
      if ('why' in found) {
        ctx.skipped('low-rank', node, tooMuch + found.why);
        return undefined;
      }
      const standIns = new Map([[value, layer.stored(found.approximation)]]);
      const loss = await meter.loss(standIns);
      if (!(loss <= allowed)) {
        tooMuch = `with ${(100 * energy).toPrecision(4)} % of its output the outputs of the model would lose ${loss.toPrecision(2)}, more than ${allowed.toPrecision(2)} (its part of --max-loss); `;
        continue;
      }
      meter.accept(standIns);
      replaced.push(() => {
        replaceLayer(node, found.form, found.extents, layer.target.tensor.dtype === 'float16' ? 'float16' : 'float32');
        ctx.applied('low-rank', node, found.detail);
      });
      return standIns;
    }
    ctx.skipped('low-rank', node, tooMuch.replace(/; $/, ''));
    return undefined;
  };
  // Without data the plain decomposition of the weights is all there is.
  if (ctx.activations) {
    const byRequest = new Map(layers.map((layer) => [layer.request, layer]));
    await ctx.activations.layers.inOrder(model, [...byRequest.keys()], async (request, [gram]) => {
      const layer = byRequest.get(request);
      return layer && (await consider(layer, gram));
    });
  } else for (const layer of layers) await consider(layer, undefined);
  for (const replace of replaced) replace();
  return replaced.length > 0;
}
