/** One rule on one variant: kept, broken, or not to be said. */
import { bug } from '../errors.ts';
import { formatBytes, formatMs } from '../messages.ts';
import { baseOf, measuredProviders } from './facts.ts';
import type { AccuracyRule, Level, MaxRule, MinRule } from './gate-rules.ts';
import type { Host, Latency, Limits, Report, VariantResult } from './report.ts';
import { formatDrop, formatLimit, formatMetric } from './words.ts';

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

export interface Subject {
  readonly variant: VariantResult;
  readonly targets: readonly string[];
  /** The one that decided for the target. */
  readonly provider: string | undefined;
  /** What the baseline has in its place. */
  readonly before: VariantResult | undefined;
}

const undecided = (said: string): Judgement => ({ status: 'undecided', said });

/** Limits and measured figures have gone through decimal text. */
const within = (value: number, limit: number): boolean => value <= limit + 1e-12 * Math.max(1, Math.abs(limit));

export function judgeAccuracy(rule: AccuracyRule, { variant }: Subject, limits: Limits): Judgement {
  const limit = rule.maxDrop ?? limits.maxDrop;
  const { accuracy } = variant;
  if (!accuracy) return undecided('the task metric was not measured; give `mlpack optimize` labelled data with --data');
  const { metric, value, base, drop, dropCi, samples, neededSamples } = accuracy;
  const allowed = `where a drop of ${formatLimit(metric, limit)} is allowed`;
  if (drop === null)
    return {
      status: 'failed',
      said: `${metric} gives no finite number on ${samples} samples, so no drop can be told`,
      limit,
    };
  const more = neededSamples === undefined ? '' : `; about ${formatWhole(neededSamples)} samples would tell`;
  const ends = dropCi && [...dropCi].reverse().map((end) => formatDrop({ ...accuracy, drop: end }));
  const range = ends ? `; 95 % interval ${ends.join(' to ')}` : '';
  const figures = `${metric} ${formatMetric(metric, value)} (base ${formatMetric(metric, base)}: ${formatDrop(accuracy)}${range}) on ${formatWhole(samples)} samples`;
  if (rule.on === 'bound' && variant.name !== 'base') {
    if (!dropCi)
      return undecided(`${figures}; the report has no interval of the drop: optimize again with this mlpack`);
    const [, high] = dropCi;
    const ok = within(high, limit);
    const unsure = within(drop, limit) && !ok;
    const said = unsure ? `${figures}: a larger drop cannot be excluded, ${allowed}${more}` : `${figures}, ${allowed}`;
    return { status: ok ? 'ok' : 'failed', said, value: high, limit };
  }
  const ok = within(drop, limit);
  const chance =
    !ok && dropCi && dropCi[0] <= 0 ? `; the interval reaches beyond no drop, so it may be chance${more}` : '';
  return { status: ok ? 'ok' : 'failed', said: `${figures}, ${allowed}${chance}`, value: drop, limit };
}

export function judgeAgreement({ min }: MinRule, { variant }: Subject): Judgement {
  const value = variant.fidelity?.agreement;
  if (value === undefined || value === null)
    return undecided('agreement with base was not measured: its outputs hold no scores of classes, or it does not run');
  const ok = value >= min - 1e-12;
  const said = `the same class as base on ${percent(value)} of ${formatWhole(variant.fidelity?.samples ?? 0)} samples, where at least ${percent(min)} is asked`;
  return { status: ok ? 'ok' : 'failed', said, value, limit: min };
}

/** A figure that may not be too large. */
interface Measure {
  readonly what: string;
  readonly of: (variant: VariantResult) => number | null | undefined;
  readonly format: (value: number) => string;
  /** Says something about the machine as much as about the model. */
  readonly byMachine: boolean;
  /** Interleaved with base: the ratio with its interval. */
  readonly ratio?: (variant: VariantResult) => Latency | undefined;
}

const measures: Readonly<Record<string, Measure>> = {
  size: { what: 'the file is', of: (one) => one.bytes, format: formatBytes, byMachine: false },
  compressed: { what: 'a download is', of: (one) => one.compressedBytes, format: formatBytes, byMachine: false },
  session: { what: 'loading takes', of: (one) => one.sessionMs, format: formatMs, byMachine: true },
  rss: { what: 'memory peaks at', of: (one) => one.peakRssBytes, format: formatBytes, byMachine: true },
  'audit.leftoverQdq': {
    what: 'quantize and dequantize nodes left over:',
    of: (one) => one.audit?.leftoverQdq,
    format: formatWhole,
    byMachine: false,
  },
};

