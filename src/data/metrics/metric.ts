import { UserError } from '../../errors.ts';
import type { Tensor } from '../../ir/tensor.ts';
import type { Fields } from '../json-fields.ts';

/** How a picture came to its size: a point (x, y) of the picture as it was stands at (x·scaleX + left, y·scaleY + top) in what the model sees. */
export interface Geometry {
  readonly width: number;
  readonly height: number;
  readonly scaleX: number;
  readonly scaleY: number;
  readonly left: number;
  readonly top: number;
  /** Size of what the model sees. */
  readonly fedWidth: number;
  readonly fedHeight: number;
}

/** What one batch gives a metric. Row i of `output` and of `targets` belongs to sample i. */
export interface MetricBatch {
  readonly output: Tensor;
  /** Outputs that the metric asked for by name (`Metric.outputs`), and the one it judges. */
  readonly outputs?: ReadonlyMap<string, Tensor> | undefined;
  /** Samples that count; the output may hold more rows. */
  readonly size: number;
  readonly labels: readonly number[] | undefined;
  readonly targets: Tensor | undefined;
  /** The base model's output for the same samples. */
  readonly reference: Tensor | undefined;
  /** What the model was fed. */
  readonly feeds?: ReadonlyMap<string, Tensor> | undefined;
  /** One truth a sample that is neither a class nor a tensor: a text, or boxes. */
  readonly truths?: readonly unknown[] | undefined;
  /** How each picture was brought to its size, where samples are pictures. */
  readonly geometry?: readonly (Geometry | undefined)[] | undefined;
}

export type Need = 'labels' | 'targets' | 'truths' | 'reference' | 'feeds';

/** How often each sample was drawn; undefined: each once. */
export type Weights = ArrayLike<number> | undefined;

/** Figures of single classes: entry i belongs to class `ids[i]`. */
export interface ClassFigures {
  readonly ids: readonly number[];
  /** Samples (boxes, pixels) of the class. */
  readonly counts: readonly number[];
  readonly values: (weights?: Weights) => ArrayLike<number>;
}

export type BlindKind = 'class' | 'mean' | 'median' | 'mode' | 'uniform';

/**
 * A metric makes a record of each sample, so that two models can be compared sample by sample, and folds the records into one
 * figure. Records are the metric's own affair: a number, a row of sums, the boxes of a picture.
 */
export interface Metric<R = unknown> {
  readonly id: string;
  readonly summary: string;
  readonly higherIsBetter: boolean;
  readonly needs: Need;
  /** Looks at the base model's output where there is one, though it can do without. */
  readonly mayRefer?: boolean;
  /** Further outputs that it reads. */
  readonly outputs?: readonly string[];
  /** One record a sample. @throws UserError when the output cannot be judged by this metric. */
  score(batch: MetricBatch): R[];
  /** What one sample says by itself: right 1 or wrong 0, its loss, its own share. */
  sample(record: R): number;
  /** The same for all samples, where what one says depends on the others. */
  samples?(records: readonly R[]): readonly number[];
  /** The figure over all records, each counted as often as it was drawn. Expensive preparation is done once. */
  fold(records: readonly R[]): (weights?: Weights) => number;
  /**
   * What answers reach that know nothing of the inputs: a figure that holds whatever the data, or how to find it from labels (the best single class),
   * from targets (always their mean, median or most frequent number), or from the number of scores (all alike).
   */
  readonly blind?: number | BlindKind;
  /** Present where the figure is this function of the mean over `sample`: its interval is then found faster. */
  ofMean?(mean: number): number;
  /** What one sample says is a measure: never right or wrong, also where all of them are exactly 0 or 1. */
  readonly graded?: boolean;
  /** The figure of each class by itself, where it has one (right and wrong by label is told from the labels instead). */
  classes?(records: readonly R[]): ClassFigures;
  /** Steps that one fold takes, where they are many more than samples: fewer drawings are made then. */
  cost?(records: readonly R[]): number;
}

/** What a metric may ask for while it is made. */
export interface MetricContext {
  /** Gives a file that the settings name its place on disk. @throws UserError when it is missing or outside of the folder */
  readonly resolve: (file: string) => Promise<string>;
  readonly labelNames: readonly string[] | undefined;
  /** Loads a module out of the data folder; undefined where the user did not allow that. */
  readonly importModule?: ((path: string) => Promise<unknown>) | undefined;
}

/** A kind of metric: its settings from dataset.json make a metric. */
export interface MetricKind {
  readonly id: string;
  readonly summary: string;
  make(settings: Fields, context: MetricContext): Metric | Promise<Metric>;
}

/** A metric whose figure is the mean over its samples, or a function of that mean. */
export function meanMetric(
  about: Pick<Metric, 'id' | 'summary' | 'higherIsBetter' | 'needs'> &
    Partial<Pick<Metric, 'outputs' | 'blind' | 'graded'>>,
  score: (batch: MetricBatch) => number[],
  of: (mean: number) => number = (mean) => mean,
): Metric<number> {
  return {
    ...about,
    score,
    sample: (record) => record,
    fold: (records) => (weights) => of(weightedMean(records, weights)),
    ofMean: of,
  };
}

export function weightedMean(values: ArrayLike<number>, weights?: Weights): number {
  let sum = 0;
  let count = 0;
  for (let at = 0; at < values.length; at++) {
    const weight = weights?.[at] ?? 1;
    if (weight === 0) continue;
    sum += weight * (values[at] as number);
    count += weight;
  }
  return count === 0 ? Number.NaN : sum / count;
}

/** Sums of the columns of equally long records, each counted as often as it was drawn; laid out once, since it is asked thousands of times. */
export function columnSums(
  records: readonly ArrayLike<number>[],
  width: number,
): (weights?: Weights) => readonly number[] {
  const flat = new Float64Array(records.length * width);
  for (const [at, record] of records.entries())
    for (let column = 0; column < width; column++) flat[at * width + column] = record[column] as number;
  return (weights) => {
    const sums = Array.from({ length: width }, () => 0);
    for (let at = 0, place = 0; place < flat.length; at++, place += width) {
      const weight = weights ? (weights[at] as number) : 1;
      if (weight === 0) continue;
      for (let column = 0; column < width; column++)
        sums[column] = (sums[column] as number) + weight * (flat[place + column] as number);
    }
    return sums;
  };
}

export function missing(id: string, what: string): UserError {
  return new UserError('metric-data', `The metric ${id} needs ${what}, which the data set does not have.`);
}
