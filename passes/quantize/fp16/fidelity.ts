import { cloneModel } from '../../../src/ir/clone.ts';
import { graphsBelow, type Model, type Node } from '../../../src/ir/graph.ts';
import type { LayerStatistics } from '../../../src/pass/pass.ts';

/** What a search for the nodes to keep in float32 came to. */
export interface FidelitySearch {
  /** Places of nodes (in graph order, subgraphs included) that stay in float32, with the reason. */
  readonly kept: ReadonlyMap<number, string>;
  /** Lowest SQNR of the outputs in dB: with nothing kept, and with those. */
  readonly before: number;
  readonly after: number;
  /** The most that a plan reached which makes the file smaller. */
  readonly best: number;
  readonly measurements: number;
}

export interface FidelityOptions {
  readonly minSqnr: number;
  readonly samples: number;
  /** Whether the file gets smaller although these nodes stay in float32. */
  readonly saves: (kept: ReadonlySet<number>) => boolean;
  readonly signal: AbortSignal;
}

/** Nodes measured one by one at most; with more, neighbours are measured together. */
const mostGroups = 160;

/** dB below the target at which the best plan is still taken, where none reaches it. */
const slack = 10;
/** Into so many parts the range of counts is cut where halving found nothing. */
const spread = 8;

/** Every node of the main graph and its subgraphs, in an order that clones share. */
export const allNodes = (model: Model): Node[] => [...graphsBelow(model.graph)].flatMap((graph) => [...graph.nodes]);

/**
 * The fewest nodes to keep so that every output keeps `minSqnr`. The noise of each node is measured with that node alone in half; noises add
 * up, so the noisiest are kept first. How many it takes is then found by halving, on what is really built.
 * @param half places of nodes that would be half
 * @param build makes a copy of the model round as if all but these nodes were half, in place: `simulated`, or as it will be written
 */
export async function keepForFidelity(
  model: Model,
  half: readonly number[],
  statistics: LayerStatistics,
  build: (copy: Model, kept: ReadonlySet<number>, how: 'simulated' | 'converted') => void,
  options: FidelityOptions,
): Promise<FidelitySearch> {
  let measurements = 0;
  const measureAs = async (kept: ReadonlySet<number>, how: 'simulated' | 'converted'): Promise<number> => {
    options.signal.throwIfAborted();
    measurements++;
    const copy = cloneModel(model);
    build(copy, kept, how);
    return Math.min(...(await statistics.sqnr(model, copy, options.samples)).values(), Number.POSITIVE_INFINITY);
  };
  // Kernels of the CPU that compute in half may add rounding of their own.
  const measure = async (kept: ReadonlySet<number>): Promise<number> => {
    const simulated = await measureAs(kept, 'simulated');
    return simulated < options.minSqnr ? simulated : Math.min(simulated, await measureAs(kept, 'converted'));
  };
  const before = await measure(new Set());
  if (before >= options.minSqnr || half.length === 0)
    return { kept: new Map(), before, after: before, best: before, measurements };
  const size = Math.ceil(half.length / mostGroups);
  const groups: { places: readonly number[]; noise: number; db: number }[] = [];
  for (let at = 0; at < half.length; at += size) {
    const places = half.slice(at, at + size);
    const own = new Set(places);
    const db = await measureAs(new Set(half.filter((place) => !own.has(place))), 'simulated');
    // Not a number is the worst of all.
    const noise = Number.isFinite(db) ? 10 ** (-db / 10) : db > 0 ? 0 : Number.MAX_VALUE;
    groups.push({ places, db, noise });
  }
  groups.sort((a, b) => b.noise - a.noise);
  const firstOf = (count: number): Set<number> => new Set(groups.slice(0, count).flatMap(({ places }) => places));
  const seen = new Map([[0, before]]);
  const reached = async (count: number): Promise<number> => {
    const db = seen.get(count) ?? (await measure(firstOf(count)));
    seen.set(count, db);
    return db;
  };
  const enough = await fewestGroups(groups, options.minSqnr, reached);
  const saving = [...seen].filter(([count]) => options.saves(firstOf(count)));
  const best = (saving.length > 0 ? saving : [...seen]).reduce((a, b) =>
    b[1] > a[1] || (b[1] === a[1] && b[0] < a[0]) ? b : a,
  );
  // What the pass promises is 10 dB less than what is asked for; a plan below that is no plan.
  const [count, after] =
    enough !== undefined
      ? [enough, seen.get(enough) ?? Number.NaN]
      : best[1] >= options.minSqnr - slack
        ? best
        : [groups.length, Number.POSITIVE_INFINITY];
  const kept = new Map<number, string>();
  for (const { places, db } of groups.slice(0, count)) {
    for (const place of places)
      kept.set(
        place,
        `${size > 1 ? `with it and ${places.length - 1} neighbours` : 'with it'} alone in float16 the outputs have ${db.toFixed(1)} dB; all that are left in float16 reach ${Number.isFinite(after) ? Math.min(after, options.minSqnr).toFixed(1).replace(/\.0$/, '') : options.minSqnr} dB without it (--min-sqnr)`,
      );
  }
  return { kept, before, after, best: best[1], measurements };
}

/**
 * How many of the noisiest groups to keep, fewer than all; undefined when no number that was tried is enough. Halving takes it that keeping
 * more never hurts. It may: a border between float32 and float16 rounds (or overflows) where there was none before. So when halving ends
 * with nothing, counts spread over the whole range are tried.
 */
async function fewestGroups(
  groups: readonly { readonly noise: number }[],
  minSqnr: number,
  reached: (count: number) => Promise<number>,
): Promise<number | undefined> {
  let [low, high] = [0, groups.length];
  while (high - low > 1) {
    const middle = low === 0 && high === groups.length ? guess(groups, minSqnr) : (low + high) >> 1;
    if ((await reached(middle)) >= minSqnr) high = middle;
    else low = middle;
  }
  if (high < groups.length) return high;
  for (let step = 1; step < spread; step++) {
    const count = Math.round((step * groups.length) / spread);
    if (count > 0 && count < groups.length && (await reached(count)) >= minSqnr) return count;
  }
  return undefined;
}

/** How many of the noisiest must go for the rest to keep the budget, if noises add up. */
function guess(groups: readonly { readonly noise: number }[], minSqnr: number): number {
  let left = groups.reduce((sum, { noise }) => sum + noise, 0);
  const budget = 10 ** (-minSqnr / 10);
  let count = 0;
  while (left > budget && count < groups.length) left -= groups[count++]?.noise ?? 0;
  return Math.min(groups.length - 1, Math.max(1, count));
}
