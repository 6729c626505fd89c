import { bug } from '../../../src/errors.ts';
import type { ChannelRequest, Gram, GramRequest, PassContext, PatchRequest } from '../../../src/pass/pass.ts';
import { products } from '../../quantize/weight-only/product.ts';
import type { Coupling } from '../coupling/analyze.ts';
import { type Group, layersOf, unitsAlong } from '../coupling/groups.ts';
import { type Reader, readReader } from '../repair/reader.ts';
import { joinedTo, mostInputs } from '../repair/repair.ts';
import { Removal } from './removal.ts';

/** The order in which the units of a group go best, and what is lost with the first so many, as a share of what the readers' outputs go into. */
export interface Sequence {
  readonly order: readonly number[];
  /** [0] is 0. */
  readonly cost: Float64Array;
}

/**
 * Beyond so many inputs units go in larger blocks, at most so many rounds: each round is a product of k² · block. Up to 600 inputs
 * one by one (576: 3 s on one core).
 */
const oneByOne = 600;
const rounds = 12;

/** Inverses that are held together while other readers of their groups are still to come, in bytes. */
const mostWaiting = 512e6;

interface Reading {
  readonly group: Group;
  readonly reader: Reader;
  readonly columns: readonly (readonly number[])[];
}

/**
 * Lets the units of each group go in the order in which the readers can make up for them, by the second moments of what they read.
 * Groups with a reader that cannot be looked at so are left out.
 */
export async function sequencesOf(
  coupling: Coupling,
  groups: readonly Group[],
  leastShare: number,
  ctx: PassContext,
): Promise<ReadonlyMap<number, Sequence>> {
  const { activations } = ctx;
  const sequences = new Map<number, Sequence>();
  if (!activations) return sequences;
  const readings = groups.map((group) => readingsOf(coupling, group));
  const usable = readings.filter((list): list is Reading[] => list !== undefined && list.length > 0);
  const targets = await targetSignals(usable.flat(), coupling, ctx);
  const by = products(ctx.compute);
  for (const lists of together(usable)) {
    const places = new Map(lists.flatMap((list) => list.map((own) => [own.reader.input, { own, list }] as const)));
    const removals = new Map<Group, Removal[]>();
    await activations.layers.inOrder(
      coupling.model,
      [...places.keys()],
      async (request: GramRequest | PatchRequest, grams: readonly Gram[]) => {
        ctx.signal.throwIfAborted();
        const { own, list } = places.get(request) ?? bug('a layer that nobody asked for');
        const { group } = own;
        ctx.progress?.(`channels of ${layersOf(group, 'out')[0]}: ${sequences.size + 1} of ${usable.length}`);
        const removal = await removalOf(own, grams, targets, by);
        if (!removal) return undefined;
        const all = [...(removals.get(group) ?? []), removal];
        removals.set(group, all);
        if (all.length < list.length) return undefined;
        removals.delete(group);
        const k = Math.max(...list.map(({ reader }) => reader.k));
        sequences.set(group.id, await letGo(group, all, k, leastShare, ctx));
        return undefined;
      },
    );
  }
  return sequences;
}

/** Groups that are looked at in one run of the model: those with several readers wait for the last of them, and take memory meanwhile. */
function* together(usable: readonly Reading[][]): Generator<Reading[][]> {
  let lists: Reading[][] = [];
  let bytes = 0;
  for (const list of usable) {
    const waits = list.length > 1 ? list.reduce((sum, { reader: { k, n } }) => sum + 8 * k * (k + n), 0) : 0;
    if (lists.length > 0 && bytes + waits > mostWaiting) {
      yield lists;
      lists = [];
      bytes = 0;
    }
    lists.push(list);
    bytes += waits;
  }
  if (lists.length > 0) yield lists;
}

/** Every reader of a group, or nothing where one cannot be looked at. */
function readingsOf({ union }: Coupling, group: Group): Reading[] | undefined {
  const readings: Reading[] = [];
  for (const axis of group.axes) {
    for (const { node, role } of axis.roles) {
      if (role !== 'in') continue;
      const reader = readReader(node, false);
      if (typeof reader === 'string' || reader.groups !== 1 || reader.k > mostInputs) return undefined;
      const along = unitsAlong(axis, group, union);
      const taps = reader.k / along.length;
      if (!Number.isInteger(taps)) return undefined;
      const columns: number[][] = Array.from({ length: group.size }, () => []);
      for (const [p, unit] of along.entries()) for (let t = 0; t < taps; t++) columns[unit]?.push(p * taps + t);
      readings.push({ group, reader, columns });
    }
  }
  return readings;
}

type Signals = ReadonlyMap<string, number>;

/** Variance of what each reader's output goes into, summed over channels, by name. */
async function targetSignals(readings: readonly Reading[], { model }: Coupling, ctx: PassContext): Promise<Signals> {
  const requests = new Map<string, ChannelRequest>();
  for (const { reader } of readings) {
    const joined = joinedTo(reader.output);
    const value = joined ? reader.output.consumers[0]?.output() : reader.output;
    if (value) requests.set(reader.output.name, { value, axis: reader.node.is('Conv') ? 1 : -1 });
  }
  const stats = await ctx.activations?.layers.channels(model, [...requests.values()]);
  return new Map(
    [...requests].flatMap(([name, { value }]): [string, number][] => {
      const seen = stats?.get(value.name);
      if (!seen) return [];
      return [
        [name, seen.mean.reduce((sum, mean, c) => sum + Math.max(0, (seen.meanSquare[c] as number) - mean * mean), 0)],
      ];
    }),
  );
}

async function removalOf(
  { reader, columns }: Reading,
  grams: readonly Gram[],
  signals: Signals,
  by: ReturnType<typeof products>,
): Promise<Removal | undefined> {
  const [gram] = grams;
  const signal = signals.get(reader.output.name);
  if (!gram || gram.rows === 0 || !signal) return undefined;
  return await Removal.of(reader.rows, gram, columns, signal, by);
}

async function letGo(
  group: Group,
  removals: readonly Removal[],
  k: number,
  leastShare: number,
  ctx: PassContext,
): Promise<Sequence> {
  const order: number[] = [];
  const cost = new Float64Array(group.size + 1);
  const left = new Set(group.units.keys());
  const least = Math.max(1, Math.floor(group.size * leastShare));
  const block = k <= oneByOne ? 1 : Math.ceil(group.size / rounds);
  while (left.size > 0) {
    ctx.signal.throwIfAborted();
    const costs = [...left]
      .map((unit) => ({ unit, cost: removals.reduce((sum, removal) => sum + removal.cost(unit), 0) }))
      .sort((a, b) => a.cost - b.cost || a.unit - b.unit);
    // Those that stay anyway are only ranked.
    const gone = left.size <= least ? costs : costs.slice(0, block);
    for (const { unit, cost: own } of gone) {
      cost[order.length + 1] = (cost[order.length] as number) + Math.max(0, own);
      order.push(unit);
      left.delete(unit);
    }
    if (left.size > 0) for (const removal of removals) await removal.remove(gone.map(({ unit }) => unit));
  }
  return { order, cost };
}
