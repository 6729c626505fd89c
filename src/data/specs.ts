import type { DType } from '../ir/dtype.ts';

/** Prepared numbers from a file, one sample a row. Order: rows → shape → layout → trim → cast → x·scale + bias. */
export interface ArraySpec {
  readonly kind: 'array';
  readonly file: string;
  /** Rows for calibration, disjoint from `file`. */
  readonly calibration: string | undefined;
  /** Array in an archive; columns of a table. */
  readonly key: string | undefined;
  readonly columns: readonly string[] | undefined;
  /** Type of the numbers in a file without header. */
  readonly stored: DType | undefined;
  readonly dtype: DType | undefined;
  readonly scale: readonly number[] | undefined;
  readonly bias: readonly number[] | undefined;
  /** Axis of the fed tensor (batch counts) along which several scales and biases run. */
  readonly axis: number;
  /** Shape of one sample, when the file stores it otherwise. */
  readonly shape: readonly number[] | undefined;
  /** Layout in the file; `NHWC` samples are transposed to NCHW. */
  readonly layout: 'NCHW' | 'NHWC';
  /** Cuts trailing padding to the longest sample of the batch, or to the length that another input was cut to. */
  readonly trim: { readonly pad: number } | { readonly like: string } | undefined;
  /** Rows are fed as they are, without a batch axis. */
  readonly dropBatch: boolean;
}

/** Computed from another input. */
export interface DerivedSpec {
  readonly kind: 'derived';
  readonly from: string;
  /**
   * 1 where the source differs from this number, else 0 (attention masks); positions 0, 1, … along the last axis; or another product
   * of the same source: `attention_mask`, `token_type_ids`.
   */
  readonly rule: { readonly notEqual: number } | 'positions' | { readonly take: string };
  readonly dtype: DType | undefined;
}

/** The same number everywhere. */
export interface ConstantSpec {
  readonly kind: 'constant';
  readonly value: number;
  /** Shape of another input of the batch, or a fixed shape in which `batch` stands for the samples of the batch. */
  readonly shape: { readonly like: string } | readonly (number | 'batch')[];
  readonly dtype: DType | undefined;
}

/** What the model gave for the sample before: zeros at first, then the output named. Samples are then fed one by one, in order. */
export interface StateSpec {
  readonly kind: 'state';
  readonly output: string;
  readonly shape: readonly (number | 'batch')[];
  readonly dtype: DType | undefined;
}

/** Decoded pictures: (pixel − mean) · scale / std, pixels 0…255. */
export interface ImageSpec {
  readonly kind: 'images';
  readonly folder: string;
  readonly calibration: string | undefined;
  /** Height, width of the fed picture. */
  readonly size: readonly [number, number];
  /** The shorter side is brought to this first; default: straight to `size`. */
  readonly resize: number | undefined;
  /** `letterbox`: the whole picture, its sides in proportion, on a ground of `pad`. */
  readonly crop: 'center' | 'none' | 'letterbox';
  /** Value of the ground (0…255), and whether the picture lies in the middle of it. */
  readonly pad: number;
  readonly anchor: 'center' | 'corner';
  readonly interpolation: 'nearest' | 'bilinear' | 'bicubic' | 'lanczos';
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly scale: number;
  readonly layout: 'NCHW' | 'NHWC';
  readonly channels: 'RGB' | 'BGR' | 'GRAY';
  readonly dtype: DType | undefined;
}

/** Texts as tokens. */
export interface TextSpec {
  readonly kind: 'text';
  readonly file: string;
  readonly calibration: string | undefined;
  readonly column: string;
  /** Column of a second text. */
  readonly pair: string | undefined;
  /** Both texts in one row, or the second texts as rows of their own behind the first ones. */
  readonly encode: 'together' | 'separately';
  /** Folder with tokenizer.json and tokenizer_config.json; default: the data's own, else the model's. */
  readonly tokenizer: string | undefined;
  readonly maxLength: number | undefined;
  readonly padding: 'longest' | 'max';
  readonly dtype: DType | undefined;
}

