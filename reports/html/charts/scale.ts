/** A logarithmic scale for ratios: twice and half are equally far from 1. */
export interface RatioScale {
  /** Pixels of a ratio. */
  readonly at: (ratio: number) => number;
  readonly ticks: readonly number[];
}

/** Steps to choose ticks from, coarse to fine. */
const tickSteps: readonly ((exponent: number) => readonly number[])[] = [
  (e) => [4 ** e],
  (e) => [2 ** e],
  (e) => [2 ** e, 1.5 * 2 ** e],
];
const fine = [0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2];
const finest = [0.9, 0.95, 1, 1.05, 1.1, 1.15, 1.2];

/** @param from pixels of the smallest ratio; `to` of the largest: may run either way */
export function ratioScale(ratios: readonly number[], from: number, to: number): RatioScale {
  const positive = ratios.filter((ratio) => ratio > 0);
  // Some air on both sides; 1 is always in sight.
  const low = Math.log2(Math.min(1, ...positive) / 1.25);
  const high = Math.log2(Math.max(1, ...positive) * 1.25);
  return {
    at: (ratio) => from + ((Math.log2(Math.max(ratio, 2 ** low)) - low) / (high - low)) * (to - from),
    ticks: chooseTicks(2 ** low, 2 ** high),
  };
}

function chooseTicks(low: number, high: number): readonly number[] {
  const exponents = Array.from({ length: 41 }, (_, index) => index - 20);
  const sets = [...tickSteps.map((make) => exponents.flatMap(make)), fine, finest];
  const inside = sets.map((set) => set.filter((tick) => tick >= low && tick <= high));
  return inside.find((set) => set.length >= 3) ?? inside.at(-1) ?? [1];
}

/** 0.125 → `12.5 %`. */
export const tickLabel = (ratio: number): string => `${Number((100 * ratio).toPrecision(3))} %`;
