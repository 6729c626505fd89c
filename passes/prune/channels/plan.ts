import type { Model } from '../../../src/ir/graph.ts';
import type { PassContext } from '../../../src/pass/pass.ts';
import { isKept } from '../../../src/rewrite/keep.ts';
import { analyzeCoupling, type Coupling } from '../coupling/analyze.ts';
import { type Group, layersOf, unitsAlong } from '../coupling/groups.ts';
import { byBudget, byRatio, type Candidate, candidateOf, macBudget, unitBudget, type Widths } from './choose.ts';
import { MacModel } from './macs.ts';
import { type Sequence, sequencesOf } from './reconstruction.ts';
import { type ScoreName, scoreGroups } from './score.ts';
import { labelsOf, parseRatios, ratioFor, remembered, reportUnknownLayers } from './settings.ts';

export interface PlanOptions {
  readonly ratio: number;
  readonly scope: 'group' | 'global';
  /** Share of the multiply-accumulates to keep; 0: `ratio` decides. */
  readonly macs: number;
  readonly score: ScoreName;
  readonly round: number;
  readonly maxRatio: number;
  readonly layer: readonly string[];
  readonly heads: boolean;
  readonly keep: readonly string[];
}

/** What is to go, before anything went. */
export interface Plan {
  readonly coupling: Coupling;
  readonly removed: ReadonlySet<number>;
  readonly cuts: readonly Cut[];
  readonly macs: { readonly before: number; readonly after: number; readonly original: number };
  /** Widths before any pruning, by label. */
  readonly originals: ReadonlyMap<string, number>;
}

/** A group that loses units. */
export interface Cut {
  readonly group: Group;
  readonly left: number;
  /** Share of the score that goes. */
  readonly cost: number;
  readonly by: string;
}

/** Chooses channels by score; the model stays as it is but for the order of its nodes. */
export async function planChannels(model: Model, options: PlanOptions, ctx: PassContext): Promise<Plan> {
  const ratios = parseRatios(options.layer);
  const coupling = analyzeCoupling(model, { isKept: (node) => isKept(node, options.keep) });
  for (const { node, why } of coupling.stuck) ctx.skipped('coupling', node, why);
  const groups = coupling.groups.filter((group) => options.heads || !isHeads(group, ctx));
  reportUnknownLayers(model, ratios, groups, ctx);
  const { widths: before, macs: macsBefore } = remembered(model);
  const labels = labelsOf(groups);
  const macs = new MacModel(coupling, groups);
  const ordered = await orderGroups(
    coupling,
    groups,
    options,
    () => options.round,
    (group) => before.get(labels.get(group.id) ?? ''),
    ctx,
  );
  const candidates = ordered.map(({ candidate }) => candidate);
  const original = macsBefore ?? macs.total;
  const widths = chooseWidths(candidates, macs, original, options, (candidate) => ratioFor(candidate.group, ratios));
  const cuts: Cut[] = [];
  const removed = new Set<number>();
  for (const [index, { group, order, cost }] of candidates.entries()) {
    const left = widths.get(group.id) ?? group.size;
    if (left >= group.size) continue;
    const gone = group.size - left;
    for (const unit of order.slice(0, gone)) removed.add(group.units[unit] as number);
    cuts.push({
      group,
      left,
      cost: cost[gone] as number,
      by: ordered[index]?.by ?? 'l2',
    });
  }
  const gone = new Map(cuts.map(({ group, left }) => [group.id, group.size - left]));
  // What prune-heads noted stays: it would take as many heads again.
  const originals = new Map([
    ...before,
    ...candidates.map((one) => [labels.get(one.group.id) ?? '', one.original] as const),
  ]);
  const after = macs.total - macs.saved(gone);
  explainWidths(candidates, widths, options, ratios.length > 0, after / original, ctx);
  return { coupling, removed, cuts, macs: { before: macs.total, after, original }, originals };
}

/** A group with the order in which its units go, and the score that says so. */
export interface Ordered {
  readonly candidate: Candidate;
  readonly by: string;
}