function latencyMeasure(name: string, provider: string): Measure {
  const quantile = name.split('.')[1] as 'p50' | 'p90' | 'p99';
  return {
    what: `${quantile} on ${provider} is`,
    of: (one) => one.latency[provider]?.[quantile],
    format: formatMs,
    byMachine: true,
    ...(quantile === 'p50' && { ratio: (one: VariantResult) => one.latency[provider] }),
  };
}

export function judgeMax(
  name: string,
  rule: MaxRule,
  subject: Subject,
  report: Report,
  baseline: Report | undefined,
): Judgement {
  const { variant } = subject;
  const provider = name.split('.').slice(2).join('.') || subject.provider;
  const isLatency = name.startsWith('latency.');
  if (isLatency && (provider === undefined || !variant.latency[provider])) {
    const timed = measuredProviders(report).join(', ');
    return undecided(
      `it was not timed on ${provider ?? 'any provider'}${timed && ` (timed: ${timed})`}; optimize without --no-bench, with --provider ${provider ?? 'cpu'}`,
    );
  }
  const measure = isLatency ? latencyMeasure(name, provider ?? '') : (measures[name] ?? bug(`no measure ${name}`));
  const value = measure.of(variant);
  if (value === null || value === undefined) return undecided(`${name} was not measured`);
  const shown = `${measure.what} ${measure.format(value)}`;
  if (typeof rule.max === 'number') {
    const status = within(value, rule.max) ? 'ok' : 'failed';
    return { status, said: `${shown}, where at most ${measure.format(rule.max)} is allowed`, value, limit: rule.max };
  }
  const share = Number(rule.max.slice(0, -1)) / 100;
  if (rule.of === 'baseline') return judgeByBaseline({ measure, value, shown, share }, subject, report, baseline);
  const timed = measure.ratio?.(variant);
  if (timed) return judgeRatio(timed, shown, share, variant.name === 'base');
  return judgeShare({ measure, value, shown, share }, baseOf(report), 'base');
}

interface Measured {
  readonly measure: Measure;
  readonly value: number;
  readonly shown: string;
  readonly share: number;
}

function judgeByBaseline(
  measured: Measured,
  { before }: Subject,
  report: Report,
  baseline: Report | undefined,
): Judgement {
  if (!baseline) return undecided(`${measured.shown}, and there is no baseline to compare with (--baseline)`);
  const difference = measured.measure.byMachine ? hostDifference(report.host, baseline.host) : undefined;
  if (difference !== undefined)
    return undecided(
      `${measured.shown}, and the baseline was measured on another machine (${difference}), which says nothing about this one`,
    );
  return judgeShare(measured, before, 'the baseline');
}

function judgeShare(
  { measure, value, shown, share }: Measured,
  other: VariantResult | undefined,
  name: string,
): Judgement {
  const reference = other && measure.of(other);
  if (reference === null || reference === undefined) return undecided(`${shown}, and ${name} has no such figure`);
  const limit = share * reference;
  const part = reference > 0 ? `${percent(value / reference)} of ${name}` : `${measure.format(reference)} in ${name}`;
  const status = within(value, limit) ? 'ok' : 'failed';
  return { status, said: `${shown}, ${part}, where at most ${percent(share)} is allowed`, value, limit };
}

/** Both sides of the interval must agree; value and limit are ratios to base. */
function judgeRatio(
  { ratioToBase, ratioCi: [low, high] }: Latency,
  shown: string,
  share: number,
  isBase: boolean,
): Judgement {
  const interval = isBase ? '' : ` (95 % interval ${percent(low)} to ${percent(high)})`;
  const said = `${shown}, ${percent(ratioToBase)} of base${interval}, where at most ${percent(share)} is allowed`;
  const known = { value: ratioToBase, limit: share };
  if (within(high, share)) return { status: 'ok', said, ...known };
  if (!within(low, share)) return { status: 'failed', said, ...known };
  return {
    status: 'undecided',
    said: `${said}: the limit lies within the interval; measure longer with --seconds`,
    ...known,
  };
}

/** What tells two machines apart whose times must not be compared, or undefined. */
function hostDifference(here: Host, there: Host): string | undefined {
  const pairs = [
    [there.cpu, here.cpu],
    [`${there.cores} cores`, `${here.cores} cores`],
    [`ONNX Runtime ${there.ort}`, `ONNX Runtime ${here.ort}`],
  ] as const;
  const different = pairs.filter(([a, b]) => a !== b).map(([a, b]) => `${a} there, ${b} here`);
  return different.length > 0 ? different.join('; ') : undefined;
}

/** Four digits: a limit and what is just above it must not look alike. */
const percent = (share: number): string => `${Number((100 * share).toPrecision(4))} %`;

function formatWhole(value: number): string {
  return value.toLocaleString('en-US');
}
