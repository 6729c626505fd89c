import type { Latency } from './report.ts';

/**
 * How a variant stands to another run of it, each timed beside base: the ratio of the two ratios with its 95 % interval, whose widths add as
 * squares on the logarithmic scale. What the machine did on the two days cancels out. Undefined where a clock too coarse for a tiny model
 * gave zeros, of which no ratio can be made.
 */
export function quotient(
  now: Latency,
  then: Latency,
): { readonly ratio: number; readonly interval: readonly [number, number] } | undefined {
  if ([now, then].some(({ ratioToBase, ratioCi }) => ratioToBase <= 0 || ratioCi[0] <= 0)) return undefined;
  const ratio = now.ratioToBase / then.ratioToBase;
  const below = Math.hypot(Math.log(now.ratioToBase / now.ratioCi[0]), Math.log(then.ratioCi[1] / then.ratioToBase));
  const above = Math.hypot(Math.log(now.ratioCi[1] / now.ratioToBase), Math.log(then.ratioToBase / then.ratioCi[0]));
  return { ratio, interval: [ratio * Math.exp(-below), ratio * Math.exp(above)] };
}
