import { UserError } from '../errors.ts';
import { dtypeKind } from '../ir/dtype.ts';
import { elementCount, type Tensor } from '../ir/tensor.ts';
import { nearest } from '../messages.ts';
import { isCastable, type Numbers, numbersOf } from './cast.ts';

/** What one batch gives a metric. Row i of `output` and of `targets` belongs to sample i. */
export interface MetricBatch {
  readonly output: Tensor;
  /** Samples that count; the output may hold more rows. */
  readonly size: number;
  readonly labels: readonly number[] | undefined;
  readonly targets: Tensor | undefined;
  /** The base model's output for the same samples. */
  readonly reference: Tensor | undefined;
}

/** A metric scores each sample, so that two models can be compared pair by pair, and folds the scores into one value. */
export interface Metric {
  readonly id: string;
  readonly summary: string;
  readonly higherIsBetter: boolean;
  readonly needs: 'labels' | 'targets' | 'reference';
  /** One score a sample. @throws UserError when the output cannot be judged by this metric. */
  score(batch: MetricBatch): number[];
  value(scores: Iterable<number>): number;
}

/** Share of samples whose label has the highest output. Ties go to the lower class; NaN never wins. */
const top1: Metric = {
  id: 'top1',
  summary: 'share of samples whose class has the highest score',
  higherIsBetter: true,
  needs: 'labels',
  score: (batch) => topK(batch, 1),
  value: mean,
};

/** Share of samples whose label is among the five highest outputs. */
const top5: Metric = {
  id: 'top5',
  summary: 'share of samples whose class is among the five highest scores',
  higherIsBetter: true,
  needs: 'labels',
  score: (batch) => topK(batch, 5),
  value: mean,
};

/** Share of samples on which the highest output is that of the base model. */
const agreement: Metric = {
  id: 'agreement',
  summary: 'share of samples with the same highest class as the base model',
  higherIsBetter: true,
  needs: 'reference',
  score({ output, size, reference }) {
    if (!reference) throw missing('agreement', 'the outputs of a base model');
    const a = argmaxRows(output, size);
    const b = argmaxRows(reference, size);
    return a.map((row, sample) =>
      row.length === b[sample]?.length && row.every((best, at) => best === b[sample]?.[at]) ? 1 : 0,
    );
  },
  value: mean,
};

/** Mean absolute error: mean over samples of mean |y − t|. */
const mae: Metric = {
  id: 'mae',
  summary: 'mean absolute error',
  higherIsBetter: false,
  needs: 'targets',
  score: (batch) => perSample(batch, 'mae', (difference) => Math.abs(difference)),
  value: mean,
};

/** Root mean square error: √ of the mean over samples of mean (y − t)². */
const rmse: Metric = {
  id: 'rmse',
  summary: 'root mean square error',
  higherIsBetter: false,
  needs: 'targets',
  score: (batch) => perSample(batch, 'rmse', (difference) => difference * difference),
  value: (scores) => Math.sqrt(mean(scores)),
};

/** Peak signal-to-noise ratio for values in 0…1: mean over samples of −10·log₁₀(mean (y − t)²), in dB. y is clipped to 0…1. */
const psnr: Metric = {
  id: 'psnr',
  summary: 'peak signal-to-noise ratio in dB, for values from 0 to 1',
  higherIsBetter: true,
  needs: 'targets',
  score: (batch) =>
    perSample(
      batch,
      'psnr',
      (difference) => difference * difference,
      (value) => Math.min(1, Math.max(0, value)),
    ).map((mse) => -10 * Math.log10(mse)),
  value: mean,
};

export const metrics: readonly Metric[] = [top1, top5, agreement, mae, rmse, psnr];

/** @throws UserError with the nearest name when there is no such metric. */
export function metricById(id: string): Metric {
  const metric = metrics.find((candidate) => candidate.id === id);
  if (metric) return metric;
  const known = metrics.map((candidate) => candidate.id);
  throw new UserError('metric-unknown', `There is no metric "${id}"${nearest(id, known)}.`);
}

function mean(scores: Iterable<number>): number {
  let sum = 0;
  let count = 0;
  for (const score of scores) {
    sum += score;
    count++;
  }
  return count === 0 ? Number.NaN : sum / count;
}

