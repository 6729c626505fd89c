import { numbersOf } from '../data/cast.ts';
import type { Batch, Dataset } from '../data/dataset.ts';
import type { ClassFigures, Metric, Need } from '../data/metrics/metric.ts';
import { makeMetric } from '../data/metrics/registry.ts';
import { UserError } from '../errors.ts';
import { dtypeKind } from '../ir/dtype.ts';
import { type Tensor, withShape } from '../ir/tensor.ts';
import { type Blind, BlindAnswers } from './blind.ts';
import type { Session } from './session.ts';
import { StateRunner } from './states.ts';

export interface EvaluateOptions {
  /** Default: the data set's. */
  readonly metric?: string;
  /** Model output to judge; default the data set's, else the first. */
  readonly output?: string;
  readonly samples?: number;
  readonly batch?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
  /** Model whose answers `agreement` compares with. */
  readonly reference?: Session;
}

export interface Evaluation {
  readonly metric: string;
  readonly higherIsBetter: boolean;
  readonly value: number;
  readonly samples: number;
  /** What each sample says by itself, in order (1 or 0 for top-k). */
  readonly scores: readonly number[];
  /** Place of each sample in the data set. */
  readonly indices: readonly number[];
  /** Scores are measures, never right or wrong: see `Metric.graded`. */
  readonly graded?: boolean;
  /** The metric as a function of the mean of `scores`, where it is one. */
  readonly ofMean: ((mean: number) => number) | undefined;
  /** The metric with each sample counted so often, where it does not follow from a mean: what the bootstrap draws. */
  readonly resampled: ((weights: ArrayLike<number>) => number) | undefined;
  /** Steps that `resampled` takes once. */
  readonly cost: number;
  /** The metric's figures of single classes. */
  readonly classes: ClassFigures | undefined;
  /** Class of each sample, where samples are labelled. */
  readonly labels: readonly number[] | undefined;
  readonly labelNames: readonly string[] | undefined;
  /** What the best answer reaches that knows nothing of the inputs, where that can be told; found when it is asked for. */
  readonly blind: () => Blind | undefined;
  /** Samples whose output held a NaN or an infinity, and the places of the first few of them. */
  readonly nonFinite: number;
  readonly nonFiniteSamples: readonly number[];
  /** Milliseconds in all, and those spent inside the runtime. */
  readonly ms: number;
  readonly runMs: number;
}

/**
 * Runs the evaluation samples through the model and judges them.
 * @throws UserError when data, model and metric do not fit each other.
 */
export async function evaluate(session: Session, dataset: Dataset, options: EvaluateOptions = {}): Promise<Evaluation> {
  const metric = await chooseMetric(dataset, options);
  const name = options.output ?? dataset.output ?? session.outputs[0]?.name ?? '';
  const wanted = [...new Set([name, ...(metric.outputs ?? [])])];
  const total = Math.min(options.samples ?? dataset.samples, dataset.samples);
  const records: unknown[] = [];
  const indices: number[] = [];
  const labels: number[] = [];
  const nonFinite: number[] = [];
  const blind = new BlindAnswers(metric);
  let runMs = 0;
  const started = performance.now();
  const runner = new StateRunner(session, wanted);
  // Nobody else looks at it, and it takes as long as the model itself.
  const refers = metric.needs === 'reference' || metric.mayRefer === true;
  const base = refers && options.reference ? new StateRunner(options.reference, [name]) : undefined;
  for await (const batch of dataset.batches({ inputs: session.inputs, ...pick(options) })) {
    options.signal?.throwIfAborted();
    const before = performance.now();
    const outputs = withBatchAxis(await runner.run(batch), batch);
    runMs += performance.now() - before;
    const output = outputOf(outputs, name);
    const reference = base && outputOf(withBatchAxis(await base.run(batch), batch), name);
    const judged = { ...batch, output, outputs, reference };
    for (const record of metric.score(judged)) records.push(record);
    blind.add(judged);
    indices.push(...batch.indices);
    labels.push(...(batch.labels ?? []));
    nonFinite.push(...findNonFinite(output, batch.size).map((row) => batch.indices[row] ?? row));
    options.onProgress?.(records.length, total);
  }
  const fold = metric.fold(records);
  return {
    metric: metric.id,
    higherIsBetter: metric.higherIsBetter,
    value: fold(),
    samples: records.length,
    scores: metric.samples?.(records) ?? records.map((record) => metric.sample(record)),
    indices,
    ...(metric.graded && { graded: true }),
    ofMean: metric.ofMean && ((mean) => metric.ofMean?.(mean) ?? mean),
    resampled: metric.ofMean ? undefined : fold,
    cost: metric.cost?.(records) ?? records.length,
    classes: metric.classes?.(records),
    labels: labels.length === records.length ? labels : undefined,
    labelNames: dataset.labelNames,
    blind: () => blind.result(labels.length === records.length ? labels : []),
    nonFinite: nonFinite.length,
    nonFiniteSamples: nonFinite.slice(0, 5),
    ms: performance.now() - started,
    runMs,
  };
}

const needed: Readonly<Record<Need, string>> = {
  labels: 'labels',
  targets: 'targets',
  truths: 'texts or boxes',
  reference: 'a base model to compare with',
  feeds: 'inputs',
};

async function chooseMetric(dataset: Dataset, options: EvaluateOptions): Promise<Metric> {
  const metric = await makeMetric(
    options.metric ?? dataset.metricSpec ?? (dataset.hasLabels ? 'top1' : 'agreement'),
    dataset.metricContext,
  );
  const has: Readonly<Record<Need, boolean>> = {
    labels: dataset.hasLabels,
    targets: dataset.hasTargets,
    truths: dataset.hasTruths,
    reference: options.reference !== undefined,
    feeds: true,
  };
  if (metric.id === 'roc-auc' && dataset.occurringClasses === 1)
    throw new UserError(
      'metric-data',
      `The metric roc-auc compares samples of different classes, and all labels of ${dataset.dir} are the same; choose another metric, or add samples of other classes.`,
    );
  if (has[metric.needs]) return metric;
  throw new UserError(
    'metric-data',
    `The metric ${metric.id} needs ${needed[metric.needs]}, which ${dataset.dir} does not have.`,
  );
}

/** Outputs of a model without a batch axis get one of 1, unless they begin with that anyway. */
function withBatchAxis(outputs: Map<string, Tensor>, { unbatched }: Batch): Map<string, Tensor> {
  if (!unbatched) return outputs;
  return new Map(
    [...outputs].map(([name, output]) => [
      name,
      output.shape[0] === 1 ? output : withShape(output, [1, ...output.shape]),
    ]),
  );
}

function outputOf(outputs: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const output = outputs.get(name);
  if (!output) throw new UserError('output-unknown', `The model gave no output "${name}".`);
  return output;
}

function pick({ samples, batch }: EvaluateOptions): { samples?: number; batch?: number } {
  return { ...(samples !== undefined && { samples }), ...(batch !== undefined && { batch }) };
}

/** Rows that hold a NaN or an infinity. */
function findNonFinite(output: Tensor, size: number): number[] {
  const rows = Math.max(output.shape[0] ?? 1, 1);
  if (dtypeKind(output.dtype) !== 'float') return [];
  const values = numbersOf(output);
  const width = rows >= size ? values.length / rows : values.length;
  const found: number[] = [];
  for (let sample = 0; sample < size; sample++) {
    const row = values.subarray(sample * width, (sample + 1) * width);
    if (row.some((value) => !Number.isFinite(value))) found.push(sample);
  }
  return found;
}
