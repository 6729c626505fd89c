/** What a variant costs against base, of what was measured: the other half of the recommendation, in plain words. */
import { formatMs } from '../messages.ts';
import { baseOf, hasAccuracy, ratio } from './facts.ts';
import type { Accuracy, Report, VariantResult } from './report.ts';
import { formatDrop, formatPart, formatSize } from './words.ts';

/** Below this share memory, load time and tail latency count as the same: they vary that much between two runs of one file. */
const tolerance = 0.1;
/** A class that loses less is not worth a sentence of its own. */
const classLoss = 0.05;
const significance = 0.05;

/** Clauses; empty where nothing that was measured got worse. */
export function costs(report: Report, variant: VariantResult): string[] {
  const base = baseOf(report);
  if (!base || variant === base) return [];
  return [
    ...accuracyCost(variant),
    ...classCosts(variant),
    ...tailCosts(base, variant),
    ...more('memory at its peak', base.peakRssBytes, variant.peakRssBytes, formatSize),
    ...more('time to load', base.sessionMs, variant.sessionMs, (ms) => formatMs(ms)),
    ...more('time of the first inference', base.firstMs, variant.firstMs, (ms) => formatMs(ms)),
    ...runtimeCosts(report, variant),
  ];
}

function accuracyCost(variant: VariantResult): string[] {
  if (!hasAccuracy(variant)) return [];
  const { metric, drop, dropCi } = variant.accuracy;
  if (drop === null || drop <= 0) return [];
  const end = (value: number): string => formatDrop({ ...variant.accuracy, drop: value } satisfies Accuracy);
  const range = dropCi ? `, 95 % interval ${end(dropCi[1])} to ${end(dropCi[0])}` : '';
  const chance = dropCi && dropCi[0] <= 0 ? '; it may be chance' : '';
  return [`${metric}: ${end(drop)}${range}${chance}`];
}

function classCosts({ accuracy }: VariantResult): string[] {
  const worse = (accuracy?.classes ?? [])
    .flatMap((one) => (one.base === null || one.value === null ? [] : [{ one, drop: one.base - one.value }]))
    .filter(({ one, drop }) => drop >= classLoss && (one.p ?? 0) <= significance)
    .sort((a, b) => b.drop - a.drop);
  const [first] = worse;
  if (!first) return [];
  const { name, base, value, samples } = first.one;
  const others = worse.length > 1 ? `, and ${worse.length - 1} more classes that may have got worse` : '';
  return [`class “${name}” falls from ${formatPart(base)} to ${formatPart(value)} of ${samples} samples${others}`];
}

/** A median that is better may hide slow outliers. */
function tailCosts(base: VariantResult, variant: VariantResult): string[] {
  return Object.entries(variant.latency).flatMap(([provider, { p99, ratioToBase }]) => {
    const before = base.latency[provider]?.p99;
    const times = ratio(p99, before);
    if (before === undefined || times === null || times <= 1 + tolerance || ratioToBase > 1) return [];
    return [`the slowest 1 % of inferences on ${provider} take ${formatMs(p99)} instead of ${formatMs(before)}`];
  });
}

function more(
  what: string,
  before: number | null | undefined,
  after: number | null | undefined,
  format: (value: number) => string,
): string[] {
  const times = ratio(after, before);
  if (times === null || times <= 1 + tolerance) return [];
  return [`${what}: ${format(after as number)} instead of ${format(before as number)}`];
}

function runtimeCosts(report: Report, variant: VariantResult): string[] {
  const disagreeing = Object.entries(variant.runtimes ?? {}).flatMap(([provider, { agreement, samples }]) =>
    agreement === null || agreement === 1
      ? []
      : [`on ${provider} ${formatPart(1 - agreement)} of ${samples} samples get another class than on the CPU`],
  );
  const base = baseOf(report);
  const failing = Object.entries(variant.failures ?? {})
    .filter(([provider]) => base?.failures?.[provider] === undefined)
    .map(([provider, why]) => (why.includes(provider) ? why : `${provider}: ${why}`));
  return [...disagreeing, ...failing];
}