function topK({ output, size, labels }: MetricBatch, k: number): number[] {
  if (!labels) throw missing(`top${k}`, 'labels');
  const { values, width } = rowsOf(output, size);
  if (width === 1) {
    // An output of class numbers (a classifier with its own ArgMax) is compared as it is.
    if (dtypeKind(output.dtype) !== 'float') return labels.map((label, sample) => (values[sample] === label ? 1 : 0));
    throw new UserError(
      'metric-output',
      `top${k} needs one score for each class; the output has a single number a sample.`,
    );
  }
  return labels.map((label, sample) => {
    if (label >= width)
      throw new UserError('dataset-labels', `A sample is labelled ${label}, but the output has only ${width} classes.`);
    return rankBelow(values, sample * width, width, label, k) ? 1 : 0;
  });
}

/** True when fewer than `k` entries of the row beat entry `label`. */
function rankBelow(values: Numbers, start: number, width: number, label: number, k: number): boolean {
  const own = values[start + label] as number;
  if (Number.isNaN(own)) return false;
  let above = 0;
  for (let at = 0; at < width; at++) {
    const other = values[start + at] as number;
    if (other > own || (other === own && at < label)) above++;
    if (above >= k) return false;
  }
  return true;
}

/** Samples as rows. A model without a batch axis gives its whole output for the one sample. */
function rowsOf(output: Tensor, size: number): { values: Numbers; width: number } {
  if (!isCastable(output.dtype)) {
    const why = `The output is of type ${output.dtype}, which no metric can judge; choose another output.`;
    throw new UserError('metric-output', why);
  }
  const values = numbersOf(output);
  const rows = output.shape[0];
  if (rows !== undefined && rows >= size) return { values, width: values.length / Math.max(rows, 1) };
  if (size === 1) return { values, width: values.length };
  throw new UserError(
    'metric-output',
    `The output [${output.shape.join(', ')}] does not have one row for each of the ${size} samples.`,
  );
}

/**
 * Number of scores that compete with each other in an output: its last axis, axes of extent 1 aside. Undefined where a
 * highest score means nothing: a single number a sample, or maps of more than one position axis.
 */
export function competingScores(output: Tensor): number | undefined {
  if (dtypeKind(output.dtype) !== 'float') return undefined;
  const axes = output.shape.slice(1).filter((extent) => extent !== 1);
  return axes.length === 1 || (axes.length === 2 && output.shape.length === 3) ? axes.at(-1) : undefined;
}

/** Best class for each position of each sample; −1 where all scores are NaN. */
export function argmaxRows(output: Tensor, size: number): number[][] {
  const classes = competingScores(output);
  if (classes === undefined) {
    throw new UserError(
      'metric-output',
      `The output [${output.shape.join(', ')}] of type ${output.dtype} holds no scores of classes.`,
    );
  }
  const { values, width } = rowsOf(output, size);
  const rows: number[][] = [];
  for (let sample = 0; sample < size; sample++) {
    const row: number[] = [];
    for (let start = sample * width; start < (sample + 1) * width; start += classes) {
      let best = -1;
      for (let at = 0; at < classes; at++) {
        const value = values[start + at] as number;
        if (!Number.isNaN(value) && (best < 0 || value > (values[start + best] as number))) best = at;
      }
      row.push(best);
    }
    rows.push(row);
  }
  return rows;
}

function perSample(
  { output, targets, size }: MetricBatch,
  id: string,
  loss: (difference: number) => number,
  clip: (value: number) => number = (value) => value,
): number[] {
  if (!targets) throw missing(id, 'targets');
  const { values, width } = rowsOf(output, size);
  const wanted = numbersOf(targets);
  if (wanted.length !== width * size) {
    const row = elementCount(targets.shape.slice(1));
    throw new UserError('metric-output', `The output has ${width} numbers a sample, the targets have ${row}.`);
  }
  const scores: number[] = [];
  for (let sample = 0; sample < size; sample++) {
    let sum = 0;
    for (let at = sample * width; at < (sample + 1) * width; at++)
      sum += loss(clip(values[at] as number) - (wanted[at] as number));
    scores.push(sum / width);
  }
  return scores;
}

function missing(id: string, what: string): UserError {
  return new UserError('metric-data', `The metric ${id} needs ${what}, which the data set does not have.`);
}
