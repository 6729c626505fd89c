import { readFile, writeFile } from 'node:fs/promises';
import type { Dataset } from '../data/dataset.ts';
import type { Evaluation } from '../engine/evaluate.ts';
import { UserError } from '../errors.ts';
import type { Scored } from './optimize/scored.ts';

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
  }[];
}

/** @throws UserError when the file cannot be written */
export async function writeScores(path: string, result: Evaluation, dataset: Dataset): Promise<void> {
  const samples = [];
  for (const [at, score] of result.scores.entries()) {
    const index = result.indices[at] ?? at;
    const label = result.labels?.[at];
    samples.push({
      name: dataset.sampleName('eval', index),
      digest: await dataset.digest('eval', index),
      score: Number.isFinite(score) ? score : null,
      ...(label !== undefined && { label }),
    });
  }
  const { metric, higherIsBetter, value } = result;
  const file: ScoreFile = { schema, metric, higherIsBetter, value, data: dataset.name, samples };
  try {
    await writeFile(path, `${JSON.stringify(file)}\n`);
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
  if (file.schema !== schema || !Array.isArray(file.samples))
    throw wrong(`are no scores of mlpack eval (schema "${schema}")`);
  if (file.metric !== result.metric) throw wrong(`are ${file.metric}, this run judges by ${result.metric}`);
  if (!result.ofMean)
    throw wrong(
      `cannot be paired: ${result.metric} does not follow from the scores of single samples; give the model itself with --base`,
    );
  const known = new Map(file.samples.map(({ digest, score }) => [digest, score]));
  const scores: number[] = [];
  for (const index of result.indices) {
    const score = known.get(await dataset.digest('eval', index));
    if (score === undefined)
      throw wrong(`do not know the sample ${dataset.sampleName('eval', index)}: they are about other data`);
    scores.push(score ?? Number.NaN);
  }
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  const { metric, higherIsBetter, ofMean, labels, labelNames } = result;
  return { metric, higherIsBetter, value: ofMean(mean), samples: scores.length, scores, ofMean, labels, labelNames };
}
