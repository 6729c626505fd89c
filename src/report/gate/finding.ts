/** What the gate says of one rule and one variant. */
import type { Report, VariantResult } from '../report.ts';
import type { Level } from './rules.ts';

export type Status = 'ok' | 'failed' | 'undecided';

export interface Finding {
  readonly rule: string;
  readonly level: Level;
  readonly status: Status;
  /** Whether the gate fails for it. */
  readonly fails: boolean;
  /** null: about the report as a whole. */
  readonly variant: string | null;
  /** Targets that the variant is recommended for. */
  readonly targets: readonly string[];
  /** In the unit of the rule: bytes, milliseconds, a share, a difference of the metric; null where there is none. */
  readonly value: number | null;
  readonly limit: number | null;
  readonly sentence: string;
}

export interface Judgement {
  readonly status: Status;
  /** A clause, without the name of the variant. */
  readonly said: string;
  readonly value?: number;
  readonly limit?: number;
}

/** A variant to judge, and the reports it is judged in. */
export interface Subject {
  readonly variant: VariantResult;
  readonly targets: readonly string[];
  /** The one that decided for the target. */
  readonly provider: string | undefined;
  readonly report: Report;
  readonly baseline: Report | undefined;
  /** What the baseline has in its place. */
  readonly before: VariantResult | undefined;
}

export const undecided = (said: string): Judgement => ({ status: 'undecided', said });

/** Limits and measured figures have gone through decimal text. */
export const within = (value: number, limit: number): boolean => value <= limit + 1e-12 * Math.max(1, Math.abs(limit));

/** Four digits: a limit and what is just above it must not look alike. */
export const percent = (share: number): string => `${Number((100 * share).toPrecision(4))} %`;

export const formatWhole = (value: number): string => value.toLocaleString('en-US');

/** `"80%"` → 0.8. */
export const shareOf = (text: string): number => Number(text.slice(0, -1)) / 100;

/** Why the baseline cannot be asked, or undefined. */
export function baselineGap({ baseline, before }: Subject): string | undefined {
  if (!baseline) return 'there is no baseline to compare with (--baseline)';
  return before ? undefined : 'the baseline has no variant in its place';
}
