import { UserError } from '../../errors.ts';
import { dtypeKind } from '../../ir/dtype.ts';
import { elementCount, type Tensor } from '../../ir/tensor.ts';
import { isCastable, type Numbers, numbersOf } from '../cast.ts';
import { type MetricBatch, missing } from './metric.ts';

/** Samples as rows. A model without a batch axis gives its whole output for the one sample. */
export function rowsOf(output: Tensor, size: number): { values: Numbers; width: number } {
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

/** Output and targets side by side. @throws UserError when a sample's output and target differ in length */
export function pairedRows(
  { output, targets, size }: MetricBatch,
  id: string,
): { values: Numbers; wanted: Numbers; width: number } {
  if (!targets) throw missing(id, 'targets');
  const { values, width } = rowsOf(output, size);
  const wanted = numbersOf(targets);
  if (wanted.length !== width * size) {
    const row = elementCount(targets.shape.slice(1));
    throw new UserError('metric-output', `The output has ${width} numbers a sample, the targets have ${row}.`);
  }
  return { values, wanted, width };
}

/** Detectors propose more places than this, and tokens with four classes to choose from are seldom so many. */
const fewestBoxes = 100;

/**
 * Number of scores that compete with each other in an output: its last axis, axes of extent 1 aside. Undefined where a
 * highest score means nothing: a single number a sample, one number for each of many positions (a detector's scores of one class), four for each of many
 * (the corners of boxes), or maps of more than one position axis.
 */
export function competingScores(output: Tensor): number | undefined {
  if (dtypeKind(output.dtype) !== 'float') return undefined;
  const [, positions = 1, each = 1] = output.shape;
  if (output.shape.length === 3 && (each === 1 || (each === 4 && positions >= fewestBoxes))) return undefined;
  const axes = output.shape.slice(1).filter((extent) => extent !== 1);
  return axes.length === 1 || (axes.length === 2 && output.shape.length === 3) ? axes.at(-1) : undefined;
}

/**
 * Whether an output can have a row for each sample: one row, or as many as an input has along some axis. Detectors with their own non-maximum suppression
 * give a row for each box that they found, of which the first says nothing of the others.
 */
export function hasRowPerSample({ shape: [rows = 1] }: Tensor, feeds: ReadonlyMap<string, Tensor>): boolean {
  return rows === 1 || [...feeds.values()].some(({ shape }) => shape.includes(rows));
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
      row.push(argmax(values, start, classes));
    }
    rows.push(row);
  }
  return rows;
}

/** Place of the highest of `count` numbers from `start` on; the first of equals, −1 where all are NaN. */
export function argmax(values: ArrayLike<number>, start: number, count: number): number {
  let best = -1;
  for (let at = 0; at < count; at++) {
    const value = values[start + at] as number;
    if (!Number.isNaN(value) && (best < 0 || value > (values[start + best] as number))) best = at;
  }
  return best;
}

/**
 * The class that each sample is put into: the number itself where the output is whole numbers; for one float a sample, 1 from
 * `threshold` on; else the highest score.
 */
export function predictedClasses(output: Tensor, size: number, threshold: number): number[] {
  const { values, width } = rowsOf(output, size);
  if (width === 1) {
    const isClass = dtypeKind(output.dtype) !== 'float';
    return Array.from({ length: size }, (_, sample) => {
      const value = values[sample] as number;
      return isClass ? value : Number.isNaN(value) ? -1 : Number(value >= threshold);
    });
  }
  return Array.from({ length: size }, (_, sample) => argmax(values, sample * width, width));
}

/** @throws UserError where a label is no class of the output */
export function checkLabels(labels: readonly number[], width: number): void {
  const high = labels.find((label) => label >= width);
  if (high === undefined) return;
  throw new UserError('dataset-labels', `A sample is labelled ${high}, but the output has only ${width} classes.`);
}
