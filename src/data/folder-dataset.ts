import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { UserError } from '../errors.ts';
import type { DType } from '../ir/dtype.ts';
import { elementCount, type Tensor, withShape } from '../ir/tensor.ts';
import { numbersOf, tensorOfNumbers } from './cast.ts';
import type { BadSamples, Batch, BatchOptions, Dataset } from './dataset.ts';
import { fitToModel, type ModelFit } from './fit.ts';
import type { MetricContext } from './metrics/metric.ts';
import { placeInside } from './paths.ts';
import { shuffled } from './shuffle.ts';
import { BadSample, type Source, type Split } from './source.ts';
import type { MetricSpec } from './specs.ts';
import { type DatasetSpec, type InputSpec, inputFor, referenceOf } from './specs.ts';

/** What `openDataset` has found out about a folder. */
export interface Parts {
  readonly spec: DatasetSpec;
  readonly sources: ReadonlyMap<string, Source>;
  readonly targets: Source | undefined;
  readonly labels: readonly number[] | undefined;
  readonly labelNames: readonly string[] | undefined;
  readonly truths: readonly unknown[] | undefined;
  /** Samples in the files. */
  readonly counts: Readonly<Record<Split, number>>;
  readonly notes: readonly string[];
  readonly allowModules: boolean;
}

/** Samples of a split: which files they are in, and their places there. */
interface Members {
  readonly files: Split;
  readonly places: readonly number[];
}

/** One walk over samples: those of it that cannot be decoded, and how many may be. */
interface Pass {
  readonly bad: Set<number>;
  readonly most: number;
}

/**
 * Samples, and batches, being prepared ahead of the one in use. ONNX Runtime's binding holds the main thread while it runs, so a sample whose
 * preparation takes two turns through Node's thread pool gets on by one turn an inference: three batches keep the decoder busy.
 */
const samplesAhead = 8;
const batchesAhead = 3;
/** Samples whose preparation starts before there is a model: about what two cores decode while a small one is opened. */
const samplesPrefetched = 32;

export class FolderDataset implements Dataset {
  readonly dir: string;
  readonly name: string;
  readonly description: string | undefined;
  readonly license: string | undefined;
  readonly inputs: readonly string[];
  readonly samples: number;
  readonly calibrationSamples: number;
  readonly hasLabels: boolean;
  readonly highestLabel?: number;
  readonly occurringClasses?: number;
  readonly hasTargets: boolean;
  readonly hasTruths: boolean;
  readonly labelNames: readonly string[] | undefined;
  readonly output: string | undefined;
  readonly metric: string | undefined;
  readonly metricSpec: MetricSpec | undefined;
  readonly metricContext: MetricContext;
  readonly batch: number;
  readonly preprocessing: unknown;
  readonly preparation: readonly string[];
  readonly notes: readonly string[];
  readonly #parts: Parts;
  readonly #members: Readonly<Record<Split, Members>>;
  readonly #bad = new Map<string, string>();

  constructor(dir: string, parts: Parts) {
    const { spec, labels, targets, truths, labelNames, notes } = parts;
    this.#parts = parts;
    this.#members = partSamples(dir, parts);
    this.dir = dir;
    this.name = spec.name;
    this.description = spec.description;
    this.license = spec.license;
    this.inputs = [...spec.inputs.keys()];
    const available = this.#members.eval.places.length;
    this.samples = Math.min(available, spec.samples ?? available);
    this.calibrationSamples = this.#members.calibration.places.length;
    this.hasLabels = labels !== undefined;
    if (labels && labels.length > 0) {
      this.highestLabel = labels.reduce((most, one) => Math.max(most, one), 0);
      this.occurringClasses = new Set(labels).size;
    }
    this.hasTargets = targets !== undefined;
    this.hasTruths = truths !== undefined;
    this.labelNames = labelNames;
    this.output = spec.output;
    this.metric = spec.metric?.name;
    this.metricSpec = spec.metric;
    this.metricContext = {
      resolve: (file) => placeInside(dir, file),
      labelNames,
      importModule: parts.allowModules ? (path) => import(pathToFileURL(resolve(path)).href) : undefined,
    };
    this.batch = spec.batch;
    this.preprocessing = spec.preprocessing;
    this.preparation = [...parts.sources.values()].flatMap((source) => source.preparation ?? []);
    this.notes = notes;
  }

