/** A difference in the metric's own unit, or a share of what base reaches, such as `1%`. */
export type FixedLimit = number | `${number}%`;

/** The largest drop of a metric that is allowed; `usual` goes by the metric (`usualLimit`). */
export type DropLimit = FixedLimit | typeof usual;

/** The default wherever a drop is limited. */
export const usual = 'usual';

/** What a limit looks like, for sentences about those that are none. */
export const dropLimitForm = 'a number from 0, in the unit of the metric, or a share such as "1%"';

/** Reads a limit from a flag or a config: the one grammar of all of them. @returns undefined for anything else */
export function readDropLimit(value: unknown): DropLimit | undefined {
  if (value === usual) return usual;
  const share = typeof value === 'string' ? /^(\d+(?:\.\d+)?)\s*%$/.exec(value.trim())?.[1] : undefined;
  if (share !== undefined) return `${Number(share)}%`;
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && number >= 0 && number < Number.POSITIVE_INFINITY ? number : undefined;
}

/** Metrics whose figures have the unit of the targets, or decibels, or no bound: 0.01 may be all of them or nothing. */
const inOwnUnit = new Set(['mae', 'rmse', 'perplexity', 'psnr', 'si-snr']);

/** Whether figures of a metric are shares of 1, as far as its name and what a model reaches tell (a data set may bring its own metric). */
export function isOfOne(metric: string, base: number): boolean {
  return !inOwnUnit.has(metric) && Math.abs(base) <= 1;
}

/** What a drop is limited to where the user says nothing: a point where the metric is a share of 1, else 1 % of what base reaches. */
export function usualLimit(metric: string, base: number): FixedLimit {
  return isOfOne(metric, base) ? 0.01 : '1%';
}

/**
 * The difference that a limit comes to, in the metric's unit.
 * @param metric id @param base what the model reaches that nothing was changed in
 */
export function allowedDrop(limit: DropLimit, metric: string, base: number): number {
  const fixed = limit === usual ? usualLimit(metric, base) : limit;
  return typeof fixed === 'number' ? fixed : (Math.abs(base) * Number(fixed.slice(0, -1))) / 100;
}

/** Shares of base between which a limit is what people mean. */
const [leastMeant, mostMeant] = [0.001, 0.1];

/**
 * That a limit given as a number is hardly anything, or nearly all, of a metric in a unit of its own, in a sentence: 0.01 of an error of 300, or of
 * one of 0.02. Undefined where it may well be meant.
 */
export function whyOddLimit(limit: DropLimit, metric: string, base: number): string | undefined {
  if (typeof limit !== 'number' || limit === 0 || base === 0 || !Number.isFinite(base) || isOfOne(metric, base))
    return undefined;
  const share = limit / Math.abs(base);
  if (share >= leastMeant && share <= mostMeant) return undefined;
  const percent = Number((100 * share).toPrecision(2));
  return `--max-drop ${limit} is in the unit of ${metric}, ${percent} % of the ${Number(base.toPrecision(4))} of the model itself; as a share of that it is written --max-drop 1%`;
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
export function partOfLimit(limit: FixedLimit, part: number): FixedLimit {
  return typeof limit === 'number' ? limit * part : `${Number(limit.slice(0, -1)) * part}%`;
}
