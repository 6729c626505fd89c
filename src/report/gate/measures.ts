/** Rules about figures that may not be too large. */

import { bug } from '../../errors.ts';
import { formatBytes, formatMs, nearest } from '../../messages.ts';
import { baseOf, measuredProviders } from '../facts.ts';
import { machineDifference } from '../machine.ts';
import { quotient } from '../quotient.ts';
import type { Latency, VariantResult } from '../report.ts';
import {
  baselineGap,
  formatWhole,
  type Judgement,
  percent,
  type Subject,
  shareOf,
  undecided,
  within,
} from './finding.ts';
import type { MaxRule } from './rules.ts';

interface Measure {
  readonly what: string;
  readonly of: (variant: VariantResult) => number | null | undefined;
  readonly format: (value: number) => string;
  /** Says something about the machine as much as about the model. */
  readonly byMachine: boolean;
  /** Interleaved with base: the ratio with its interval. */
  readonly timed?: (variant: VariantResult) => Latency | undefined;
}

const plain = (what: string, of: Measure['of'], format: Measure['format'], byMachine: boolean): Measure => ({
  what,
  of,
  format,
  byMachine,
});

const measures: Readonly<Record<string, Measure>> = {
  size: plain('the file is', (one) => one.bytes, formatBytes, false),
  compressed: plain('a download is', (one) => one.compressedBytes, formatBytes, false),
  session: plain('loading takes', (one) => one.sessionMs, formatMs, true),
  first: plain('the first inference takes', (one) => one.firstMs, formatMs, true),
  rss: plain('memory peaks at', (one) => one.peakRssBytes, formatBytes, true),
  'audit.leftoverQdq': plain(
    'quantize and dequantize nodes left over:',
    (one) => one.audit?.leftoverQdq,
    formatWhole,
    false,
  ),
  'audit.insertedCasts': plain('casts put in:', (one) => one.audit?.insertedCasts, formatWhole, false),
  'audit.floatNodes': plain('heavy nodes in float:', (one) => one.audit?.floatNodes, formatWhole, false),
};

type Quantile = 'p50' | 'p90' | 'p95' | 'p99';

const latencyMeasure = (quantile: Quantile, provider: string): Measure => ({
  ...plain(`${quantile} on ${provider} is`, (one) => one.latency[provider]?.[quantile], formatMs, true),
  ...(quantile === 'p50' && { timed: (one: VariantResult) => one.latency[provider] }),
});

interface Measured {
  readonly measure: Measure;
  readonly value: number;
  readonly shown: string;
  /** The limit, of what it is compared with. */
  readonly share: number;
}

export function judgeMax(name: string, rule: MaxRule, subject: Subject): Judgement {
  const { variant, report } = subject;
  const [family, quantile, ...rest] = name.split('.');
  let measure = measures[name];
  if (family === 'latency') {
    const provider = rest.join('.') || subject.provider;
    if (provider === undefined || !variant.latency[provider]) return notTimed(provider, subject);
    measure = latencyMeasure(quantile as Quantile, provider);
  }
  if (!measure) return bug(`no measure ${name}`);
  const value = measure.of(variant);
  if (value === null || value === undefined) return undecided(`${name} was not measured`);
  const shown = `${measure.what} ${measure.format(value)}`;
  if (typeof rule.max === 'number') {
    const status = within(value, rule.max) ? 'ok' : 'failed';
    return { status, said: `${shown}, where at most ${measure.format(rule.max)} is allowed`, value, limit: rule.max };
  }
  const measured: Measured = { measure, value, shown, share: shareOf(rule.max) };
  if (rule.of === 'baseline') return judgeByBaseline(measured, subject);
  const timed = measure.timed?.(variant);
  if (!timed) return judgeShare(measured, baseOf(report), 'base');
  const interval = variant.name === 'base' ? undefined : timed.ratioCi;
  return judgeRatio(measured, { ratio: timed.ratioToBase, interval, of: 'base' });
}

function notTimed(provider: string | undefined, { variant, report }: Subject): Judgement {
  const failure = provider === undefined ? undefined : variant.failures?.[provider];
  if (failure !== undefined) return { status: 'failed', said: failure };
  const timed = measuredProviders(report);
  const hint = provider !== undefined && timed.length > 0 ? nearest(provider, timed) : '';
  const list = hint === '' && timed.length > 0 ? ` (timed: ${timed.join(', ')})` : hint;
  return undecided(
    `it was not timed on ${provider ?? 'any provider'}${list}; optimize without --no-bench, with --provider ${provider ?? 'cpu'}`,
  );
}

function judgeByBaseline(measured: Measured, subject: Subject): Judgement {
  const { measure, shown } = measured;
  const { report, baseline, before, variant } = subject;
  const gap = baselineGap(subject);
  if (gap !== undefined || !baseline || !before) return undecided(`${shown}, and ${gap}`);
  const difference = measure.byMachine ? machineDifference(report.host, baseline.host) : undefined;
  if (difference !== undefined)
    return undecided(
      `${shown}, and the baseline was measured on another machine (${difference}), which says nothing about this one`,
    );
  const [now, then] = [measure.timed?.(variant), measure.timed?.(before)];
  // Both were timed beside base: that takes out how busy the machine was on the two days.
  const ratio = now && then && variant.name !== 'base' && before.name !== 'base' ? quotient(now, then) : undefined;
  if (!ratio) return judgeShare(measured, before, 'the baseline');
  return judgeRatio(measured, { ...ratio, of: 'the baseline, each timed beside base' });
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

interface Ratio {
  readonly ratio: number;
  readonly interval: readonly [number, number] | undefined;
  readonly of: string;
}

/** Both sides of the interval must agree; value and limit are ratios. */
function judgeRatio({ shown, share }: Measured, { ratio, interval, of }: Ratio): Judgement {
  const [low, high] = interval ?? [ratio, ratio];
  const range = interval ? ` (95 % interval ${percent(low)} to ${percent(high)})` : '';
  const said = `${shown}, ${percent(ratio)} of ${of}${range}, where at most ${percent(share)} is allowed`;
  const known = { value: ratio, limit: share };
  if (within(high, share)) return { status: 'ok', said, ...known };
  if (!within(low, share)) return { status: 'failed', said, ...known };
  return {
    status: 'undecided',
    said: `${said}: the limit lies within the interval; measure longer with --seconds`,
    ...known,
  };
}