  get bad(): BadSamples {
    return { count: this.#bad.size, examples: [...this.#bad.values()].slice(0, 3) };
  }

  sampleName(split: Split, index: number): string {
    const { files, places } = this.#members[split];
    const place = places[index] ?? index;
    const named = [...this.#parts.sources.values()].find((source) => source.names);
    return named?.names?.(files)[place] ?? String(place);
  }

  async digest(split: Split, index: number): Promise<string> {
    const { files, places } = this.#members[split];
    const hash = createHash('sha256');
    for (const source of this.#parts.sources.values()) hash.update(await source.digest(files, places[index] ?? 0));
    return hash.digest('base64');
  }

  async truthDigest(index: number): Promise<string> {
    const { files, places } = this.#members.eval;
    const place = places[index] ?? 0;
    const { targets, truths } = this.#parts;
    const truth = truths && JSON.stringify(truths[place]);
    return [...(targets ? [await targets.digest(files, place)] : []), ...(truth === undefined ? [] : [truth])].join(
      ' ',
    );
  }

  async prefetch(): Promise<void> {
    const { files, places } = this.#members.eval;
    const first = places.slice(0, Math.min(this.samples, samplesPrefetched));
    for (const source of this.#parts.sources.values()) await source.prefetch?.(files, first);
  }

  async *batches(options: BatchOptions = {}): AsyncGenerator<Batch> {
    const split = options.split ?? 'eval';
    const { spec, sources } = this.#parts;
    const available = this.#members[split].places.length;
    if (available === 0) {
      throw new UserError(
        'dataset-split',
        `${this.dir} has no calibration samples; name files for them ("calibration") in dataset.json, or part the samples there are ("split").`,
      );
    }
    const fit = fitToModel(this.dir, spec, sources, options.inputs, options.batch);
    const limit = Math.min(available, options.samples ?? (split === 'eval' ? this.samples : available));
    const order = Array.from({ length: available }, (_, index) => index);
    const isShuffled = options.seed !== undefined && fit.states.size === 0;
    const skip = options.skip ?? 0;
    const chosen = (isShuffled ? shuffled(order, options.seed ?? 0) : order).slice(skip, skip + limit);
    // A part of the samples may hold as many bad ones as all of them: a share of few would be an accident.
    const usual = split === 'eval' ? this.samples : available;
    const pass: Pass = { bad: new Set(), most: Math.floor(spec.maxBad * Math.max(limit, usual)) };
    const queue: Promise<Batch | undefined>[] = [];
    let started = 0;
    let first = 0;
    const ahead = Math.max(batchesAhead, Math.ceil(samplesAhead / fit.batch));
    const start = (): void => {
      while (started < chosen.length && queue.length <= ahead) {
        const part = this.#read(split, chosen.slice(started, started + fit.batch), started, fit, pass);
        // A failure while the consumer is busy is reported when its turn comes, not as an unhandled rejection.
        part.catch(() => undefined);
        queue.push(part);
        started += fit.batch;
      }
    };
    for (start(); queue.length > 0; start()) {
      const batch = await queue.shift();
      if (!batch) continue;
      start();
      yield { ...batch, first };
      first += batch.size;
    }
    if (first === 0)
      throw new UserError('dataset-empty', `None of the ${limit} samples of ${this.dir} can be decoded.`);
  }

  async close(): Promise<void> {
    for (const source of this.#parts.sources.values()) await source.close();
    await this.#parts.targets?.close();
  }

  /** The batch without what cannot be decoded; undefined where nothing is left of it. */
  async #read(
    split: Split,
    indices: readonly number[],
    place: number,
    fit: ModelFit,
    pass: Pass,
  ): Promise<Batch | undefined> {
    try {
      return await this.#readAll(split, indices, place, fit);
    } catch (error) {
      if (!(error instanceof BadSample)) throw error;
      const { files, places } = this.#members[split];
      this.#bad.set(`${files}:${error.index}`, error.message);
      pass.bad.add(error.index);
      const bad = indices.filter((index) => this.#bad.has(`${files}:${places[index]}`));
      if (pass.bad.size > pass.most) {
        const more = pass.bad.size > 1 ? `, as ${pass.bad.size - 1} before it` : '';
        throw new UserError(
          'dataset-sample',
          `${error.message.replace(/\.$/, '')}${more}; that is more than ${(100 * this.#parts.spec.maxBad).toFixed(0)} % of the samples ("maxBad" in dataset.json). Mend or remove the file.`,
          { cause: error },
        );
      }
      const rest = indices.filter((index) => !bad.includes(index));
      return rest.length === 0 ? undefined : this.#read(split, rest, place, fit, pass);
    }
  }

  async #readAll(split: Split, indices: readonly number[], place: number, fit: ModelFit): Promise<Batch> {
    const size = indices.length;
    const { files, places } = this.#members[split];
    const own = indices.map((index) => places[index] ?? 0);
    const rows =
      fit.fixed && size < fit.batch
        ? [...own, ...Array.from({ length: fit.batch - size }, () => own[size - 1] ?? 0)]
        : own;
    const { spec, sources, targets, labels, truths } = this.#parts;
    const isEval = split === 'eval';
    const feeds = await this.#feeds(files, rows, fit);
    const pictured = [...sources.values()].find((source) => source.geometry);
    return {
      feeds,
      labels: isEval && labels ? own.map((index) => labels[index] ?? 0) : undefined,
      targets: isEval && targets ? await targets.read(files, own, targets.dtype) : undefined,
      truths: isEval && truths ? own.map((index) => truths[index]) : undefined,
      geometry: pictured && own.map((index) => pictured.geometry?.(files, index)),
      states: fit.states,
      startsAnew: place === 0 || (spec.restart !== undefined && (indices[0] ?? 0) % spec.restart === 0),
      first: place,
      size,
      indices,
      unbatched: fit.unbatched,
    };
  }

  /** What is fed; read first are the inputs that others are computed from, also where the model itself does not take them. */
  async #feeds(files: Split, rows: readonly number[], fit: ModelFit): Promise<Map<string, Tensor>> {
    const { spec, sources } = this.#parts;
    const feeds = new Map<string, Tensor>();
    const names = [...new Set([...spec.inputs.keys(), ...fit.dtypes.keys()])].filter((name) => !name.includes('*'));
    const described = names.map((name) => [name, inputFor(spec.inputs, name) as InputSpec] as const);
    described.sort(([, a], [, b]) => Number(referenceOf(a) !== undefined) - Number(referenceOf(b) !== undefined));
    for (const [name, input] of described) {
      const source = sources.get(name);
      const like = referenceOf(input);
      const dtype = fit.dtypes.get(name) ?? source?.dtype ?? 'int64';
      if (source) {
        const length = like === undefined ? undefined : feeds.get(like)?.shape[1];
        feeds.set(name, await source.read(files, rows, dtype, length));
      } else if (input.kind === 'derived' && typeof input.rule === 'object' && 'take' in input.rule) {
        const { take } = sources.get(input.from) ?? {};
        if (take) feeds.set(name, await take(input.rule.take, files, rows, dtype));
      } else feeds.set(name, computed(input, like === undefined ? undefined : feeds.get(like), dtype, rows.length));
    }
    for (const name of feeds.keys()) if (!fit.dtypes.has(name)) feeds.delete(name);
    for (const name of fit.single) {
      const tensor = feeds.get(name);
      if (tensor) feeds.set(name, withShape(tensor, tensor.shape.slice(1)));
    }
    return feeds;
  }
}

/** Evaluation and calibration as the files have them, or one set parted by `split`: no sample is in both. */
function partSamples(dir: string, { spec, counts }: Parts): Readonly<Record<Split, Members>> {
  const all = (files: Split): Members => ({ files, places: Array.from({ length: counts[files] }, (_, at) => at) });
  if (!spec.split) return { eval: all('eval'), calibration: all('calibration') };
  if (counts.calibration > 0)
    throw new UserError(
      'dataset-format',
      'dataset.json: "split" parts one set, but an input names files for "calibration" as well.',
    );
  const { calibration, seed } = spec.split;
  const taken = calibration < 1 ? Math.max(1, Math.round(calibration * counts.eval)) : calibration;
  if (taken >= counts.eval)
    throw new UserError(
      'dataset-format',
      `dataset.json: split.calibration takes ${taken} of the ${counts.eval} samples in ${dir}: none is left to evaluate on.`,
    );
  const mixed = shuffled(all('eval').places, seed);
  const sorted = (places: readonly number[]): number[] => [...places].sort((a, b) => a - b);
  return {
    eval: { files: 'eval', places: sorted(mixed.slice(taken)) },
    calibration: { files: 'eval', places: sorted(mixed.slice(0, taken)) },
  };
}

function computed(spec: InputSpec, like: Tensor | undefined, dtype: DType, batch: number): Tensor {
  if (spec.kind === 'constant' || spec.kind === 'state') {
    const shape = 'like' in spec.shape ? (like?.shape ?? []) : spec.shape.map((dim) => (dim === 'batch' ? batch : dim));
    const value = spec.kind === 'constant' ? spec.value : 0;
    return tensorOfNumbers(dtype, shape, new Float64Array(elementCount(shape)).fill(value));
  }
  const shape = like?.shape ?? [];
  const values = new Float64Array(elementCount(shape));
  if (spec.kind === 'derived' && spec.rule === 'positions') {
    const length = shape.at(-1) ?? 1;
    for (let at = 0; at < values.length; at++) values[at] = at % length;
  } else if (spec.kind === 'derived' && typeof spec.rule === 'object' && 'notEqual' in spec.rule && like) {
    const from = numbersOf(like);
    for (let at = 0; at < values.length; at++) values[at] = from[at] === spec.rule.notEqual ? 0 : 1;
  }
  return tensorOfNumbers(dtype, shape, values);
}