/** @param widthBefore units of a group before any pruning, where that is known */
export async function orderGroups(
  coupling: Coupling,
  groups: readonly Group[],
  { score, maxRatio }: Pick<PlanOptions, 'score' | 'maxRatio'>,
  roundOf: (group: Group) => number,
  widthBefore: (group: Group) => number | undefined,
  ctx: PassContext,
): Promise<Ordered[]> {
  const scored = await scoreGroups(coupling, groups, score, ctx);
  const fits = score === 'fit' || (score === 'auto' && ctx.activations?.source === 'data');
  if (fits && !ctx.activations)
    ctx.skipped(
      'score',
      'model',
      'what readers can make up for shows on samples: give a folder of them with --data; channels go by l2',
    );
  const sequences: ReadonlyMap<number, Sequence> = fits
    ? await sequencesOf(coupling, groups, 1 - maxRatio, ctx)
    : new Map();
  return scored.map((one) => {
    const { group } = one;
    const original = Math.max(group.size, widthBefore(group) ?? 0);
    const readers = Math.max(1, layersOf(group, 'in').length);
    const perUnit = positionsOfUnit(group, coupling);
    const candidate = candidateOf(one, sequences.get(group.id), original, readers, roundOf(group), perUnit);
    return { candidate, by: sequences.has(group.id) ? 'fit' : one.by };
  });
}

/** Heads are chosen by another measure, and are few. */
export function isHeads(group: Group, ctx: PassContext): boolean {
  const heads = layersOf(group, 'head');
  if (heads.length === 0) return false;
  const why = `its ${group.size} attention heads stay: prune-heads chooses them by measuring (or --heads takes them by score)`;
  ctx.skipped('heads', layersOf(group, 'out')[0] ?? 'model', why);
  return true;
}

/** How many positions a unit takes on the axis that its first layer gives out. */
function positionsOfUnit(group: Group, { union }: Coupling): number {
  const axis = group.axes.find(({ roles }) => roles.some(({ role }) => role === 'out'));
  if (!axis) return 1;
  const own = unitsAlong(axis, group, union).reduce((sum, unit) => sum + (unit >= 0 ? 1 : 0), 0);
  return Math.max(1, Math.round(own / group.size));
}

function chooseWidths(
  candidates: readonly Candidate[],
  macs: MacModel,
  original: number,
  { ratio, scope, macs: share, maxRatio }: PlanOptions,
  override: (candidate: Candidate) => number | undefined,
): Widths {
  const own = candidates.filter((candidate) => override(candidate) !== undefined);
  const fixed = byRatio(own, (candidate) => override(candidate) ?? 0);
  const free = candidates.filter((candidate) => !own.includes(candidate));
  if (share === 0 && scope === 'group') return new Map([...fixed, ...byRatio(free, () => ratio)]);
  const sizes = new Map(candidates.map(({ group }) => [group.id, group.size]));
  const units = free.reduce((sum, candidate) => sum + candidate.original, 0);
  const budget = share > 0 ? macBudget(macs, share * original, sizes) : unitBudget(Math.round(units * (1 - ratio)));
  return new Map([...fixed, ...byBudget(free, budget, 1 - maxRatio)]);
}

/** Says where what was asked for and what came out are not the same. */
function explainWidths(
  candidates: readonly Candidate[],
  widths: Widths,
  { ratio, scope, macs, round, maxRatio }: PlanOptions,
  overridden: boolean,
  share: number,
  ctx: PassContext,
): void {
  if (macs > 0 && share > macs + 1e-6) {
    const why = `${percent(macs)} of the multiply-accumulates were asked for, ${percent(share)} is the least that channels which can go leave (each layer keeps ${percent(1 - maxRatio)}: --max-ratio; multiples of ${round}: --round)`;
    ctx.skipped('macs', 'model', why);
  }
  if (macs > 0 || scope !== 'group' || overridden) return;
  for (const { group, original, steps } of candidates) {
    const left = widths.get(group.id) ?? group.size;
    const wanted = original * (1 - ratio);
    const layer = layersOf(group, 'out')[0] ?? 'model';
    if (wanted < 0.5)
      ctx.skipped('ratio', layer, `--ratio ${ratio} would leave none of its ${original} channels: ${left} stay`);
    else if (left === group.size && group.size > wanted + 0.5) {
      const next = steps[1] === undefined ? 'there is none' : `the next is ${steps[1]}`;
      ctx.skipped(
        'ratio',
        layer,
        `its ${group.size} channels stay: of the numbers that go (multiples of ${round}, --round) ${next}, farther from the ${wanted.toFixed(1)} asked for`,
      );
    }
  }
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
