import { resolve } from 'node:path';
import type { Dataset } from '../data/dataset.ts';
import { allowedDrop, type DropLimit, presetDrop, presetShares, usual } from '../drop-limit.ts';
import { type Evaluation, evaluate } from '../engine/evaluate.ts';
import { openSession, type Session as RuntimeSession } from '../engine/session.ts';
import { UserError } from '../errors.ts';
import { formatCount, formatMetricValue, formatMs, nearest } from '../messages.ts';
import type { Accuracy } from '../report/report.ts';
import { formatLimit } from '../report/words.ts';
import { whyNoSkill } from './chance.ts';
import { type ClassValue, classValues } from './class-values.ts';
import type { Session } from './command.ts';
import { openData, warnOfOverlap } from './data.ts';
import { type Decision, decide } from './decide.ts';
import { exitCodes } from './io.ts';
import { resolveModel } from './model-source.ts';
import { metricInterval, pairAccuracy } from './optimize/paired.ts';
import { readScores, requireScorePlace, writeScores } from './scores.ts';
import { table } from './talk.ts';

export interface EvalFlags {
  readonly data?: string;
  readonly base?: string;
  readonly baseScores?: string;
  readonly metric?: string;
  readonly samples?: number;
  readonly provider: string;
  /** In the unit of the metric, or `1%` of what base reaches. */
  readonly maxDrop?: DropLimit;
  readonly preset?: string;
  readonly scores?: string;
  readonly strict?: boolean;
  readonly allowModules?: boolean;
}

/** Seed of the bootstrap. */
const seed = 0;

/** The work of `mlpack eval`. @returns 1 when the drop is more than what was allowed */
export async function evalCommand(modelText: string, flags: EvalFlags, session: Session): Promise<number> {
  const { talk } = session;
  checkFlags(flags);
  const scores = flags.scores === undefined ? undefined : resolve(session.io.cwd, flags.scores);
  if (scores !== undefined) await requireScorePlace(scores, flags.scores ?? scores);
  const source = await resolveModel(modelText, session);
  let opened: Promise<RuntimeSession> | undefined;
  const model = (): Promise<RuntimeSession> => (opened ??= open(source.file, flags, session));
  const { allowModules = false } = flags;
  const dataset = await openData(source, flags.data, session, async () => (await model()).inputs, { allowModules });
  if (!dataset) {
    throw new UserError(
      'data.none',
      `which data? "${modelText}" has no dataset beside it; give --data <dir> (docs/datasets.md).`,
    );
  }
  await warnOfOverlap(dataset, session);
  await dataset.prefetch();
  const runtime = await model();
  const baseFile = flags.base === undefined ? undefined : (await resolveModel(flags.base, session)).file;
  const reference = baseFile === undefined ? undefined : await open(baseFile, flags, session);
  const judge = (model: RuntimeSession, stage: string): Promise<Evaluation> =>
    evaluate(model, dataset, {
      signal: session.io.signal,
      ...(flags.metric !== undefined && { metric: flags.metric }),
      ...(flags.samples !== undefined && { samples: flags.samples }),
      ...(reference && { reference }),
      onProgress: (done, total) => talk.progress(stage, `${done} of ${total}`),
    });
  const result = await judge(runtime, 'evaluate');
  const base = reference
    ? await judge(reference, 'evaluate base')
    : flags.baseScores === undefined
      ? undefined
      : await readScores(resolve(session.io.cwd, flags.baseScores), result, dataset);
  const limit = limitOf(flags, result.metric, base?.value);
  // Samples are counted for a drop, too, where no limit was asked.
  const maxDrop = limit ?? allowedDrop(usual, result.metric, base?.value ?? 0);
  const comparison = base && pairAccuracy(base, result, { seed, maxDrop });
  const decision = comparison && limit !== undefined ? decide(comparison, limit) : undefined;
  if (scores !== undefined) await writeScores(scores, result, dataset);
  const classes = classValues(result);
  const shown: Shown = { result, interval: metricInterval(result, seed), classes, comparison, maxDrop, decision };
  if (session.json) printJson(source.file, dataset, flags, shown, session);
  else print(dataset, flags, shown, session);
  warn(dataset, shown, session);
  if (decision?.verdict === 'fail' || (flags.strict && decision?.verdict === 'undecided')) return exitCodes.gate;
  return exitCodes.ok;
}

interface Shown {
  readonly result: Evaluation;
  readonly interval: readonly [number, number] | undefined;
  readonly classes: readonly ClassValue[];
  readonly comparison: Accuracy | undefined;
  /** The drop that `neededSamples` of the comparison would tell from none. */
  readonly maxDrop: number;
  readonly decision: Decision | undefined;
}

function checkFlags({ base, baseScores, maxDrop, preset }: EvalFlags): void {
  if (base !== undefined && baseScores !== undefined)
    throw new UserError('option.value', 'give either --base or --base-scores, not both.');
  if (preset !== undefined && !Object.hasOwn(presetShares, preset))
    throw new UserError('option.value', `there is no preset "${preset}"${nearest(preset, Object.keys(presetShares))}.`);
  if (preset !== undefined && maxDrop !== undefined)
    throw new UserError('option.value', 'give either --preset or --max-drop, not both.');
  if ((preset ?? maxDrop) !== undefined && (base ?? baseScores) === undefined)
    throw new UserError(
      'option.value',
      `${preset === undefined ? '--max-drop' : '--preset'} needs something to compare with: --base <model> or --base-scores <file>.`,
    );
}

