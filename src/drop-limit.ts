/** The largest drop of a metric that is allowed: a difference in the metric's own unit, or a share of what base reaches, such as `1%`. */
export type DropLimit = number | `${number}%`;

/** What a limit looks like, for sentences about those that are none. */
export const dropLimitForm = 'a number from 0, in the unit of the metric, or a share such as "1%"';

/** Reads a limit from a flag or a config: the one grammar of all of them. @returns undefined for anything else */
export function readDropLimit(value: unknown): DropLimit | undefined {
  const share = typeof value === 'string' ? /^(\d+(?:\.\d+)?)\s*%$/.exec(value.trim())?.[1] : undefined;
  if (share !== undefined) return `${Number(share)}%`;
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && number >= 0 && number < Number.POSITIVE_INFINITY ? number : undefined;
}

/** The difference that a limit comes to, in the metric's unit. @param base what the model reaches that nothing was changed in */
export function allowedDrop(limit: DropLimit, base: number): number {
  return typeof limit === 'number' ? limit : (Math.abs(base) * Number(limit.slice(0, -1))) / 100;
}

/** MLPerf's accuracy targets: the share of the reference's figure that may be lost. */
export const presetShares = { 'mlperf-99': 0.01, 'mlperf-99.9': 0.001 } as const;

/**
 * Of what a preset allows a share to be lost. For metrics where less is better MLPerf has no rule but for word error rate, which it judges by
 * 1 − WER; else it is base's own figure.
 */
export function presetBasis(metric: string, base: number): number {
  return metric === 'wer' || metric === 'cer' ? 1 - base : Math.abs(base);
}

/** The drop that a preset allows. */
export function presetDrop(preset: keyof typeof presetShares, metric: string, base: number): number {
  return presetShares[preset] * presetBasis(metric, base);
}

/** The same part of a limit of either kind. */
export function partOfLimit(limit: DropLimit, part: number): DropLimit {
  return typeof limit === 'number' ? limit * part : `${Number(limit.slice(0, -1)) * part}%`;
}
