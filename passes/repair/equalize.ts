import { graphsBelow, type Model, type Node } from '../../src/ir/graph.ts';
import { sortTopologically } from '../../src/ir/sort.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { type ChannelPair, equalizeFactors } from '../../src/kernels/equalize.ts';
import { opt } from '../../src/pass/options.ts';
import { type ChannelStats, definePass, lossy, type PassContext, reordered } from '../../src/pass/pass.ts';
import { constantCopyRule, readThroughCopies } from '../../src/rewrite/constant-copies.ts';
import { addConstant } from '../../src/rewrite/edit.ts';
import { reportUnmatched } from '../../src/rewrite/keep.ts';
import { releaseConstant } from '../../src/rewrite/release-constant.ts';
import { absorbBias } from './absorb.ts';
import { type Chain, readChain } from './chain.ts';
import { gridOf, isMain, type Layer, scaleLayer, storeLayer, tooOld } from './layer.ts';
import { chainReading } from './reading.ts';

const options = {
  clip: opt.choice(
    ['keep', 'inactive', 'drop'],
    'keep',
    'layers with a Clip (ReLU6) between them: keep them as they are, scale the channels that never reached the bound on the samples, or drop the upper bound',
  ),
  guard: opt.boolean(
    true,
    'with data: no channel may grow beyond the widest one of its tensor, so that no range of activations grows',
  ),
  absorb: opt.boolean(
    false,
    'with data: move what a bias adds to nearly all values of a channel (its mean less three standard deviations) behind the Relu',
  ),
  keep: opt.list([], 'names of layers, or operators, that keep their weights'),
} as const;

/** Channels that come as near as this to the bound of a Clip are taken to reach it. */
const nearBound = 0.95;
/** Factors closer to 1 than this are no change worth writing. */
const leastChange = 0.01;

/** Cross-layer equalization: the channels between two layers get weights of like range on both sides. */
export const equalize = definePass({
  id: 'equalize',
  summary:
    'Balance the weights of consecutive layers channel by channel, for one scale per weight (before quantize-static)',
  options,
  rules: {
    ...constantCopyRule,
    equalize: 'The channels between two layers were rescaled',
    absorb: 'What a bias adds to every value moved into the next layer',
    clip: 'The upper bound of a Clip was dropped',
    keep: 'Layers that you asked to keep',
    opset: 'Models of opsets before 7 stay as they are',
    'no-data': 'What needs activation statistics, without data to take them from',
  },
  numerics: ({ clip, absorb }) =>
    clip === 'drop' ? lossy(5) : clip === 'inactive' || absorb ? lossy(20) : reordered(),
  async run(model, given, ctx) {
    const old = tooOld(model.opset);
    if (old) {
      ctx.skipped('opset', 'model', old);
      return { changed: false };
    }
    const copies = readThroughCopies(model, ctx);
    sortTopologically(model.graph);
    reportUnmatched(model, given.keep, ctx);
    const chains = findChains(model, given, ctx);
    const stats = await statisticsOf(model, chains, given, ctx);
    const kept = chains.filter((chain) => !clipProblem(chain, given.clip, stats, ctx));
    const pairs = pairsOf(kept, given, stats);
    const { factors } = equalizeFactors(pairs);
    const worth = factors.map((own) => own.some((s) => Math.abs(Math.log(s)) > leastChange));
    const touched = new Set<Layer>();
    for (const [index, chain] of kept.entries()) {
      if (!worth[index]) continue;
      const own = factors[index] as Float64Array;
      scaleChain(chain, own);
      touched.add(chain.first).add(chain.second);
      ctx.applied('equalize', chain.first.node, `${describe(own)}, with ${chain.second.node}`);
      if (chain.clip && given.clip === 'drop') dropBound(chain.clip.node, ctx);
    }
    if (given.absorb) {
      for (const [index, chain] of kept.entries()) {
        const before = stats?.get(chain.middle.name);
        if (!before) continue;
        const own = worth[index] ? (factors[index] as Float64Array) : undefined;
        const answer = absorbBias(chain, before, own);
        if (typeof answer === 'string') ctx.skipped('absorb', chain.first.node, answer);
        else if (answer > 0) {
          touched.add(chain.first).add(chain.second);
          ctx.applied(
            'absorb',
            chain.first.node,
            `${answer} of ${chain.first.outputs} channels, into ${chain.second.node}`,
          );
        }
      }
    }
    for (const layer of touched) storeLayer(layer);
    return { changed: copies || touched.size > 0 };
  },
});

type Given = Parameters<typeof equalize.run>[1];
type Stats = ReadonlyMap<string, ChannelStats> | undefined;

function findChains(model: Model, given: Given, ctx: PassContext): Chain[] {
  const { read, site } = chainReading(model, given.keep);
  const chains: Chain[] = [];
  for (const graph of graphsBelow(model.graph)) {
    for (const node of graph.nodes) {
      const chain = readChain(node, site, read);
      if (typeof chain === 'string') ctx.skipped('equalize', node, chain);
      else if (chain) chains.push(chain);
    }
  }
  return chains;
}

