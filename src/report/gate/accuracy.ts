/** The rule about the task metric: what a variant lost, against base or against what was shipped before. */
import { presetBasis, presetDrop, presetShares } from '../../drop-limit.ts';
import { compareAccuracy } from '../before.ts';
import type { Accuracy, Limits } from '../report.ts';
import { formatDrop, formatLimit, formatMetric } from '../words.ts';
import { isSameModel } from './baseline.ts';
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
import type { AccuracyRule } from './rules.ts';

export function judgeAccuracy(rule: AccuracyRule, subject: Subject): Judgement {
  const { variant, report } = subject;
  if (!variant.accuracy)
    return undecided('the task metric was not measured; give `mlpack optimize` labelled data with --data');
  if (rule.of !== 'baseline') {
    const besideBase = judgeDrop(rule, report.limits, {
      accuracy: variant.accuracy,
      name: 'base',
      same: variant.name === 'base',
    });
    // A new model is its own base: what a bad training lost shows beside what was shipped before.
    if (rule.of === 'base' || !isOfAnotherModel(subject) || besideBase.status === 'failed') return besideBase;
    const besideBaseline = judgeBesideBaseline(rule, subject);
    return besideBaseline.status === 'undecided'
      ? { ...besideBase, said: `${besideBase.said}; beside the baseline, of another model: ${besideBaseline.said}` }
      : besideBaseline;
  }
  return judgeBesideBaseline(rule, subject);
}

const isOfAnotherModel = ({ baseline, report }: Subject): boolean =>
  baseline !== undefined && !isSameModel(baseline, report);

function judgeBesideBaseline(rule: AccuracyRule, subject: Subject): Judgement {
  const { variant, report } = subject;
  const gap = baselineGap(subject);
  const { baseline, before } = subject;
  if (gap !== undefined || !baseline || !before) return undecided(gap ?? 'there is no baseline');
  const compared = compareAccuracy({ report, variant }, { report: baseline, variant: before });
  if (typeof compared === 'string') return undecided(compared);
  return judgeDrop(rule, report.limits, { accuracy: compared, name: 'the baseline', same: false });
}

/** The metric of a variant beside the one it is compared with. */
interface Compared {
  readonly accuracy: Accuracy;
  /** What `accuracy.base` is. */
  readonly name: string;
  /** Compared with itself. */
  readonly same: boolean;
}

function judgeDrop(rule: AccuracyRule, limits: Limits, { accuracy, name, same }: Compared): Judgement {
  const { metric, value, base, drop, dropCi, samples } = accuracy;
  if (drop === null || base === null)
    return {
      status: 'failed',
      said: `${metric} gives no finite number on ${samples} samples, so no drop can be told`,
    };
  const { limit, words } = limitOf(rule, limits, accuracy, name);
  const allowed = `where a drop of ${words} is allowed`;
  const figures = `${metric} ${formatMetric(metric, value)} (${name} ${formatMetric(metric, base)}: ${formatDrop(accuracy)}${range(accuracy)}) on ${formatWhole(samples)} samples`;
  if (rule.on !== undefined && rule.on !== 'point' && !same) {
    if (!dropCi) return undecided(`${figures}; there is no interval of the drop: ${noInterval(name)}`);
    return judgeInterval(rule.on, { figures, allowed, drop, limit, dropCi, more: more(accuracy) });
  }
  const ok = within(drop, limit);
  const chance =
    !ok && dropCi && dropCi[0] <= 0
      ? `; the interval reaches beyond no drop, so it may be chance${more(accuracy)}`
      : '';
  return { status: ok ? 'ok' : 'failed', said: `${figures}, ${allowed}${chance}`, value: drop, limit };
}

interface Interval {
  readonly figures: string;
  readonly allowed: string;
  readonly more: string;
  readonly drop: number;
  readonly limit: number;
  readonly dropCi: readonly [number, number];
}

function judgeInterval(on: 'bound' | 'interval', interval: Interval): Judgement {
  const { figures, allowed, drop, limit, more: advice } = interval;
  const [low, high] = interval.dropCi;
  const ok = within(high, limit);
  const known = { value: high, limit };
  if (ok) return { status: 'ok', said: `${figures}, ${allowed}`, ...known };
  if (on === 'interval' && within(low, limit))
    return {
      status: 'undecided',
      said: `${figures}: the interval reaches over the limit, ${allowed}${advice}`,
      value: drop,
      limit,
    };
  const unsure = within(drop, limit);
  const said = unsure ? `${figures}: a larger drop cannot be excluded, ${allowed}${advice}` : `${figures}, ${allowed}`;
  return { status: 'failed', said, ...known };
}

function limitOf(
  { maxDrop, preset }: AccuracyRule,
  limits: Limits,
  { metric, base }: Accuracy,
  name: string,
): { limit: number; words: string } {
  const part = preset !== undefined ? presetShares[preset] : typeof maxDrop === 'string' ? shareOf(maxDrop) : undefined;
  if (part === undefined) {
    const limit = typeof maxDrop === 'number' ? maxDrop : limits.maxDrop;
    return { limit, words: formatLimit(metric, limit) };
  }
  const whole = Math.abs(base ?? 0);
  if (preset === undefined)
    return { limit: part * whole, words: `${formatLimit(metric, part * whole)} (${percent(part)} of ${name})` };
  const basis = presetBasis(metric, base ?? 0);
  const of = basis === whole ? name : `1 − ${metric} of ${name}`;
  const limit = presetDrop(preset, metric, base ?? 0);
  return { limit, words: `${formatLimit(metric, limit)} (${percent(part)} of ${of}, ${preset})` };
}

function range(accuracy: Accuracy): string {
  const ends = accuracy.dropCi && [...accuracy.dropCi].reverse().map((end) => formatDrop({ ...accuracy, drop: end }));
  return ends ? `; 95 % interval ${ends.join(' to ')}` : '';
}

const more = ({ neededSamples }: Accuracy): string =>
  neededSamples === undefined ? '' : `; about ${formatWhole(neededSamples)} samples would tell`;

const noInterval = (name: string): string =>
  name === 'base'
    ? 'optimize again with this mlpack'
    : 'both reports must carry the scores of the same samples; optimize again with this mlpack, and store the report with --update-baseline';
