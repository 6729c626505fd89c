import type { Placed } from '../before.ts';

/**
 * better, worse: told apart · same: equal · noise: the difference is within what two runs of one file vary by ·
 * machine: another machine measured, so nothing is said · unclear: there is no interval to judge by.
 */
export type DiffCall = 'better' | 'worse' | 'same' | 'noise' | 'machine' | 'unclear';

export interface DiffRow {
  readonly measure: string;
  /** As people read them; `–` where it was not measured. */
  readonly before: string;
  readonly after: string;
  /** after / before, or the difference of a metric, in words; empty where there is none. */
  readonly change: string;
  readonly call: DiffCall;
}

export interface Pair {
  readonly before: Placed;
  readonly after: Placed;
  readonly sameMachine: boolean;
  /** The same bytes in both runs: whatever differs in time and memory is noise. */
  readonly sameFile: boolean;
}

type Values = readonly [before: number | null | undefined, after: number | null | undefined];
type Format = (value: number) => string;

const none = '–';

/** Memory and the time of a single start vary by about this much between two runs of one file. */
const scatter = 0.1;

/** A figure without noise. Undefined where neither run has it. */
export function exactRow(
  measure: string,
  [before, after]: Values,
  format: Format,
  better: 'less' | 'more' = 'less',
): DiffRow | undefined {
  const known = shown(measure, [before, after], format);
  if (!known || typeof before !== 'number' || typeof after !== 'number') return known;
  const improved = better === 'less' ? after < before : after > before;
  return { ...known, call: after === before ? 'same' : improved ? 'better' : 'worse' };
}

/**
 * A figure that scatters and has no interval.
 * @param drift how far base, the same file, was from itself in the two runs: what is no further is noise
 */
export function scatteredRow(
  measure: string,
  values: Values,
  format: Format,
  { sameMachine, sameFile, drift }: Pick<Pair, 'sameMachine' | 'sameFile'> & { readonly drift?: number },
): DiffRow | undefined {
  const known = shown(measure, values, format);
  const [before, after] = values;
  if (!known || typeof before !== 'number' || typeof after !== 'number') return known;
  if (!sameMachine) return { ...known, call: 'machine' };
  if (after === before) return { ...known, call: 'same' };
  const within = Math.abs(after - before) <= Math.max(scatter, drift ?? 0) * Math.max(before, after);
  if (sameFile || within) return { ...known, call: 'noise' };
  return { ...known, call: after < before ? 'better' : 'worse' };
}

/** Without a call: `unclear`. */
export function shown(measure: string, [before, after]: Values, format: Format): DiffRow | undefined {
  const [was, is] = [before, after].map((value) => (typeof value === 'number' ? format(value) : none));
  if (was === none && is === none) return undefined;
  const change =
    typeof before === 'number' && typeof after === 'number' && before > 0 && before !== after
      ? factor(after / before)
      : '';
  return { measure, before: was as string, after: is as string, change, call: 'unclear' };
}

/** 0.934 → `×0.934`. */
export const factor = (ratio: number): string => `×${Number(ratio.toPrecision(3))}`;
