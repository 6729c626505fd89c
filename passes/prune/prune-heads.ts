import type { Node, Value } from '../../src/ir/graph.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, lossy, type PassContext } from '../../src/pass/pass.ts';
import { isKept, reportUnmatched } from '../../src/rewrite/keep.ts';
import { carryOut } from './carry-out.ts';
import { scoreGroups } from './channels/score.ts';
import { labelsOf, remember, remembered } from './channels/settings.ts';
import { analyzeCoupling, type Coupling } from './coupling/analyze.ts';
import type { Axis } from './coupling/book.ts';
import { type Group, layersOf, unitsAlong } from './coupling/groups.ts';
import { type Gate, GateMeter, sizeOf } from './gates.ts';
import { reaches } from './repair/repair.ts';
import { repairMethodHelp, repairMethods } from './repair/solve.ts';

const options = {
  ratio: opt.number(0.25, 'share of the attention heads that go', { min: 0, max: 0.99 }),
  scope: opt.choice(
    ['global', 'layer'],
    'global',
    'the least important of the whole model, or the same share of every layer',
  ),
  importance: opt.choice(
    ['measured', 'weights'],
    'measured',
    'measured: what the outputs lose without the head, on samples (made-up ones without --data); weights: its share of the weights',
  ),
  samples: opt.int(32, 'samples to measure on', { min: 1 }),
  repair: opt.boolean(false, 'fit the layers that read fewer heads to what the model as it was gave (takes --data)'),
  repairBy: opt.choice(repairMethods, 'weights', repairMethodHelp),
  repairReach: opt.choice(
    reaches,
    'behind',
    'which layers are fitted: all behind what went, or the readers of it alone',
  ),
  keep: opt.list([], 'names of nodes, or operators, whose heads stay'),
} as const;

/** One head (or one group of heads that share keys and values). */
interface Head {
  readonly group: Group;
  readonly unit: number;
  readonly importance: number;
}

/** Attention heads that matter least, with their queries, keys, values and what reads them. */
export const pruneHeads = definePass({
  id: 'prune-heads',
  summary: 'Remove the attention heads that the outputs miss least, by measuring each',
  options,
  rules: {
    heads: 'Attention heads went',
    coupling: 'Layers whose heads have to stay',
    importance: 'How heads were measured',
    ratio: 'Shares that could not be met',
    repair: 'Layers were fitted to what the model as it was gave',
    keep: 'Names given with --keep that stand for nothing',
  },
  numerics: () => lossy(-40),
  async run(model, given, ctx) {
    reportUnmatched(model, given.keep, ctx);
    const coupling = analyzeCoupling(model, { isKept: (node) => isKept(node, given.keep) });
    const groups = coupling.groups.filter((group) => layersOf(group, 'head').length > 0);
    const stuck = stuckHeads(coupling, groups);
    for (const [node, why] of stuck) ctx.skipped('coupling', node, why);
    if (groups.length === 0) {
      const hint = stuck.size > 0 ? ' (an export as it came may have some after simplify and fuse)' : '';
      ctx.skipped('coupling', 'model', `it has no attention heads that can go${hint}`);
      return { changed: false };
    }
    const labels = labelsOf(groups);
    const { widths, macs } = remembered(model);
    const originals = new Map(
      groups.map((group) => [
        labels.get(group.id) ?? '',
        Math.max(group.size, widths.get(labels.get(group.id) ?? '') ?? 0),
      ]),
    );
    const original = (group: Group): number => originals.get(labels.get(group.id) ?? '') ?? group.size;
    const wanted = goneBy(groups, original, given.ratio, given.scope);
    if ([...wanted.values()].every((count) => count === 0) && given.scope === 'layer') return tellNothing(groups, ctx);
    const total = groups.reduce((sum, group) => sum + original(group), 0);
    const alreadyGone = groups.reduce((sum, group) => sum + original(group) - group.size, 0);
    const budget = Math.round(given.ratio * total) - alreadyGone;
    if (given.scope === 'global' && budget <= 0) return tellNothing(groups, ctx);
    const heads = await importances(coupling, groups, given, ctx);
    const gone = chooseHeads(heads, groups, given.scope === 'global' ? budget : wanted);
    if (gone.length === 0) return tellNothing(groups, ctx);
    if (given.scope === 'global' && gone.length < budget)
      ctx.skipped('ratio', 'model', `${budget} heads were to go, ${gone.length} went: every layer keeps one`);
    remember(model, macs ?? 0, new Map([...widths, ...originals]));
    tellHeads(gone, groups, heads, ctx);
    await carryOut(coupling, new Set(gone.map(({ group, unit }) => group.units[unit] as number)), given, ctx);
    return { changed: true };
  },
});

function tellNothing(groups: readonly Group[], ctx: PassContext): { changed: boolean } {
  const layer = layersOf(groups[0] as Group, 'out')[0] ?? 'model';
  ctx.skipped('ratio', layer, 'the share asked for is less than one head, or those heads are gone already');
  return { changed: false };
}

/** Attention whose heads stay, and why: what holds the heads themselves, or the projections in front of them. */
function stuckHeads(coupling: Coupling, groups: readonly Group[]): Map<Node, string> {
  const { book, union, stuck } = coupling;
  const known = new Map(stuck.map(({ node, why }) => [node, why]));
  const movable = new Set(groups.flatMap((group) => layersOf(group, 'head')));
  const weighing = new Set<Node>();
  const attentions = new Map<Node, Axis>();
  for (const axis of book.axes)
    for (const { node, role } of axis.roles) {
      if (role === 'out') weighing.add(node);
      // [batch, heads, length, size]: the last of them is that of the heads.
      if (role === 'head' && !movable.has(node)) attentions.set(node, axis);
    }
  const told = new Map<Node, string>();
  for (const [attention, axis] of attentions) {
    const reason = union.reasonFor(axis);
    const own = known.get(attention) ?? (reason && !reason.silent && (axis.extent ?? 0) > 1 ? reason.why : undefined);
    if (own !== undefined) told.set(attention, own);
    for (const projection of layersAbove(attention, weighing)) {
      const why = known.get(projection);
      if (why !== undefined) told.set(projection, why);
    }
  }
  return told;
}

