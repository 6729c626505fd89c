import type { Tensor } from '../ir/tensor.ts';
import type { Geometry, MetricContext } from './metrics/metric.ts';
import type { ModelInput } from './model-input.ts';
import type { Split } from './source.ts';
import type { MetricSpec } from './specs.ts';

export type { Split } from './source.ts';

export interface Batch {
  readonly feeds: Map<string, Tensor>;
  /** Class of each sample; only for evaluation samples of data with labels. */
  readonly labels: readonly number[] | undefined;
  /** What the output should equal, one row a sample. */
  readonly targets: Tensor | undefined;
  /** A text or boxes of each sample. */
  readonly truths: readonly unknown[] | undefined;
  /** How each picture was brought to its size, where samples are pictures. */
  readonly geometry: readonly (Geometry | undefined)[] | undefined;
  /**
   * Inputs that should get what the model gave for the batch before, and the outputs that hold it. `feeds` has zeros for them: right for
   * the first batch, and for each that starts anew.
   */
  readonly states: ReadonlyMap<string, string>;
  readonly startsAnew: boolean;
  /** Number of the first sample, counted over the samples given out. */
  readonly first: number;
  /** Samples that count. The feeds hold more where the model's batch is fixed and samples ran out: ignore those rows. */
  readonly size: number;
  /** The one sample is fed without a batch axis, so outputs need not have one either. */
  readonly unbatched?: boolean;
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
  /** Leaves out so many samples at the start (of the shuffled order): parts of one seed do not overlap. */
  readonly skip?: number;
  /** Shuffles by this seed; default the order of the files. Samples that follow each other (states) are never shuffled. */
  readonly seed?: number;
  /** The model's inputs: checked against the data, and its fixed batch and element types are kept. */
  readonly inputs?: readonly ModelInput[];
}

/** Samples that could not be decoded, and were left out. */
export interface BadSamples {
  readonly count: number;
  /** What is wrong with the first few. */
  readonly examples: readonly string[];
}

export interface Dataset {
  readonly dir: string;
  readonly name: string;
  readonly description: string | undefined;
  readonly license: string | undefined;
  /** Model inputs that the data feeds; a name may hold one `*` for many. */
  readonly inputs: readonly string[];
  /** Samples an evaluation takes, and those there are for calibration (0: none). */
  readonly samples: number;
  readonly calibrationSamples: number;
  readonly hasLabels: boolean;
  /** The highest class among the labels, where there are any. */
  readonly highestLabel?: number;
  /** How many classes occur among the labels, where there are any. */
  readonly occurringClasses?: number;
  readonly hasTargets: boolean;
  readonly hasTruths: boolean;
  readonly labelNames: readonly string[] | undefined;
  /** Model output that the metric reads; undefined: its first. */
  readonly output: string | undefined;
  /** Name of the metric. */
  readonly metric: string | undefined;
  readonly metricSpec: MetricSpec | undefined;
  /** What a metric may ask for: files of the folder, names of classes. */
  readonly metricContext: MetricContext;
  readonly batch: number;
  /** The `inputs` section of dataset.json. */
  readonly preprocessing: unknown;
  /** Hashes of what else prepares the samples: tokenizers and image processors, which may stand beside the model. */
  readonly preparation?: readonly string[];
  /** Sentences: what was inferred for want of a dataset.json, and what looks wrong without being an error. */
  readonly notes: readonly string[];
  /** What was left out so far. */
  readonly bad: BadSamples;
  /** File name of a sample, or its number. */
  sampleName(split: Split, index: number): string;
  /** What a sample is made of, over all inputs: equal samples have equal digests. */
  digest(split: Split, index: number): Promise<string>;
  /** What a sample to evaluate on is judged by besides its class: values, texts, boxes. Empty where there is none. */
  truthDigest?(index: number): Promise<string>;
  /**
   * Starts decoding the first samples to evaluate on, as many as a batch or two take. Awaited before a model is opened, which holds the main
   * thread, it lets the decoder work meanwhile.
   */
  prefetch(): Promise<void>;
  /**
   * Streams samples; the next batches are prepared while the current one is used.
   * @throws UserError, see `fitToModel`; and when more samples than `maxBad` allows cannot be decoded
   */
  batches(options?: BatchOptions): AsyncIterable<Batch>;
  close(): Promise<void>;
}
