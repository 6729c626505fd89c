import { usual } from '../../src/drop-limit.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { countMacs } from '../../src/ir/macs.ts';
import { sortTopologically } from '../../src/ir/sort.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, lossy } from '../../src/pass/pass.ts';
import { reportUnmatched } from '../../src/rewrite/keep.ts';
import { repair } from './carry-out.ts';
import { layersOf } from './coupling/groups.ts';
import { affordable } from './search/effort.ts';
import { toFloor, toTarget } from './search/ends.ts';
import { extentsOf } from './search/extents.ts';
import { partsOf, takeOut } from './search/parts.ts';
import { describe, percent, priceMoves } from './search/search.ts';
import { lanes, TimeModel } from './search/time.ts';
import { Trials } from './search/trials.ts';

const options = {
  maxDrop: opt.drop(
    usual,
    'largest allowed drop of the task metric (of the agreement with the model as it is, without labels), in its own unit or as a share of what the model reaches (1%); usual: 0.01 where the metric is a share of 1, such as accuracy, else 1%',
  ),
  macs: opt.number(
    0,
    'share of the multiply-accumulates to come down to, whatever that costs, in place of --max-drop: 0.7 takes 30 % off where it costs the outputs least',
    { min: 0, max: 0.99 },
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
  fits: opt.int(10, 'whole models to fit and judge, at most', { min: 1 }),
  least: opt.number(0.3, 'share of the work below which nothing is tried', { min: 0, max: 1 }),
  keep: opt.list([], 'names of nodes, or operators, whose channels and blocks stay'),
} as const;

/** Marks a model that was searched, so that a second run does not lose as much again. */
const key = 'mlpack.prune-search';

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
      ? `it was searched before, for ${model.meta.get(key)}`
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
      const extents = await extentsOf(original, judge);
      const most = affordable(original, activations.samples, given, extents);
      if (most.trials < 2) {
        const sentence =
          'fitting it again and again, as a search does, would take more than some five minutes: prune-channels --ratio and drop-layers --count do it once';
        ctx.skipped('search', 'model', sentence);
        return { changed: false };
      }
      const parts = await partsOf(original, given, ctx);
      const time = new TimeModel(parts, extents);
      const trials = new Trials(original, parts, judge, activations, given, ctx);
      const prices = await priceMoves(parts, time, trials, most.trials, ctx);
      const searched = { parts, time, prices, trials, fits: most.fits };
      const target = given.macs * time.totalMacs;
      const limit = await judge.fixed(given.maxDrop);
      const floor = { maxDrop: await judge.left(limit), minSqnrDb: given.minSqnr };
      const shape = await (target > 0 ? toTarget(searched, target, ctx) : toFloor(searched, floor, given.least, ctx));
      if (typeof shape === 'string') {
        ctx.skipped('search', 'model', shape);
        return { changed: false };
      }
      const narrowed = takeOut(model, parts, shape, given.keep, ctx);
      for (const { group } of parts.candidates) {
        const left = shape.widths.get(group.id);
        if (left !== undefined)
          ctx.applied('channels', layersOf(group, 'out')[0] ?? 'model', `${group.size} → ${left}`);
      }
      const macs = countMacs(model, inferShapes(model, { write: false }), { bindings: extents }).total / time.totalMacs;
      ctx.note?.(
        `${describe(shape, parts)}: ${percent(macs)} of its multiply-accumulates are left, ${percent(time.of(shape) / time.total)} by full blocks of ${lanes} channels`,
      );
      model.meta.set(key, given.macs > 0 ? `${given.macs} of its multiply-accumulates` : `a drop of ${limit}`);
      await repair(original, model, narrowed, 'weights', ctx, true);
      return { changed: true };
    } finally {
      await judge.dispose();
    }
  },
});
