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
  readonly measurements: number;
}

export interface FidelityOptions {
  readonly minSqnr: number;
  readonly samples: number;
  readonly signal: AbortSignal;
}

/** Nodes measured one by one at most; with more, neighbours are measured together. */
const mostGroups = 160;

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
  if (before >= options.minSqnr || half.length === 0) return { kept: new Map(), before, after: before, measurements };
  const size = Math.ceil(half.length / mostGroups);
  const groups: { places: readonly number[]; noise: number; db: number }[] = [];
  for (let at = 0; at < half.length; at += size) {
    const places = half.slice(at, at + size);
    const own = new Set(places);
    const db = await measureAs(new Set(half.filter((place) => !own.has(place))), 'simulated');
    groups.push({ places, db, noise: Number.isFinite(db) ? 10 ** (-db / 10) : db < 0 ? Number.MAX_VALUE : 0 });
  }
  groups.sort((a, b) => b.noise - a.noise);
  const firstOf = (count: number): Set<number> => new Set(groups.slice(0, count).flatMap(({ places }) => places));
  // From `low` groups it is not enough, from `high` it is: all in float is the model itself.
  let [low, high] = [0, groups.length];
  let after = Number.POSITIVE_INFINITY;
  while (high - low > 1) {
    const middle = low === 0 && high === groups.length ? guess(groups, options.minSqnr) : (low + high) >> 1;
    const db = await measure(firstOf(middle));
    if (db >= options.minSqnr) [high, after] = [middle, db];
    else low = middle;
  }
  const kept = new Map<number, string>();
  for (const { places, db } of groups.slice(0, high)) {
    for (const place of places)
      kept.set(
        place,
        `${size > 1 ? `with it and ${places.length - 1} neighbours` : 'with it'} alone in float16 the outputs have ${db.toFixed(1)} dB; all that are left in float16 reach ${options.minSqnr} dB without it (--min-sqnr)`,
      );
  }
  return { kept, before, after, measurements };
}

/** How many of the noisiest must go for the rest to keep the budget, if noises add up. */
function guess(groups: readonly { readonly noise: number }[], minSqnr: number): number {
  let left = groups.reduce((sum, { noise }) => sum + noise, 0);
  const budget = 10 ** (-minSqnr / 10);
  let count = 0;
  while (left > budget && count < groups.length) left -= groups[count++]?.noise ?? 0;
  return Math.min(groups.length - 1, Math.max(1, count));
}
