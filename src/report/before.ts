/** A variant beside what the stored baseline has in its place: the same samples, so the comparison is paired where it can be. */
import { bootstrap } from '../kernels/bootstrap.ts';
import { mcNemar, pairedDropInterval } from '../kernels/proportions.ts';
import { randomNumbers } from '../kernels/random.ts';
import { formatCount } from '../messages.ts';
import { baseOf } from './facts.ts';
import type { Accuracy, Report, VariantResult } from './report.ts';
import { unpackScores } from './scores.ts';

/** A variant in its report. */
export interface Placed {
  readonly report: Report;
  readonly variant: VariantResult;
}

/** What `then` reached stands as `base`; or a clause that says why the two cannot be compared. */
export function compareAccuracy(now: Placed, then: Placed): Accuracy | string {
  const [after, before] = [now.variant.accuracy, then.variant.accuracy];
  if (!after || !before) return 'the baseline was not judged by the task metric';
  if (after.metric !== before.metric)
    return `the baseline was judged by ${before.metric}, this report by ${after.metric}`;
  const other = dataDifference(now.report, then.report);
  if (other !== undefined) return `${other}, so the two figures cannot be compared`;
  const sign = after.value === before.value ? 1 : directionOf([now.report, then.report], [after, before]);
  if (sign === undefined)
    return `neither report says whether more or less ${after.metric} is better; optimize again with this mlpack`;
  const drop = after.value === null || before.value === null ? null : sign * (before.value - after.value);
  const { metric, value, samples } = after;
  const compared: Accuracy = { metric, value, base: before.value, drop, samples };
  const paired = sameSamples(now.report, then.report) ? pairScores(before, after, now.report.seed) : undefined;
  return paired ? { ...compared, ...paired } : compared;
}

function dataDifference(report: Report, baseline: Report): string | undefined {
  const [here, there] = [report.data, baseline.data];
  if (here?.sha256 !== undefined && there?.sha256 !== undefined)
    return here.sha256 === there.sha256
      ? undefined
      : `the baseline was judged on other data (SHA-256 ${there.sha256.slice(0, 12)}… there, ${here.sha256.slice(0, 12)}… here)`;
  if (here?.samples === there?.samples) return undefined;
  return `the baseline was judged on ${formatCount(there?.samples ?? 0)} samples, this report on ${formatCount(here?.samples ?? 0)}`;
}

/** Where the data has no hash, base tells: a model that scores every sample as it did then has seen the same ones. */
function sameSamples(report: Report, baseline: Report): boolean {
  if (report.data?.sha256 !== undefined && report.data.sha256 === baseline.data?.sha256) return true;
  const [here, there] = [report, baseline].map((one) => baseOf(one)?.accuracy?.scores);
  return here !== undefined && there !== undefined && here.form === there.form && here.base64 === there.base64;
}

/** 1 where more is better. Reports of earlier versions say so with the scores, else by any pair of figures that differ. */
function directionOf(reports: readonly Report[], figures: readonly Accuracy[]): 1 | -1 | undefined {
  for (const { higherIsBetter, scores } of figures) {
    const known = higherIsBetter ?? scores?.higherIsBetter;
    if (known !== undefined) return known ? 1 : -1;
  }
  for (const { accuracy } of reports.flatMap((report) => report.variants)) {
    if (!accuracy?.drop || accuracy.value === null || accuracy.base === null) continue;
    return accuracy.drop > 0 === accuracy.base > accuracy.value ? 1 : -1;
  }
  return undefined;
}

type Paired = Pick<Accuracy, 'dropCi' | 'discordant'>;

/** Right and wrong: Tango's interval and McNemar's test. Other scores: paired bootstrap, where the metric is their mean. */
function pairScores(then: Accuracy, now: Accuracy, seed: number): Paired | undefined {
  if (!then.scores || !now.scores || then.scores.form !== now.scores.form) return undefined;
  const [before, after] = [unpackScores(then.scores), unpackScores(now.scores)];
  if (before.length === 0 || before.length !== after.length) return undefined;
  if (now.scores.form === 'right') {
    let lost = 0;
    let gained = 0;
    for (const [at, score] of after.entries()) {
      if (score < (before[at] ?? 0)) lost++;
      else if (score > (before[at] ?? 0)) gained++;
    }
    const p = mcNemar({ lost, gained }).worse;
    return { dropCi: pairedDropInterval({ lost, gained }, after.length), discordant: { lost, gained, p } };
  }
  if (!isMean(then, before) || !isMean(now, after)) return undefined;
  const sign = now.scores.higherIsBetter ? 1 : -1;
  const { interval } = bootstrap([before, after], (a, b) => sign * (a - b), { random: randomNumbers(seed) });
  return { dropCi: interval };
}

/** Floats of 32 bits carry seven digits. */
function isMean({ value }: Accuracy, scores: Float64Array): boolean {
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  return value !== null && Math.abs(mean - value) <= 1e-5 * Math.max(1e-9, Math.abs(value));
}
