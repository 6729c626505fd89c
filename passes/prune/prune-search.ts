import { cloneModel } from '../../src/ir/clone.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { sortTopologically } from '../../src/ir/sort.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, lossy } from '../../src/pass/pass.ts';
import { reportUnmatched } from '../../src/rewrite/keep.ts';
import { repair } from './carry-out.ts';
import { layersOf } from './coupling/groups.ts';
import { affordable } from './search/effort.ts';
import { partsOf, takeOut } from './search/parts.ts';
import { describe, farthest, priceMoves } from './search/search.ts';
import { TimeModel } from './search/time.ts';
import { Trials } from './search/trials.ts';

const options = {
  maxDrop: opt.number(
    0.01,
    'largest allowed drop of the task metric (of the agreement with the model as it is, without labels)',
    {
      min: 0,
      max: 1,
    },
  ),
  minSqnr: opt.number(30, 'decibels that outputs must reach where there is no metric'),
  round: opt.int(16, 'channels stay in multiples of this; half of it counts, too, for layers no wider', {
    min: 1,
    max: 128,
  }),
  maxRatio: opt.number(0.75, 'the largest share that one layer may lose', { min: 0, max: 0.99 }),
  blocks: opt.boolean(true, 'whole residual blocks may go, too'),
  samples: opt.int(64, 'samples that single moves are measured on', { min: 1 }),
  trials: opt.int(24, 'moves to measure, at most: those that save most', { min: 1 }),
  fits: opt.int(6, 'whole models to fit and judge, at most', { min: 1 }),
  least: opt.number(0.3, 'share of the work below which nothing is tried', { min: 0, max: 1 }),
  keep: opt.list([], 'names of nodes, or operators, whose channels and blocks stay'),
} as const;

/** Marks a model that was searched, so that a second run does not lose as much again. */
const key = 'mlpack.prune-search';

/** Less of the work than this saved is no gain that a clock would show. */
const leastSaved = 0.03;

/** Channels and blocks, as many as the accuracy bears. */
export const pruneSearch = definePass({
  id: 'prune-search',
  summary:
    'Remove channels and residual blocks, those first that cost least for the work they save, as many as --max-drop bears, found by measuring (takes --data)',
  options,
  rules: {
    search: 'How far the search got, and what it did not look at',
    channels: 'Channels went, in every place where they appeared',
    'drop-layer': 'A block was left out',
    coupling: 'Layers whose channels have to stay',
    blocks: 'Blocks that have to stay',
    heads: 'Attention heads, which prune-heads takes',
    score: 'Scores that need samples',
    repair: 'Layers were fitted to what the model as it was gave',
    keep: 'Names given with --keep that stand for nothing',
  },
  numerics: () => lossy(-40),
  async run(model, given, ctx) {
    reportUnmatched(model, given.keep, ctx);
    const { activations } = ctx;
    const why = model.meta.has(key)
      ? `it was searched before, for a drop of ${model.meta.get(key)}`
      : activations?.source !== 'data' || !ctx.judge
        ? 'a search fits and judges on samples: give a folder of them with --data (prune-channels takes a ratio without any)'
        : undefined;
    if (why !== undefined || !activations || !ctx.judge) {
      ctx.skipped('search', 'model', why ?? '');
      return { changed: false };
    }
    sortTopologically(model.graph);
    inferShapes(model);
    const original = cloneModel(model);
    const judge = await ctx.judge(original);
    try {
      const parts = await partsOf(original, given, ctx);
      const time = new TimeModel(parts);
      const most = affordable(parts, activations.samples, given.trials, given.fits);
      if (most < 2) {
        const sentence =
          'fitting it again and again, as a search does, would take more than some five minutes: prune-channels --ratio and drop-layers --count do it once';
        ctx.skipped('search', 'model', sentence);
        return { changed: false };
      }
      const trials = new Trials(original, parts, judge, activations, given, ctx);
      const prices = await priceMoves(parts, time, trials, most, ctx);
      const floor = { maxDrop: given.maxDrop, minSqnrDb: given.minSqnr };
      const found = await farthest(parts, time, prices, trials, { ...given, floor }, ctx);
      if (!found || found.time > 1 - leastSaved) {
        const moves = prices.scale.size + prices.blocks.size;
        const sentence =
          moves === 0
            ? 'it has neither channels in the multiples asked for (--round) nor residual blocks that can go'
            : `nothing that saves ${100 * leastSaved} % of its work keeps the floor (a drop of ${given.maxDrop} at most: --max-drop)`;
        ctx.skipped('search', 'model', sentence);
        return { changed: false };
      }
      const narrowed = takeOut(model, parts, found.shape, given.keep, ctx);
      for (const { group } of parts.candidates) {
        const left = found.shape.widths.get(group.id);
        if (left !== undefined)
          ctx.applied('channels', layersOf(group, 'out')[0] ?? 'model', `${group.size} → ${left}`);
      }
      ctx.note?.(`${describe(found.shape, parts)}: ${(100 * found.time).toFixed(1)} % of its work is left`);
      model.meta.set(key, String(given.maxDrop));
      await repair(original, model, narrowed, 'weights', ctx);
      return { changed: true };
    } finally {
      await judge.dispose();
    }
  },
});
