/** Scales of the charts, on d3-scale. */
import { scaleLinear, scaleLog, scaleSymlog } from 'd3-scale';
import { formatMs } from '../../../src/messages.ts';

export interface Tick {
  readonly at: number;
  readonly label: string;
  /** Drawn stronger: base, or a limit. */
  readonly strong?: boolean;
}

export interface Axis {
  /** Pixels of a value. */
  readonly at: (value: number) => number;
  readonly ticks: readonly Tick[];
}

/** A logarithmic scale for ratios: twice and half are equally far from 1. */
export interface RatioScale {
  /** Pixels of a ratio. */
  readonly at: (ratio: number) => number;
  readonly ticks: readonly number[];
}

/** Sets to choose ticks from, coarse to fine. */
const powers = Array.from({ length: 13 }, (_, at) => 10 ** (at - 6));
const tickSets: readonly (readonly number[])[] = [
  powers.filter((_, at) => at % 3 === 0),
  powers,
  powers.flatMap((power) => [power, 2.5 * power, 5 * power]).map((tick) => Number(tick.toPrecision(3))),
  [0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4],
  [0.5, 0.6, 0.8, 1, 1.2, 1.5, 2],
  [0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2],
  [0.9, 0.95, 1, 1.05, 1.1, 1.15, 1.2],
];

/** @param from pixels of the smallest ratio; `to` of the largest: may run either way */
export function ratioScale(ratios: readonly number[], from: number, to: number): RatioScale {
  const positive = ratios.filter((ratio) => ratio > 0);
  // Some air on both sides; 1 is always in sight.
  const low = Math.min(1, ...positive) / 1.25;
  const high = Math.max(1, ...positive) * 1.25;
  const scale = scaleLog([low, high], [from, to]).clamp(true);
  const inside = tickSets.map((set) => set.filter((tick) => tick >= low && tick <= high));
  return {
    at: (ratio) => scale(Math.max(ratio, low)),
    ticks: inside.find((set) => set.length >= 3) ?? inside.at(-1) ?? [1],
  };
}

/** 0.125 → `12.5 %`. */
export const tickLabel = (ratio: number): string => `${Number((100 * ratio).toPrecision(3))} %`;

/** The same as an axis, with base at 1 drawn stronger. */
export function ratioAxis(ratios: readonly number[], from: number, to: number): Axis {
  const { at, ticks } = ratioScale(ratios, from, to);
  return { at, ticks: ticks.map((tick) => ({ at: tick, label: tickLabel(tick), strong: tick === 1 })) };
}

/**
 * What was lost, linear up to the limit and logarithmic beyond it: a variant that lost everything must not press those that
 * lost next to nothing together.
 * @param label how a loss is written
 */
export function lossAxis(
  losses: readonly number[],
  limit: number,
  [from, to]: readonly [number, number],
  label: (loss: number) => string,
): Axis {
  const unit = limit > 0 ? limit : Math.max(1e-6, ...losses.map(Math.abs));
  const low = Math.min(0, ...losses);
  const high = Math.max(unit, ...losses);
  const scale = scaleSymlog([low - 0.35 * unit, high * 1.15 + 0.2 * unit], [from, to]).constant(unit);
  const steps = [0, 1, 3, 10, 30, 100, 300, 1000].map((step) => step * unit);
  const all = [...steps.slice(1).map((step) => -step), ...steps].sort((a, b) => a - b);
  const inside = all.filter((tick) => tick >= low - 0.3 * unit && tick <= high * 1.1);
  return { at: scale, ticks: inside.map((tick) => ({ at: tick, label: label(tick), strong: tick === limit })) };
}

/** Round values on a linear scale. */
export function linearAxis(
  [low, high]: readonly [number, number],
  [from, to]: readonly [number, number],
  label: (value: number) => string,
): Axis {
  const scale = scaleLinear([low, high === low ? low + 1 : high], [from, to]).nice(3);
  return { at: scale, ticks: scale.ticks(3).map((tick) => ({ at: tick, label: label(tick) })) };
}

/** Times on a logarithmic scale, with a handful of round ticks. */
export function timeAxis(times: readonly number[], label: (ms: number) => string): Axis {
  const positive = times.filter((time) => time > 0 && Number.isFinite(time));
  if (positive.length === 0) return { at: () => 0, ticks: [] };
  const air = (Math.max(...positive) / Math.min(...positive)) ** 0.04 * 1.02;
  const low = Math.min(...positive) / air;
  const high = Math.max(...positive) * air;
  const scale = scaleLog([low, high], [0, 100]).clamp(true);
  return {
    at: (time) => scale(Math.max(time, low)),
    ticks: timeTicks(low, high).map((tick) => ({ at: tick, label: label(tick) })),
  };
}

/** Three to seven: decades where they suffice, then finer steps, then linear ones. */
function timeTicks(low: number, high: number): number[] {
  const decades = Array.from({ length: 24 }, (_, at) => 10 ** (at - 12));
  for (const steps of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 6, 8]]) {
    const ticks = decades
      .flatMap((decade) => steps.map((step) => Number((decade * step).toPrecision(3))))
      .filter((tick) => tick >= low && tick <= high);
    if (ticks.length >= 4) return ticks.length <= 7 ? ticks : ticks.filter((_, at) => at % 2 === 0).slice(0, 7);
  }
  return scaleLinear([low, high], [0, 1]).ticks(4);
}

/** 1.50 ms → `1.5 ms`: ticks are round. */
export const tickMs = (ms: number): string =>
  formatMs(ms)
    .replace(/(\.\d*?)0+(?= )/, '$1')
    .replace(/\.(?= )/, '');
