import { opt } from '../../src/pass/options.ts';
import { definePass, lossy, type PassContext } from '../../src/pass/pass.ts';
import { reportUnmatched } from '../../src/rewrite/keep.ts';
import { carryOut } from './carry-out.ts';
import { type Cut, type Plan, planChannels } from './channels/plan.ts';
import { scoreNames } from './channels/score.ts';
import { remember } from './channels/settings.ts';
import { layersOf } from './coupling/groups.ts';
import { reaches } from './repair/repair.ts';
import { repairMethodHelp, repairMethods } from './repair/solve.ts';

const options = {
  ratio: opt.number(0.3, 'share of the channels that go', { min: 0, max: 0.99 }),
  scope: opt.choice(
    ['group', 'global'],
    'group',
    'the same share of every layer, or those of the whole model that are worth least',
  ),
  macs: opt.number(0, 'share of the multiply-accumulates to keep, in place of a ratio: 0.7 takes 30 % off', {
    min: 0,
    max: 1,
  }),
  score: opt.choice(
    scoreNames,
    'auto',
    'what a channel is worth: fit (what its readers cannot make up for, on the samples), energy (what they get of it), l1, l2 (its weights), bn (its gain), median (distance from the others); auto: fit with data, else l2',
  ),
  round: opt.int(8, 'channels stay in multiples of this', { min: 1, max: 128 }),
  maxRatio: opt.number(0.75, 'with --macs or a global scope: the largest share that one layer may lose', {
    min: 0,
    max: 0.99,
  }),
  layer: opt.list([], 'NAME=RATIO for single layers, by node or output'),
  heads: opt.boolean(false, 'take attention heads too, by score'),
  repair: opt.boolean(false, 'fit the layers that read fewer channels to what the model as it was gave (takes --data)'),
  repairBy: opt.choice(repairMethods, 'weights', repairMethodHelp),
  repairReach: opt.choice(
    reaches,
    'behind',
    'which layers are fitted: all behind what went, or the readers of it alone',
  ),
  keep: opt.list([], 'names of nodes, or operators, whose channels stay'),
} as const;

/** Structured pruning: channels that really go. */
export const pruneChannels = definePass({
  id: 'prune-channels',
  summary: 'Remove whole channels, with all that hangs on them: fewer multiplications, smaller and faster everywhere',
  options,
  rules: {
    channels: 'Channels went, in every place where they appeared',
    coupling: 'Layers whose channels have to stay',
    heads: 'Attention heads, which prune-heads takes',
    ratio: 'Ratios that could not be met',
    score: 'Scores that need samples',
    macs: 'A number of multiplications that could not be met',
    layer: 'Names given with --layer that stand for nothing',
    repair: 'Layers were fitted to what the model as it was gave',
    keep: 'Names given with --keep that stand for nothing',
  },
  // Without repair or retraining nothing can be promised.
  numerics: () => lossy(-40),
  async run(model, given, ctx) {
    reportUnmatched(model, given.keep, ctx);
    const plan = await planChannels(model, given, ctx);
    if (plan.cuts.length === 0) return { changed: false };
    ctx.signal.throwIfAborted();
    remember(model, plan.macs.original, plan.originals);
    for (const cut of plan.cuts) tellCut(cut, ctx);
    ctx.note?.(summaryOf(plan));
    await carryOut(plan.coupling, plan.removed, given, ctx);
    return { changed: true };
  },
});

const measures: Readonly<Record<string, string>> = {
  fit: 'of what their readers feed, after these have made up for them',
  energy: 'of what their readers get',
};

function tellCut({ group, left, by, cost }: Cut, ctx: PassContext): void {
  const [first, ...others] = layersOf(group, 'out');
  const with_ = others.length === 0 ? '' : `, with ${others.length} more layers that share them`;
  const read = layersOf(group, 'in');
  const share = `${(100 * cost).toFixed(1)} % ${measures[by] ?? `of their ${by} score`}`;
  ctx.applied(
    'channels',
    first ?? 'model',
    `${group.size} → ${left} (${share})${with_}; read by ${read.slice(0, 3).join(', ')}${read.length > 3 ? ', …' : ''}`,
  );
}

function summaryOf({ macs, cuts }: Plan): string {
  const share = (100 * macs.after) / Math.max(1, macs.original);
  return `${cuts.length} groups of channels are narrower; ${share.toFixed(1)} % of the multiply-accumulates are left`;
}
