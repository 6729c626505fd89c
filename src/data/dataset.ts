import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import type { DType } from '../ir/dtype.ts';
import { elementCount, type Tensor } from '../ir/tensor.ts';
import { openArraySource } from './array-source.ts';
import { isCastable, numbersOf, tensorOfNumbers } from './cast.ts';
import { type DatasetSpec, type InputSpec, parseDatasetSpec, referenceOf } from './dataset-format.ts';
import { fitToModel, type ModelFit } from './fit.ts';
import { openImageSource } from './image-source.ts';
import { inferSpec } from './infer.ts';
import { readLabels } from './labels.ts';
import type { ModelInput } from './model-input.ts';
import { placeInside } from './paths.ts';
import { shuffled } from './shuffle.ts';
import type { Source, Split } from './source.ts';

export type { Split } from './source.ts';

export interface Batch {
  readonly feeds: Map<string, Tensor>;
  /** Class of each sample; only for evaluation samples of data with labels. */
  readonly labels: readonly number[] | undefined;
  /** What the output should equal, one row a sample. */
  readonly targets: Tensor | undefined;
  /** Number of the first sample, counted over the samples given out. */
  readonly first: number;
  /** Samples that count. The feeds hold more where the model's batch is fixed and samples ran out: ignore those rows. */
  readonly size: number;
  /** Place of each sample in the data set's own order. */
  readonly indices: readonly number[];
}

export interface BatchOptions {
  /** Default `eval`. */
  readonly split?: Split;
  /** Samples a batch, where the model leaves it open; default the data set's own. */
  readonly batch?: number;
  /** At most so many samples; default the data set's own limit (evaluation) or all (calibration). */
  readonly samples?: number;
  /** Shuffles by this seed; default the order of the files. */
  readonly seed?: number;
  /** The model's inputs: checked against the data, and its fixed batch and element types are kept. */
  readonly inputs?: readonly ModelInput[];
}

export interface Dataset {
  readonly dir: string;
  readonly name: string;
  readonly description: string | undefined;
  readonly license: string | undefined;
  /** Model inputs that the data feeds. */
  readonly inputs: readonly string[];
  /** Samples an evaluation takes, and those there are for calibration (0: none). */
  readonly samples: number;
  readonly calibrationSamples: number;
  readonly hasLabels: boolean;
  readonly hasTargets: boolean;
  readonly labelNames: readonly string[] | undefined;
  /** Model output that the metric reads; undefined: its first. */
  readonly output: string | undefined;
  readonly metric: string | undefined;
  readonly batch: number;
  /** The `inputs` section of dataset.json. */
  readonly preprocessing: unknown;
  /** Sentences: what was inferred for want of a dataset.json, and what looks wrong without being an error. */
  readonly notes: readonly string[];
  /** Streams samples; the next batch is prepared while the current one is used. @throws UserError, see `fitToModel`. */
  batches(options?: BatchOptions): AsyncIterable<Batch>;
  close(): Promise<void>;
}

/**
 * Opens a folder of data: by its dataset.json, or inferred from file names when there is none.
 * @param inputs the model's inputs, which inference needs.
 * @throws UserError when the description is wrong, files are missing, or counts and shapes disagree.
 */
export async function openDataset(dir: string, inputs?: readonly ModelInput[]): Promise<Dataset> {
  const notes: string[] = [];
  const text = await readDescription(dir);
  const spec =
    text === undefined ? await inferSpec(dir, inputs, notes) : parseDatasetSpec(text, basename(resolve(dir)));
  const sources = new Map<string, Source>();
  let targets: Source | undefined;
  try {
    const place = (file: string): Promise<string> => placeInside(dir, file);
    for (const [name, input] of spec.inputs) {
      if (input.kind === 'array') sources.set(name, await openArraySource(name, input, place));
      if (input.kind === 'images') sources.set(name, await openImageSource(name, input, place));
      notes.push(...mixedSplits(name, input));
    }
    if (sources.size === 0) throw new UserError('dataset-format', `dataset.json in ${dir} feeds no input from files.`);
    checkCompared(spec, sources);
    if (spec.targets) targets = await openArraySource('targets', spec.targets, place);
    const counted = sampleCounts(dir, sources, targets);
    const named = [...sources.values()].find((source) => source.names);
    const labels =
      spec.labels &&
      (await readLabels(spec.labels, await place(spec.labels.file), counted.eval, named?.names?.('eval')));
    return new FolderDataset(dir, spec, sources, targets, labels, counted, notes);
  } catch (error) {
    for (const source of sources.values()) await source.close();
    await targets?.close();
    throw error;
  }
}