function limitOf({ maxDrop, preset }: EvalFlags, metric: string, base: number | undefined): number | undefined {
  if (preset !== undefined && base !== undefined) return presetDrop(preset as keyof typeof presetShares, metric, base);
  return maxDrop === undefined || base === undefined ? undefined : allowedDrop(maxDrop, metric, base);
}

/** Opened sessions close however the command ends. */
async function open(file: string, { provider }: EvalFlags, session: Session): Promise<RuntimeSession> {
  const runtime = await openSession(file, { provider });
  session.atEnd.push(() => runtime.dispose());
  return runtime;
}

function printJson(model: string, dataset: Dataset, flags: EvalFlags, shown: Shown, { talk }: Session): void {
  const { metric, higherIsBetter, value, samples, nonFinite, ms, runMs } = shown.result;
  const summary = { metric, higherIsBetter, value, samples, nonFinite, badSamples: dataset.bad.count, ms, runMs };
  talk.json({
    model,
    data: dataset.dir,
    provider: flags.provider,
    ...summary,
    interval: shown.interval ?? null,
    ...(shown.classes.length > 0 && { classes: shown.classes }),
    ...(shown.comparison && { comparison: shown.comparison }),
    ...(shown.decision && { decision: shown.decision }),
  });
}

/** Classes shown: the weakest, since strong ones say little. */
const shownClasses = 10;

function print(
  dataset: Dataset,
  flags: EvalFlags,
  { result, interval, classes, comparison, maxDrop, decision }: Shown,
  { talk }: Session,
): void {
  const range = ([low, high]: readonly [number, number]): string =>
    `95 % interval ${formatMetricValue(low)}–${formatMetricValue(high)}`;
  talk.out(
    `${result.metric} ${talk.style.bold(formatMetricValue(result.value))}${interval ? ` (${range(interval)})` : ''}  (${formatCount(result.samples)} ${result.samples === 1 ? 'sample' : 'samples'} of ${dataset.name}, ${flags.provider})`,
  );
  talk.out(
    talk.style.dim(
      `${formatMs(result.ms / Math.max(result.samples, 1))} a sample, ${((100 * result.runMs) / result.ms).toFixed(0)} % of it inside the runtime`,
    ),
  );
  if (comparison) printComparison(comparison, maxDrop, talk);
  else if (classes.length > 1) {
    const weak = classes.slice(0, shownClasses);
    talk.out(`\nweakest of ${classes.length} classes:`);
    const rows = weak.map(({ name, samples, value }) => [name, String(samples), formatMetricValue(value)]);
    talk.out(table([['class', 'samples', result.metric], ...rows], [1, 2]));
  }
  if (decision) talk.out(`\n${talk.style.bold(decision.verdict)}: ${decision.why}.`);
}

function printComparison(comparison: Accuracy, maxDrop: number, talk: Session['talk']): void {
  const { base, drop, dropCi, discordant, neededSamples, classes, metric } = comparison;
  const range = dropCi ? ` (95 % interval ${formatMetricValue(dropCi[0])} to ${formatMetricValue(dropCi[1])})` : '';
  talk.out(`base ${formatMetricValue(base)}, drop ${formatMetricValue(drop)}${range}`);
  if (discordant)
    talk.out(
      `${discordant.lost} samples lost, ${discordant.gained} gained; chance alone loses that many with p = ${discordant.p.toPrecision(2)} (McNemar, exact)`,
    );
  // A change that the interval tells from none, for worse or better, needs no more samples.
  const untold = !dropCi || (dropCi[0] <= 0 && dropCi[1] >= 0);
  if (neededSamples !== undefined && untold)
    talk.out(
      `about ${formatCount(neededSamples)} samples would be needed to tell a drop of ${formatLimit(metric, maxDrop)} from none`,
    );
  const worst = (classes ?? []).filter(({ base: before, value }) => before !== value).slice(0, shownClasses);
  if (worst.length === 0) return;
  talk.out('\nclasses that changed most for the worse:');
  const rows = worst.map(({ name, samples, base: before, value, dropCi: ci, p }) => [
    name,
    String(samples),
    formatMetricValue(before),
    formatMetricValue(value),
    ci ? `${formatMetricValue(ci[0])} to ${formatMetricValue(ci[1])}` : '',
    p === undefined ? '' : p < 0.05 ? talk.style.bold(p.toPrecision(2)) : p.toPrecision(2),
  ]);
  talk.out(table([['class', 'samples', `${metric} base`, 'now', 'drop, 95 %', 'p adjusted'], ...rows], [1, 2, 3, 5]));
}

function warn(dataset: Dataset, { result }: Shown, { talk }: Session): void {
  const noSkill = whyNoSkill(result);
  if (noSkill !== undefined) talk.warn(`${noSkill}.`);
  if (result.nonFinite === 0) return;
  const names = result.nonFiniteSamples.map((index) => dataset.sampleName('eval', index));
  talk.warn(
    `${result.nonFinite} ${result.nonFinite === 1 ? 'sample' : 'samples'} gave NaN or infinite outputs: ${names.join(', ')}${result.nonFinite > names.length ? ', …' : ''}.`,
  );
}
