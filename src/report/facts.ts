/** What follows from a Report: every renderer asks here, so that all of them say the same. */
import type { Accuracy, Latency, Report, SkippedRule, VariantResult } from './report.ts';

export function baseOf(report: Report): VariantResult | undefined {
  return report.variants.find((variant) => variant.name === 'base');
}

export function variantOf(report: Report, name: string): VariantResult | undefined {
  return report.variants.find((variant) => variant.name === name);
}

/** Bytes that a download takes: compressed where that was measured. */
export const downloadBytes = (variant: VariantResult | undefined): number | null =>
  variant?.compressedBytes ?? variant?.bytes ?? null;

/** part / whole, or null where one is missing or the whole is zero. */
export function ratio(part: number | null | undefined, whole: number | null | undefined): number | null {
  return typeof part === 'number' && typeof whole === 'number' && whole > 0 ? part / whole : null;
}

/** Providers that anything was timed on; those that decided for a target first. */
export function measuredProviders(report: Report): string[] {
  const deciding = report.recommendations.map((one) => one.provider);
  const measured = new Set(report.variants.flatMap((variant) => Object.keys(variant.latency)));
  return [...new Set([...deciding, ...measured])].filter((provider) => measured.has(provider));
}

/**
 * Ratios closer to 1 than this count as equal: the same file loaded twice can differ by half a percent, with an interval
 * that excludes 1.
 */
export const smallestEffect = 0.02;

/** A ratio that says nothing about which of the two is faster: by what the benchmark called it, else by its interval. */
export function isNoise({ ratioToBase, ratioCi: [low, high], call }: Latency): boolean {
  if (call !== undefined) return call === 'same' || call === 'undecided';
  return (low <= 1 && high >= 1) || Math.abs(ratioToBase - 1) <= smallestEffect;
}

/** Labelled data spoke about this variant. */
export function hasAccuracy(variant: VariantResult | undefined): variant is VariantResult & { accuracy: Accuracy } {
  return variant?.accuracy !== null && variant?.accuracy !== undefined;
}

/** True when no real sample was seen. */
export const isSynthetic = (report: Report): boolean => report.data === undefined || report.data.synthetic;

/** Why something was left alone, as often as that was said. */
export interface LeftAlone {
  /** Of the first of them: the others may name other values. */
  readonly why: string;
  readonly members: readonly SkippedRule[];
}

/**
 * Reasons by what they cost: those of the whole model first, then those that keep most weights as they are, then those that are most frequent. Sentences that differ in
 * names alone are one reason: a product of two activations is none that anybody waits for, and each names others.
 */
export function leftAlone(skipped: readonly SkippedRule[]): LeftAlone[] {
  const groups = groupBy(skipped, ({ why }) => why.replaceAll(/"[^"]*"/g, '""'));
  const costOf = ({ members }: Group<SkippedRule>): number =>
    members.some(({ node }) => node === 'model')
      ? Infinity
      : members.reduce((sum, { weightBytes = 0 }) => sum + weightBytes, 0);
  const ranked = groups.map((group) => ({ ...group, cost: costOf(group) }));
  // Stable: what costs the same stays in the order of how often it was said.
  ranked.sort((a, b) => (a.cost === b.cost ? 0 : b.cost - a.cost));
  return ranked.map(({ members }) => ({ why: members[0]?.why ?? '', members }));
}

/** The text that most members share comes first; order of appearance breaks ties. */
export interface Group<T> {
  readonly text: string;
  readonly members: readonly T[];
}

export function groupBy<T>(items: Iterable<T>, textOf: (item: T) => string): Group<T>[] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const text = textOf(item);
    const members = groups.get(text);
    if (members) members.push(item);
    else groups.set(text, [item]);
  }
  return [...groups].map(([text, members]) => ({ text, members })).sort((a, b) => b.members.length - a.members.length);
}