async function readDescription(dir: string): Promise<string | undefined> {
  try {
    return await readFile(join(dir, 'dataset.json'), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    const why = code === 'ENOTDIR' ? 'it is no folder' : `dataset.json cannot be opened (${code})`;
    throw new UserError('dataset-open', `Cannot read the data in ${dir}: ${why}.`, { cause: error });
  }
}

function mixedSplits(name: string, spec: InputSpec): string[] {
  const file = spec.kind === 'array' ? spec.file : spec.kind === 'images' ? spec.folder : undefined;
  if (file === undefined || !('calibration' in spec) || spec.calibration !== file) return [];
  return [
    `Input "${name}" is calibrated on the samples it is evaluated on (${file}): the accuracy measured will flatter the result.`,
  ];
}

/** Only numbers can be compared with the number of `notEqual`. */
function checkCompared(spec: DatasetSpec, sources: ReadonlyMap<string, Source>): void {
  for (const [name, input] of spec.inputs) {
    const dtype = input.kind === 'derived' && input.rule !== 'positions' ? sources.get(input.from)?.dtype : undefined;
    if (dtype === undefined || isCastable(dtype)) continue;
    throw new UserError('dataset-dtype', `Input "${name}" compares elements of type ${dtype} with a number.`);
  }
}

/** All inputs must have as many samples. */
function sampleCounts(
  dir: string,
  sources: ReadonlyMap<string, Source>,
  targets: Source | undefined,
): Record<Split, number> {
  const counts = { eval: 0, calibration: 0 };
  for (const split of ['eval', 'calibration'] as const) {
    let first: string | undefined;
    for (const [name, source] of sources) {
      const count = source.count(split);
      if (first === undefined) {
        first = name;
        counts[split] = count;
      } else if (count !== counts[split]) {
        throw new UserError(
          'dataset-count',
          `${dir}: input "${first}" has ${counts[split]} ${split} samples, but "${name}" has ${count}.`,
        );
      }
    }
  }
  if (counts.eval === 0) throw new UserError('dataset-empty', `${dir} holds no samples.`);
  const wanted = targets?.count('eval');
  if (wanted !== undefined && wanted !== counts.eval) {
    throw new UserError('dataset-count', `${dir}: there are ${counts.eval} samples, but ${wanted} targets.`);
  }
  return counts;
}

class FolderDataset implements Dataset {
  readonly dir: string;
  readonly name: string;
  readonly description: string | undefined;
  readonly license: string | undefined;
  readonly inputs: readonly string[];
  readonly samples: number;
  readonly calibrationSamples: number;
  readonly hasLabels: boolean;
  readonly hasTargets: boolean;
  readonly labelNames: readonly string[] | undefined;
  readonly output: string | undefined;
  readonly metric: string | undefined;
  readonly batch: number;
  readonly preprocessing: unknown;
  readonly notes: readonly string[];
  readonly #spec: DatasetSpec;
  readonly #sources: ReadonlyMap<string, Source>;
  readonly #targets: Source | undefined;
  readonly #labels: readonly number[] | undefined;
  readonly #counts: Readonly<Record<Split, number>>;

  constructor(
    dir: string,
    spec: DatasetSpec,
    sources: ReadonlyMap<string, Source>,
    targets: Source | undefined,
    labels: readonly number[] | undefined,
    counts: Readonly<Record<Split, number>>,
    notes: readonly string[],
  ) {
    this.#spec = spec;
    this.#sources = sources;
    this.#targets = targets;
    this.#labels = labels;
    this.#counts = counts;
    this.dir = dir;
    this.name = spec.name;
    this.description = spec.description;
    this.license = spec.license;
    this.inputs = [...spec.inputs.keys()];
    this.samples = Math.min(counts.eval, spec.samples ?? counts.eval);
    this.calibrationSamples = counts.calibration;
    this.hasLabels = labels !== undefined;
    this.hasTargets = targets !== undefined;
    this.labelNames = spec.labels?.names;
    this.output = spec.output;
    this.metric = spec.metric;
    this.batch = spec.batch;
    this.preprocessing = spec.preprocessing;
    this.notes = notes;
  }

  async *batches(options: BatchOptions = {}): AsyncGenerator<Batch> {
    const split = options.split ?? 'eval';
    const available = this.#counts[split];
    if (available === 0) {
      throw new UserError(
        'dataset-split',
        `${this.dir} has no calibration samples; name files for them ("calibration") in dataset.json.`,
      );
    }
    const fit = fitToModel(this.dir, this.#spec, this.#sources, options.inputs, options.batch);
    const limit = Math.min(available, options.samples ?? (split === 'eval' ? this.samples : available));
    const order = Array.from({ length: available }, (_, index) => index);
    const chosen = (options.seed === undefined ? order : shuffled(order, options.seed)).slice(0, limit);
    const start = (first: number): Promise<Batch> | undefined =>
      first < chosen.length ? this.#read(split, chosen.slice(first, first + fit.batch), first, fit) : undefined;
    let next = start(0);
    for (let first = fit.batch; next; first += fit.batch) {
      const batch = await next;
      next = start(first);
      // A failure while the consumer is busy is reported when its turn comes, not as an unhandled rejection.
      next?.catch(() => undefined);
      yield batch;
    }
  }

  async close(): Promise<void> {
    for (const source of this.#sources.values()) await source.close();
    await this.#targets?.close();
  }

  async #read(split: Split, indices: readonly number[], first: number, fit: ModelFit): Promise<Batch> {
    const size = indices.length;
    const rows =
      fit.fixed && size < fit.batch
        ? [...indices, ...Array.from({ length: fit.batch - size }, () => indices[size - 1] ?? 0)]
        : indices;
    const feeds = new Map<string, Tensor>();
    const { inputs } = this.#spec;
    const ordered = [...inputs].sort(
      ([, a], [, b]) => Number(referenceOf(a) !== undefined) - Number(referenceOf(b) !== undefined),
    );
    for (const [name, spec] of ordered) {
      const source = this.#sources.get(name);
      const like = referenceOf(spec);
      // What another input is computed from is read even when the model itself does not take it.
      const dtype = fit.dtypes.get(name) ?? source?.dtype ?? 'int64';
      if (source)
        feeds.set(
          name,
          await source.read(split, rows, dtype, like === undefined ? undefined : feeds.get(like)?.shape[1]),
        );
      else feeds.set(name, computed(spec, like === undefined ? undefined : feeds.get(like), dtype));
    }
    for (const name of feeds.keys()) if (!fit.dtypes.has(name)) feeds.delete(name);
    const labels = split === 'eval' && this.#labels ? indices.map((index) => this.#labels?.[index] ?? 0) : undefined;
    const targets =
      split === 'eval' && this.#targets ? await this.#targets.read('eval', indices, this.#targets.dtype) : undefined;
    return { feeds, labels, targets, first, size, indices };
  }
}

function computed(spec: InputSpec, like: Tensor | undefined, dtype: DType): Tensor {
  if (spec.kind === 'constant') {
    const shape = 'like' in spec.shape ? (like?.shape ?? []) : spec.shape;
    return tensorOfNumbers(dtype, shape, new Float64Array(elementCount(shape)).fill(spec.value));
  }
  const shape = like?.shape ?? [];
  const values = new Float64Array(elementCount(shape));
  if (spec.kind === 'derived' && spec.rule === 'positions') {
    const length = shape.at(-1) ?? 1;
    for (let at = 0; at < values.length; at++) values[at] = at % length;
  } else if (spec.kind === 'derived' && spec.rule !== 'positions' && like) {
    const from = numbersOf(like);
    for (let at = 0; at < values.length; at++) values[at] = from[at] === spec.rule.notEqual ? 0 : 1;
  }
  return tensorOfNumbers(dtype, shape, values);
}