/** Channel statistics of what the first layers hand out, where an option needs them. */
async function statisticsOf(model: Model, chains: readonly Chain[], given: Given, ctx: PassContext): Promise<Stats> {
  const needed = given.absorb || given.clip === 'inactive';
  if (!ctx.activations) {
    if (needed)
      ctx.skipped(
        'no-data',
        'model',
        'absorbing biases and looking at the bounds of Clip take samples: give a folder of them with --data',
      );
    return undefined;
  }
  if (!given.guard && !needed) return undefined;
  const main = chains.filter((chain) => isMain(chain.middle.graph));
  const requests = main.flatMap((chain) => {
    const axis = chain.first.node.op === 'Conv' ? 1 : -1;
    // Before the activation for biases and bounds; behind the addends they are shifted, which pairsOf reckons with.
    return [{ value: chain.middle, axis }];
  });
  return await ctx.activations.layers.channels(model, requests);
}

/** Tells why a Clip keeps its layers from being scaled, if it does. */
function clipProblem({ first, clip, middle }: Chain, mode: Given['clip'], stats: Stats, ctx: PassContext): boolean {
  if (!clip || mode === 'drop') return false;
  if (mode === 'inactive' && stats?.has(middle.name)) return false;
  const why = `${clip.node} limits it at ${clip.high}, and one bound for all channels cannot be scaled channel by channel (--clip inactive scales those that stay below it, with data; --clip drop makes it a Relu)`;
  ctx.skipped(
    'equalize',
    first.node,
    mode === 'inactive'
      ? `${clip.node} limits it at ${clip.high}, and there are no samples that show which channels stay below`
      : why,
  );
  return true;
}

function pairsOf(chains: readonly Chain[], given: Given, stats: Stats): ChannelPair[] {
  const grids = new Map<Layer, ReturnType<typeof gridOf>>();
  const grid = (layer: Layer): ReturnType<typeof gridOf> => {
    const known = grids.get(layer) ?? gridOf(layer);
    grids.set(layer, known);
    return known;
  };
  return chains.map((chain) => {
    const { first, second, spread, clip, middle, addends } = chain;
    const channels = first.outputs;
    const least = new Float64Array(channels);
    const fixed = new Uint8Array(channels);
    const seen = stats?.get(middle.name);
    if (seen) {
      const shift = (c: number): number => addends.reduce((sum, { numbers }) => sum + (numbers[c] as number), 0);
      // What is cut off at zero takes no room.
      const low = (c: number): number => (chain.activation === 'relu' ? 0 : (seen.min[c] as number) + shift(c));
      const reach = Float64Array.from({ length: channels }, (_, c) =>
        Math.max((seen.max[c] as number) + shift(c), -low(c), 0),
      );
      const widest = Math.min(
        reach.reduce((a, b) => Math.max(a, b), 0),
        clip?.high ?? Number.POSITIVE_INFINITY,
      );
      for (let c = 0; c < channels; c++) {
        const most = reach[c] as number;
        if (given.guard && widest > 0) least[c] = most / widest;
        if (!clip || given.clip !== 'inactive') continue;
        if (most >= nearBound * clip.high) fixed[c] = 1;
        else least[c] = Math.max(least[c] as number, most / (nearBound * clip.high));
      }
    }
    return { first: grid(first), second: grid(second), channels, spread, least, fixed };
  });
}

function scaleChain({ first, second, spread, addends }: Chain, factors: Float64Array): void {
  const down = (channel: number): number => 1 / (factors[channel] as number);
  scaleLayer(first, down);
  scaleLayer(second, undefined, (channel) => factors[Math.floor(channel / spread)] as number);
  for (const { node, index, numbers, tail } of addends) {
    const old = node.input(index);
    const data = Float32Array.from(numbers, (x, c) => x * down(c));
    const shape = [data.length, ...Array.from({ length: tail }, () => 1)];
    node.setInput(index, addConstant(node, old?.name ?? 'addend', tensorFrom('float32', shape, data)));
    releaseConstant(old);
  }
}

/** Clip from 0 to a bound becomes Relu. */
function dropBound(clip: Node, ctx: PassContext): void {
  const old = clip.inputs.slice(1);
  const input = clip.input(0);
  ctx.applied('clip', clip, 'a Relu now');
  clip.op = 'Relu';
  for (const name of ['min', 'max']) clip.removeAttr(name);
  clip.setInputs([input]);
  for (const value of old) releaseConstant(value);
}

function describe(factors: Float64Array): string {
  let [low, high] = [Number.POSITIVE_INFINITY, 0];
  for (const s of factors) {
    low = Math.min(low, s);
    high = Math.max(high, s);
  }
  return `factors from ${low.toPrecision(2)} to ${high.toPrecision(2)}`;
}
