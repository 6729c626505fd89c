import { numbersOf } from '../data/cast.ts';
import type { Batch, Dataset } from '../data/dataset.ts';
import { type Metric, metricById } from '../data/metrics.ts';
import { UserError } from '../errors.ts';
import { dtypeKind } from '../ir/dtype.ts';
import type { Tensor } from '../ir/tensor.ts';
import type { Session } from './session.ts';

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
  /** Score of each sample in order (1 or 0 for top-k): what paired statistics need. */
  readonly scores: readonly number[];
  /** Samples whose output held a NaN or an infinity. */
  readonly nonFinite: number;
  /** Milliseconds in all, and those spent inside the runtime. */
  readonly ms: number;
  readonly runMs: number;
}

/**
 * Runs the evaluation samples through the model and judges them.
 * @throws UserError when data, model and metric do not fit each other.
 */
export async function evaluate(session: Session, dataset: Dataset, options: EvaluateOptions = {}): Promise<Evaluation> {
  const metric = chooseMetric(dataset, options);
  const name = options.output ?? dataset.output ?? session.outputs[0]?.name ?? '';
  const total = Math.min(options.samples ?? dataset.samples, dataset.samples);
  const scores: number[] = [];
  let nonFinite = 0;
  let runMs = 0;
  const started = performance.now();
  for await (const batch of dataset.batches({ inputs: session.inputs, ...pick(options) })) {
    options.signal?.throwIfAborted();
    const before = performance.now();
    const output = await one(session, batch, name);
    runMs += performance.now() - before;
    const reference = options.reference && (await one(options.reference, batch, name));
    const { size, labels, targets } = batch;
    scores.push(...metric.score({ output, size, labels, targets, reference }));
    nonFinite += countNonFinite(output, size);
    options.onProgress?.(scores.length, total);
  }
  return {
    metric: metric.id,
    higherIsBetter: metric.higherIsBetter,
    value: metric.value(scores),
    samples: scores.length,
    scores,
    nonFinite,
    ms: performance.now() - started,
    runMs,
  };
}

function chooseMetric(dataset: Dataset, options: EvaluateOptions): Metric {
  const metric = metricById(options.metric ?? dataset.metric ?? (dataset.hasLabels ? 'top1' : 'agreement'));
  const has = { labels: dataset.hasLabels, targets: dataset.hasTargets, reference: options.reference !== undefined };
  if (has[metric.needs]) return metric;
  const what = { labels: 'labels', targets: 'targets', reference: 'a base model to compare with' }[metric.needs];
  throw new UserError('metric-data', `The metric ${metric.id} needs ${what}, which ${dataset.dir} does not have.`);
}

async function one(session: Session, batch: Batch, name: string): Promise<Tensor> {
  const outputs = await session.run(batch.feeds, [name]);
  const output = outputs.get(name);
  if (!output) throw new UserError('output-unknown', `The model gave no output "${name}".`);
  return output;
}

function pick({ samples, batch }: EvaluateOptions): { samples?: number; batch?: number } {
  return { ...(samples !== undefined && { samples }), ...(batch !== undefined && { batch }) };
}

function countNonFinite(output: Tensor, size: number): number {
  const rows = Math.max(output.shape[0] ?? 1, 1);
  if (dtypeKind(output.dtype) !== 'float') return 0;
  const values = numbersOf(output);
  const width = rows >= size ? values.length / rows : values.length;
  let count = 0;
  for (let sample = 0; sample < size; sample++) {
    const row = values.subarray(sample * width, (sample + 1) * width);
    if (row.some((value) => !Number.isFinite(value))) count++;
  }
  return count;
}
