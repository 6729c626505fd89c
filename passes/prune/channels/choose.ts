import type { Group } from '../coupling/groups.ts';
import type { MacModel } from './macs.ts';
import type { Sequence } from './reconstruction.ts';
import type { Scored } from './score.ts';

/** A group with its units in the order in which they may go. */
export interface Candidate {
  readonly group: Group;
  /** Indices of units, the least worth first. */
  readonly order: readonly number[];
  /** Share of what is left that goes with the first so many: [0] is 0. */
  readonly cost: Float64Array;
  /** Layers that miss what goes. */
  readonly readers: number;
  /** Units before any pruning. */
  readonly original: number;
  /** Numbers of units that may stay: multiples of what kernels like, in falling order, all of them first. */
  readonly steps: readonly number[];
}

/**
 * @param readers layers that read the group: each of them misses what goes
 * @param round channels that kernels like multiples of; a unit of several channels counts as these. */
export function candidateOf(
  scored: Scored,
  sequence: Sequence | undefined,
  original: number,
  readers: number,
  round: number,
  perUnit: number,
): Candidate {
  const { group, shares } = scored;
  const multiple = round / gcd(round, perUnit);
  const steps = [group.size];
  for (let left = group.size - 1; left >= 1; left--) if (left % multiple === 0) steps.push(left);
  if (sequence) return { group, ...sequence, readers, original, steps };
  const order = [...shares.keys()].sort((a, b) => (shares[a] as number) - (shares[b] as number) || a - b);
  const cost = new Float64Array(group.size + 1);
  for (const [at, unit] of order.entries()) cost[at + 1] = (cost[at] as number) + (shares[unit] as number);
  return { group, order, cost, readers, original, steps };
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** How many units of each group (by id) stay. */
export type Widths = Map<number, number>;

/** Every group keeps the same share of its original width, to the nearest number that kernels like. */
export function byRatio(candidates: readonly Candidate[], ratioOf: (candidate: Candidate) => number): Widths {
  return new Map(
    candidates.map((candidate) => {
      const { group, steps, original } = candidate;
      const wanted = original * (1 - ratioOf(candidate));
      const nearest = steps.reduce((best, left) =>
        Math.abs(left - wanted) < Math.abs(best - wanted) - 1e-9 ? left : best,
      );
      return [group.id, Math.min(group.size, nearest)];
    }),
  );
}

export interface Budget {
  /** True when enough is gone. */
  done(widths: Widths): boolean;
  /** What a step of a group down to `left` gains, in the measure of the budget. */
  gain(candidate: Candidate, from: number, left: number, widths: Widths): number;
}

/** Takes step by step what costs least for what it gains, until the budget is met or every group is at its least width. */
export function byBudget(candidates: readonly Candidate[], budget: Budget, leastShare: number): Widths {
  const widths: Widths = new Map(candidates.map(({ group }) => [group.id, group.size]));
  while (!budget.done(widths)) {
    let best: { candidate: Candidate; left: number; price: number } | undefined;
    for (const candidate of candidates) {
      const { group, steps, cost, readers, original } = candidate;
      const now = widths.get(group.id) as number;
      const left = steps.find((step) => step < now);
      if (left === undefined || left < leastShare * original - 1e-9) continue;
      const lost = (cost[group.size - left] as number) - (cost[group.size - now] as number);
      const gain = budget.gain(candidate, now, left, widths);
      if (!(gain > 0)) continue;
      // What is left is worth more with every unit that has gone: errors add up to those before them.
      const price = (readers * lost * (1 + (cost[group.size - left] as number))) / gain;
      if (!best || price < best.price) best = { candidate, left, price };
    }
    if (!best) break;
    widths.set(best.candidate.group.id, best.left);
  }
  return widths;
}

/** Keeps at most so many multiply-accumulates. */
export function macBudget(macs: MacModel, most: number, sizes: ReadonlyMap<number, number>): Budget {
  const removed = (widths: Widths): Map<number, number> =>
    new Map([...widths].map(([id, left]) => [id, (sizes.get(id) as number) - left]));
  return {
    done: (widths) => macs.total - macs.saved(removed(widths)) <= most,
    gain: ({ group }, from, left, widths) => macs.step(group.id, from - left, removed(widths)),
  };
}

/** Removes a share of all units. */
export function unitBudget(most: number): Budget {
  return {
    done: (widths) => [...widths.values()].reduce((a, b) => a + b, 0) <= most,
    gain: (_, from, left) => from - left,
  };
}
