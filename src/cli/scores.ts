import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Dataset } from '../data/dataset.ts';
import type { Evaluation } from '../engine/evaluate.ts';
import { UserError } from '../errors.ts';
import type { Scored } from './optimize/scored.ts';
import { refuseOther, requireWritable } from './output.ts';
import { writeAtomically } from './write.ts';

const schema = 'mlpack.scores/1';

/** A file of scores, one a sample: what a later run can be paired with, without the model. */
interface ScoreFile {
  readonly schema: typeof schema;
  readonly metric: string;
  readonly higherIsBetter: boolean;
  readonly value: number;
  readonly data: string;
  readonly samples: readonly {
    readonly name: string;
    readonly digest: string;
    readonly score: number | null;
    readonly label?: number;
    /** Hash of what else it was judged by: values, texts, boxes. */
    readonly truth?: string;
  }[];
}

type Sample = ScoreFile['samples'][number];

/** What a file of scores begins with. */
const start = `{"schema":"${schema}"`;

/**
 * Before the work: whether the scores can be written, and nothing else is lost by it.
 * @throws UserError for a place that takes no file, or holds one that is no file of scores
 */
export async function requireScorePlace(path: string, shown: string): Promise<void> {
  await requireWritable(path, shown, { makesFolders: false, flag: '--scores' });
  await refuseOther(path, shown, { start, what: 'no file of scores', flag: '--scores' });
}

/** @throws UserError when the file cannot be written */
export async function writeScores(path: string, result: Evaluation, dataset: Dataset): Promise<void> {
  const samples = [];
  for (const [at, score] of result.scores.entries()) {
    const index = result.indices[at] ?? at;
    const label = result.labels?.[at];
    const truth = await truthOf(dataset, index);
    samples.push({
      name: dataset.sampleName('eval', index),
      digest: await dataset.digest('eval', index),
      score: Number.isFinite(score) ? score : null,
      ...(label !== undefined && { label }),
      ...(truth !== undefined && { truth }),
    });
  }
  const { metric, higherIsBetter, value } = result;
  const file: ScoreFile = { schema, metric, higherIsBetter, value, data: dataset.name, samples };
  try {
    await writeAtomically(path, `${JSON.stringify(file)}\n`, true);
  } catch (error) {
    throw new UserError('scores.write', `the scores cannot be written to "${path}": ${(error as Error).message}.`, {
      cause: error,
    });
  }
}

/**
 * Scores written before, in the order of this run's samples.
 * @throws UserError when the file is none of ours, judges by another metric, or is not about the same samples
 */
export async function readScores(path: string, result: Evaluation, dataset: Dataset): Promise<Scored> {
  let file: ScoreFile;
  try {
    file = JSON.parse(await readFile(path, 'utf8')) as ScoreFile;
  } catch (error) {
    throw new UserError('scores.read', `the scores "${path}" cannot be read: ${(error as Error).message}.`, {
      cause: error,
    });
  }
  const wrong = (why: string): UserError => new UserError('scores.other', `the scores "${path}" ${why}.`);
  if (file?.schema !== schema || !Array.isArray(file.samples))
    throw wrong(`are no scores of mlpack eval (schema "${schema}")`);
  if (file.metric !== result.metric) throw wrong(`are ${file.metric}, this run judges by ${result.metric}`);
  if (!result.ofMean)
    throw wrong(
      `cannot be paired: ${result.metric} does not follow from the scores of single samples; give the model itself with --base`,
    );
  if (!file.samples.every(isSample)) throw wrong('are damaged: a sample has no digest or no score');
  const known = new Map<string, Sample[]>();
  for (const sample of file.samples) known.set(sample.digest, [...(known.get(sample.digest) ?? []), sample]);
  const scores: number[] = [];
  for (const [at, index] of result.indices.entries()) {
    const same = known.get(await dataset.digest('eval', index));
    const name = dataset.sampleName('eval', index);
    if (same === undefined) throw wrong(`do not know the sample ${name}: they are about other data`);
    // The same picture may stand in a data set twice, with two labels.
    const label = result.labels?.[at];
    const truth = await truthOf(dataset, index);
    const sample = same.find((one) => fits(one.label, label) && fits(one.truth, truth));
    if (sample === undefined)
      throw wrong(`judge the sample ${name} by another label or target than the data now: score the base model anew`);
    scores.push(sample.score ?? Number.NaN);
  }
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  const { metric, higherIsBetter, ofMean, labels, labelNames } = result;
  return { metric, higherIsBetter, value: ofMean(mean), samples: scores.length, scores, ofMean, labels, labelNames };
}

const isSample = (sample: Partial<Sample> | null): boolean =>
  typeof sample?.digest === 'string' && (sample.score === null || typeof sample.score === 'number');

/** Files of earlier versions say nothing of some. */
const fits = <T>(then: T | undefined, now: T | undefined): boolean => then === undefined || then === now;

async function truthOf(dataset: Dataset, index: number): Promise<string | undefined> {
  const truth = await dataset.truthDigest?.(index);
  return truth ? createHash('sha256').update(truth).digest('base64') : undefined;
}