/** Sounds: the waveform, −1…1, or what a feature extractor makes of it. */
export interface AudioSpec {
  readonly kind: 'audio';
  /** A folder of .wav files, or a table whose `column` names them. */
  readonly source: string;
  readonly calibration: string | undefined;
  readonly column: string;
  readonly sampleRate: number;
  /** Every sound is cut or padded with zeros to so many values; default: the longest of the batch. */
  readonly length: number | undefined;
  /** Folder with the preprocessor_config.json of a Hugging Face feature extractor. */
  readonly features: string | undefined;
  readonly dtype: DType | undefined;
}

export type InputSpec = ArraySpec | DerivedSpec | ConstantSpec | StateSpec | ImageSpec | TextSpec | AudioSpec;

/** A class of each sample: from a file, or from the folder that the sample lies in. */
export interface LabelSpec {
  /** .npy of integers, .json array, .json object from file name to class, or a table; undefined: names of folders. */
  readonly file: string | undefined;
  readonly key: string | undefined;
  readonly column: string | undefined;
  /** Column of a table that names the file which the label belongs to. */
  readonly id: string | undefined;
  /** Added to every label (a background class in front: 1). */
  readonly offset: number;
  readonly names: readonly string[] | undefined;
}

/** One truth a sample that is neither a class nor a tensor. */
export type TruthSpec =
  | { readonly kind: 'texts'; readonly file: string; readonly column: string }
  | { readonly kind: 'boxes'; readonly file: string };

/** What an output should equal: numbers, or pictures prepared like inputs. */
export type TargetSpec = ArraySpec | ImageSpec;

export interface SplitSpec {
  /** Samples that go to calibration: a number, or a share below 1. */
  readonly calibration: number;
  readonly seed: number;
}

/** A metric by its name, with settings as dataset.json has them: `{ "name": "f1", "average": "micro" }`. */
export interface MetricSpec {
  readonly name: string;
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface DatasetSpec {
  readonly name: string;
  readonly description: string | undefined;
  readonly license: string | undefined;
  readonly inputs: ReadonlyMap<string, InputSpec>;
  readonly labels: LabelSpec | undefined;
  readonly targets: TargetSpec | undefined;
  readonly truths: TruthSpec | undefined;
  readonly output: string | undefined;
  readonly metric: MetricSpec | undefined;
  readonly batch: number;
  /** How many samples an evaluation takes; default all. */
  readonly samples: number | undefined;
  /** One set of files, parted. */
  readonly split: SplitSpec | undefined;
  /** Share of samples that may be unreadable. */
  readonly maxBad: number;
  /** States start anew every so many samples. */
  readonly restart: number | undefined;
  /** The `inputs` section as written, for bundles that repeat the preprocessing. */
  readonly preprocessing: unknown;
}

/** The input that this one is computed from. */
export function referenceOf(spec: InputSpec): string | undefined {
  if (spec.kind === 'derived') return spec.from;
  if (spec.kind === 'constant') return 'like' in spec.shape ? spec.shape.like : undefined;
  if (spec.kind === 'array' && spec.trim && 'like' in spec.trim) return spec.trim.like;
  return undefined;
}

/**
 * The description of a model's input: under its own name, or under a pattern in which one `*` stands for anything
 * (`past_key_values.*`). What the star stood for fills the star of a state's output.
 */
export function inputFor(inputs: ReadonlyMap<string, InputSpec>, name: string): InputSpec | undefined {
  const own = inputs.get(name);
  if (own) return own;
  for (const [pattern, spec] of inputs) {
    const [head, tail, more] = pattern.split('*');
    if (head === undefined || tail === undefined || more !== undefined) continue;
    if (name.length < head.length + tail.length || !name.startsWith(head) || !name.endsWith(tail)) continue;
    const star = name.slice(head.length, name.length - tail.length);
    return spec.kind === 'state' ? { ...spec, output: spec.output.replace('*', star) } : spec;
  }
  return undefined;
}
