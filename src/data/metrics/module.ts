import { UserError } from '../../errors.ts';
import type { Tensor } from '../../ir/tensor.ts';
import { isCastable, numbersOf } from '../cast.ts';
import type { Metric, MetricBatch, MetricContext, Weights } from './metric.ts';
import { weightedMean } from './metric.ts';

/** A tensor as a metric of the user's gets it: numbers in a typed array (64-bit integers as doubles), texts as texts. */
export interface ModuleTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: ArrayLike<number> | readonly string[];
}

/** What one batch gives a metric of the user's. */
export interface ModuleBatch {
  /** The output that dataset.json names, and all that the metric asked for. */
  readonly output: ModuleTensor;
  readonly outputs: Readonly<Record<string, ModuleTensor>>;
  readonly inputs: Readonly<Record<string, ModuleTensor>>;
  /** Samples that count: rows beyond them only fill the model's batch. */
  readonly size: number;
  readonly labels: readonly number[] | undefined;
  readonly targets: ModuleTensor | undefined;
  readonly truths: readonly unknown[] | undefined;
  /** Output of the base model, where there is one. */
  readonly reference: ModuleTensor | undefined;
  readonly settings: Readonly<Record<string, unknown>>;
}

/**
 * The default export of a metric module. `score` gives a number a sample, and the metric is their mean; or it gives records of any kind, and
 * `value` makes the metric of a list of them (called for every drawing of the bootstrap with samples repeated, so it should be quick).
 */
export interface ModuleMetric {
  readonly name?: string;
  readonly higherIsBetter: boolean;
  /** Further outputs of the model that it reads. */
  readonly outputs?: readonly string[];
  /** What the data set must have: labels, targets, truths, reference; default nothing. */
  readonly needs?: Metric['needs'];
  score(batch: ModuleBatch): readonly unknown[];
  value?(records: readonly unknown[]): number;
}

/** A path, and not a name: `./my-metric.mjs`. */
export function isModule(name: string): boolean {
  return /^\.{0,2}[/\\]|\.m?[jt]s$/.test(name);
}

/**
 * Loads the user's metric. It runs code out of the data folder, so the context has `importModule` only where the user allowed it.
 * @throws UserError when it is not allowed, cannot be loaded, or does not keep the contract
 */
export async function loadModuleMetric(
  file: string,
  settings: Readonly<Record<string, unknown>>,
  context: MetricContext,
): Promise<Metric> {
  const path = await context.resolve(file.replace(/^\.[/\\]/, ''));
  if (!context.importModule)
    throw new UserError(
      'metric-module',
      `The data set's metric is the module "${file}", which runs code from the data folder; if you trust it, say --allow-modules (in a config: data.allowModules).`,
    );
  let exported: unknown;
  try {
    exported = await context.importModule(path);
  } catch (error) {
    throw new UserError('metric-module', `The metric module ${path} cannot be loaded: ${(error as Error).message}.`, {
      cause: error,
    });
  }
  const module = (exported as { default?: unknown }).default as Partial<ModuleMetric> | undefined;
  if (typeof module?.score !== 'function' || typeof module.higherIsBetter !== 'boolean')
    throw new UserError(
      'metric-module',
      `The metric module ${path} must export by default an object with "higherIsBetter" (true or false) and "score(batch)" (docs/metrics.md).`,
    );
  return fromModule(module as ModuleMetric, file, settings);
}

function fromModule(module: ModuleMetric, file: string, settings: Readonly<Record<string, unknown>>): Metric {
  const id = module.name ?? file;
  const wrong = (why: string): UserError => new UserError('metric-module', `The metric module ${file} ${why}.`);
  const numberOf = (record: unknown): number => (typeof record === 'number' ? record : Number.NaN);
  const of = (records: readonly unknown[]): number => {
    const value: unknown = guarded(file, () => module.value?.(records));
    if (typeof value !== 'number') throw wrong(`gave ${typeof value} as its value, where a number is needed`);
    return value;
  };
  return {
    id,
    summary: `metric of ${file}`,
    higherIsBetter: module.higherIsBetter,
    needs: module.needs ?? 'feeds',
    mayRefer: true,
    ...(module.outputs && { outputs: module.outputs }),
    score(batch) {
      const records: unknown = guarded(file, () => module.score(toModuleBatch(batch, settings)));
      if (!Array.isArray(records) || records.length !== batch.size)
        throw wrong(`must give one score for each of the ${batch.size} samples of a batch`);
      if (!module.value && !records.every((record) => typeof record === 'number'))
        throw wrong('gives scores that are no numbers, so it needs a "value(records)" as well');
      return records as unknown[];
    },
    sample: numberOf,
    fold(records) {
      if (!module.value) return (weights) => weightedMean(records.map(numberOf), weights);
      return (weights?: Weights) =>
        of(weights ? records.flatMap((record, at) => Array.from({ length: weights[at] ?? 0 }, () => record)) : records);
    },
    ...(!module.value && { ofMean: (mean: number) => mean }),
  };
}

/** What a module throws is its author's to mend, and no defect of ours. */
function guarded<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new UserError('metric-module', `The metric module ${file} failed: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}

function toModuleBatch(batch: MetricBatch, settings: Readonly<Record<string, unknown>>): ModuleBatch {
  const all = (tensors: ReadonlyMap<string, Tensor> | undefined): Record<string, ModuleTensor> =>
    Object.fromEntries([...(tensors ?? [])].map(([name, tensor]) => [name, toModuleTensor(tensor)]));
  return {
    output: toModuleTensor(batch.output),
    outputs: all(batch.outputs),
    inputs: all(batch.feeds),
    size: batch.size,
    labels: batch.labels,
    targets: batch.targets && toModuleTensor(batch.targets),
    truths: batch.truths,
    reference: batch.reference && toModuleTensor(batch.reference),
    settings,
  };
}

function toModuleTensor(tensor: Tensor): ModuleTensor {
  const { dtype, shape } = tensor;
  const utf8 = new TextDecoder();
  const data = isCastable(dtype) ? numbersOf(tensor) : (tensor.strings?.() ?? []).map((bytes) => utf8.decode(bytes));
  return { dtype, shape, data };
}