/** The nearest layers with weights that a node is fed by. */
function layersAbove(node: Node, weighing: ReadonlySet<Node>): Set<Node> {
  const found = new Set<Node>();
  const seen = new Set<Node>([node]);
  const open = [node];
  for (let next = open.pop(); next; next = open.pop()) {
    for (const input of next.inputs) {
      const producer = input?.producer;
      if (!producer || seen.has(producer)) continue;
      seen.add(producer);
      if (weighing.has(producer)) found.add(producer);
      else open.push(producer);
    }
  }
  return found;
}

function goneBy(
  groups: readonly Group[],
  original: (group: Group) => number,
  ratio: number,
  scope: 'global' | 'layer',
): Map<Group, number> {
  if (scope === 'global') return new Map();
  return new Map(
    groups.map((group) => {
      const left = Math.max(1, original(group) - Math.round(ratio * original(group)));
      return [group, Math.max(0, group.size - left)];
    }),
  );
}

/** The least important first; every layer keeps one head. */
function chooseHeads(
  heads: readonly Head[],
  groups: readonly Group[],
  most: number | ReadonlyMap<Group, number>,
): Head[] {
  const left = new Map(groups.map((group) => [group, group.size]));
  const gone: Head[] = [];
  for (const head of [...heads].sort((a, b) => a.importance - b.importance)) {
    const now = left.get(head.group) ?? 0;
    const enough =
      typeof most === 'number' ? gone.length >= most : head.group.size - now >= (most.get(head.group) ?? 0);
    if (enough || now <= 1) continue;
    gone.push(head);
    left.set(head.group, now - 1);
  }
  return gone;
}

async function importances(
  coupling: Coupling,
  groups: readonly Group[],
  { importance, samples }: { readonly importance: 'measured' | 'weights'; readonly samples: number },
  ctx: PassContext,
): Promise<Head[]> {
  const gates = importance === 'measured' && ctx.judge ? groups.map((group) => gateOf(coupling, group)) : [];
  if (gates.length === groups.length && gates.every((gate) => gate !== undefined) && ctx.judge) {
    const judge = await ctx.judge(coupling.model);
    try {
      if (judge.source === 'synthetic')
        ctx.skipped(
          'importance',
          'model',
          'heads are measured on made-up inputs, which say little of real ones: give samples with --data',
        );
      return await measured(coupling, groups, gates, judge, samples, ctx);
    } finally {
      await judge.dispose();
    }
  }
  if (importance === 'measured')
    ctx.skipped(
      'importance',
      'model',
      'heads go by their weights: what reads them cannot be switched head by head here',
    );
  const scored = await scoreGroups(coupling, groups, 'l2', ctx);
  return scored.flatMap(({ group, shares }) =>
    Array.from(shares, (share, unit): Head => ({ group, unit, importance: share * group.size })),
  );
}

type PlacesGate = Extract<Gate, { kind: 'places' }> & { readonly along: Int32Array };

/** Where the heads of a group are side by side on the last axis of what one layer reads. */
function gateOf({ union, model }: Coupling, group: Group): PlacesGate | undefined {
  for (const axis of group.axes) {
    for (const { node, role } of axis.roles) {
      if (role !== 'in' || !(node.is('MatMul') || node.is('Gemm'))) continue;
      const value: Value | undefined = node.input(0) === axis.slot.value ? undefined : node.input(0);
      if (!value || value.graph !== model.graph || (node.is('Gemm') && node.int('transA', 0) !== 0)) continue;
      const readers = layersOf(group, 'in').filter((reader) => reader.input(0) === value);
      if (readers.length < layersOf(group, 'in').length) return undefined;
      return { kind: 'places', value, extent: axis.extent ?? 0, readers, along: unitsAlong(axis, group, union) };
    }
  }
  return undefined;
}

async function measured(
  { model }: Coupling,
  groups: readonly Group[],
  gates: readonly PlacesGate[],
  judge: Awaited<ReturnType<NonNullable<PassContext['judge']>>>,
  samples: number,
  ctx: PassContext,
): Promise<Head[]> {
  const meter = await GateMeter.of(judge, model, gates, samples);
  const heads: Head[] = [];
  try {
    for (const [index, group] of groups.entries()) {
      for (const unit of group.units.keys()) {
        ctx.signal.throwIfAborted();
        ctx.progress?.(`head ${heads.length + 1}`);
        const open = Float32Array.from(gates[index]?.along ?? [], (own) => (own === unit ? 0 : 1));
        heads.push({ group, unit, importance: sizeOf(await meter.loss(new Map([[index, open]]))) });
      }
    }
  } finally {
    await meter.dispose();
  }
  return heads;
}

function tellHeads(gone: readonly Head[], groups: readonly Group[], heads: readonly Head[], ctx: PassContext): void {
  for (const group of groups) {
    const own = gone.filter((head) => head.group === group);
    if (own.length === 0) continue;
    const rank = (head: Head): string => `${head.unit} (${head.importance.toPrecision(2)})`;
    const most = Math.max(...heads.filter((head) => head.group === group).map(({ importance }) => importance));
    ctx.applied(
      'heads',
      layersOf(group, 'out')[0] ?? 'model',
      `${group.size} → ${group.size - own.length}: without ${own.map(rank).join(', ')}; the most important has ${most.toPrecision(2)}`,
    );
  }
}
