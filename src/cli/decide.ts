import { formatCount } from '../messages.ts';
import type { Accuracy } from '../report/report.ts';

/** What the samples say of a drop against a limit. */
export interface Decision {
  readonly verdict: 'pass' | 'fail' | 'undecided';
  /** Largest drop allowed, in the metric's own unit. */
  readonly limit: number;
  /** Why, and what to do. */
  readonly why: string;
}

/** Samples beyond which nobody will label: said as such. */
const absurd = 1e7;

/**
 * Holds the 95 % interval of the drop against a limit. All of it below: pass. All of it above: fail. Else the samples cannot tell, and the
 * decision says how many would: the interval narrows with the root of their number.
 */
export function decide({ drop, dropCi, samples }: Accuracy, limit: number): Decision {
  const said = (value: number): string => Number(value.toPrecision(3)).toString();
  if (drop === null) return { verdict: 'fail', limit, why: 'the model gives no finite number, so no drop can be told' };
  // The same answers on every sample: nothing to draw an interval from, and nothing lost.
  const interval = dropCi ?? (drop === 0 ? ([0, 0] as const) : undefined);
  if (!interval)
    return {
      verdict: 'undecided',
      limit,
      why: `the drop is ${said(drop)}, ${said(limit)} is allowed, and there is no interval to hold against it: samples drawn anew mostly give no number (more samples of each class would)`,
    };
  const [low, high] = interval;
  const range = `the drop is ${said(drop)} (95 % interval ${said(low)} to ${said(high)}), ${said(limit)} is allowed`;
  if (high <= limit + 1e-12) return { verdict: 'pass', limit, why: range };
  if (low > limit) return { verdict: 'fail', limit, why: range };
  const half = (high - low) / 2;
  const needed = Math.ceil(samples * (half / Math.abs(limit - drop)) ** 2);
  const todo =
    Number.isFinite(needed) && needed < absurd
      ? `about ${formatCount(Math.max(needed, samples + 1))} samples would tell; there are ${formatCount(samples)}`
      : 'the drop lies so near the limit that no number of samples would tell: set another limit';
  return { verdict: 'undecided', limit, why: `${range}, and the interval spans it; ${todo}` };
}
