import { UserError } from '../errors.ts';
import type { DType } from '../ir/dtype.ts';
import { nearest } from '../messages.ts';
import { Fields, invalid } from './json-fields.ts';

/**
 * dataset.json, version 1 (`mlpack.dataset/1`): which files feed which model input, how samples are prepared, where
 * the labels are and which metric judges. Read strictly: an unknown key is an error.
 */
export const datasetSchema = 'mlpack.dataset/1';

/** Prepared numbers from a .npy file, one sample a row. Order: rows → shape → layout → trim → cast → x·scale + bias. */
export interface ArraySpec {
  readonly kind: 'array';
  readonly file: string;
  /** Rows for calibration, disjoint from `file`. */
  readonly calibration: string | undefined;
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
  /** 1 where the source differs from this number, else 0 (attention masks); or positions 0, 1, … along the last axis. */
  readonly rule: { readonly notEqual: number } | 'positions';
  readonly dtype: DType | undefined;
}

/** The same number everywhere. */
export interface ConstantSpec {
  readonly kind: 'constant';
  readonly value: number;
  /** Shape of another input of the batch, or a fixed shape. */
  readonly shape: { readonly like: string } | readonly number[];
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
  readonly crop: 'center' | 'none';
  readonly interpolation: 'nearest' | 'bilinear' | 'bicubic' | 'lanczos';
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly scale: number;
  readonly layout: 'NCHW' | 'NHWC';
  readonly channels: 'RGB' | 'BGR' | 'GRAY';
  readonly dtype: DType | undefined;
}

export type InputSpec = ArraySpec | DerivedSpec | ConstantSpec | ImageSpec;

export interface LabelSpec {
  /** .npy of integers, .json array, or .json object from file name to class. */
  readonly file: string;
  /** Added to every label (a background class in front: 1). */
  readonly offset: number;
  readonly names: readonly string[] | undefined;
}

export interface DatasetSpec {
  readonly name: string;
  readonly description: string | undefined;
  readonly license: string | undefined;
  readonly inputs: ReadonlyMap<string, InputSpec>;
  readonly labels: LabelSpec | undefined;
  /** What the output should equal, for metrics of regression and restoration. */
  readonly targets: ArraySpec | undefined;
  readonly output: string | undefined;
  readonly metric: string | undefined;
  readonly batch: number;
  /** How many samples an evaluation takes; default all. */
  readonly samples: number | undefined;
  /** The `inputs` section as written, for bundles that repeat the preprocessing. */
  readonly preprocessing: unknown;
}

/** @throws UserError naming the first thing wrong. */
export function parseDatasetSpec(text: string, folderName: string): DatasetSpec {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UserError('dataset-format', `dataset.json is no valid JSON: ${(error as Error).message}.`, {
      cause: error,
    });
  }
  const top = new Fields(json, 'the file');
  const schema = top.requiredText('schema');
  if (schema !== datasetSchema) throw invalid(`schema is "${schema}"; this version of mlpack reads "${datasetSchema}"`);
  const section = top.get('inputs') ?? top.missing('inputs');
  if (typeof section !== 'object' || section === null || Array.isArray(section))
    throw invalid('inputs must be an object');
  const inputs = new Map<string, InputSpec>();
  for (const [name, value] of Object.entries(section)) inputs.set(name, parseInput(value, `inputs["${name}"]`));
  if (inputs.size === 0) throw invalid('inputs names no model input');
  const spec: DatasetSpec = {
    name: top.text('name') ?? folderName,
    description: top.text('description'),
    license: top.text('license'),
    inputs,
    labels: top.has('labels') ? parseLabels(top.get('labels')) : undefined,
    targets: top.has('targets') ? parseArray(new Fields(top.get('targets'), 'targets'), 'targets') : undefined,
    output: top.text('output'),
    metric: top.text('metric'),
    batch: top.count('batch') ?? 1,
    samples: top.count('samples'),
    preprocessing: section,
  };
  top.done();
  checkReferences(inputs);
  return spec;
}

function parseInput(value: unknown, where: string): InputSpec {
  const fields = new Fields(value, where);
  const kinds = ['file', 'images', 'from', 'constant'].filter((key) => fields.has(key));
  if (kinds.length !== 1) throw invalid(`${where} needs exactly one of "file", "images", "from" and "constant"`);
  switch (kinds[0]) {
    case 'file':
      return parseArray(fields, where);
    case 'images':
      return parseImages(fields, where);
    case 'from':
      return parseDerived(fields, where);
    default:
      return parseConstant(fields, where);
  }
}

function parseArray(fields: Fields, where: string): ArraySpec {
  const spec: ArraySpec = {
    kind: 'array',
    file: fields.requiredText('file'),
    calibration: fields.text('calibration'),
    dtype: fields.dtype(),
    scale: fields.numbers('scale'),
    bias: fields.numbers('bias'),
    axis: fields.count('axis', 0) ?? 1,
    shape: fields.dims('shape'),
    layout: fields.choice('layout', ['NCHW', 'NHWC'], 'NCHW'),
    trim: parseTrim(fields.get('trim'), `${where}.trim`),
    dropBatch: fields.flag('dropBatch'),
  };
  fields.done();
  return spec;
}

function parseTrim(value: unknown, where: string): ArraySpec['trim'] {
  if (value === undefined) return undefined;
  const fields = new Fields(value, where);
  const like = fields.text('like');
  const pad = fields.number('pad');
  fields.done();
  if (like !== undefined && pad === undefined) return { like };
  if (pad !== undefined && like === undefined) return { pad };
  throw invalid(`${where} needs either "pad" or "like"`);
}

function parseDerived(fields: Fields, where: string): DerivedSpec {
  const from = fields.requiredText('from');
  const notEqual = fields.number('notEqual');
  const positions = fields.flag('positions');
  const dtype = fields.numericType();
  fields.done();
  if ((notEqual !== undefined) === positions) throw invalid(`${where} needs either "notEqual" or "positions": true`);
  return { kind: 'derived', from, rule: notEqual === undefined ? 'positions' : { notEqual }, dtype };
}

function parseConstant(fields: Fields, where: string): ConstantSpec {
  const value = fields.number('constant') ?? fields.missing('constant');
  const like = fields.text('like');
  const dims = fields.dims('shape');
  const dtype = fields.numericType();
  fields.done();
  if ((like === undefined) === (dims === undefined)) throw invalid(`${where} needs either "like" or "shape"`);
  return { kind: 'constant', value, shape: like === undefined ? (dims ?? []) : { like }, dtype };
}

function parseImages(fields: Fields, where: string): ImageSpec {
  const channels = fields.choice('channels', ['RGB', 'BGR', 'GRAY'], 'RGB');
  const count = channels === 'GRAY' ? 1 : 3;
  const perChannel = (key: string, fallback: number): number[] => {
    const values = fields.numbers(key) ?? [fallback];
    if (values.length === 1) return Array.from({ length: count }, () => values[0] ?? fallback);
    if (values.length !== count) throw invalid(`${where}.${key} has ${values.length} numbers for ${count} channels`);
    return values;
  };
  const size = fields.dims('size') ?? fields.missing('size');
  if (size.length !== 2 || size.includes(0)) throw invalid(`${where}.size must be [height, width]`);
  const spec: ImageSpec = {
    kind: 'images',
    folder: fields.requiredText('images'),
    calibration: fields.text('calibration'),
    size: [size[0] ?? 0, size[1] ?? 0],
    resize: fields.count('resize'),
    crop: fields.choice('crop', ['center', 'none'], 'center'),
    interpolation: fields.choice('interpolation', ['nearest', 'bilinear', 'bicubic', 'lanczos'], 'bilinear'),
    mean: perChannel('mean', 0),
    std: perChannel('std', 1),
    scale: fields.number('scale') ?? 1,
    layout: fields.choice('layout', ['NCHW', 'NHWC'], 'NCHW'),
    channels,
    dtype: fields.numericType(),
  };
  fields.done();
  if (spec.std.includes(0)) throw invalid(`${where}.std must not be 0`);
  return spec;
}

function parseLabels(value: unknown): LabelSpec {
  const fields = new Fields(value, 'labels');
  const spec = {
    file: fields.requiredText('file'),
    offset: fields.number('offset') ?? 0,
    names: fields.texts('names'),
  };
  fields.done();
  return spec;
}

/** `from`, `like` must name inputs that are read from files: references to references would need an order. */
function checkReferences(inputs: ReadonlyMap<string, InputSpec>): void {
  for (const [name, spec] of inputs) {
    const source = referenceOf(spec);
    if (source === undefined) continue;
    const target = inputs.get(source);
    if (!target)
      throw invalid(
        `inputs["${name}"] refers to "${source}", which is no input here${nearest(source, [...inputs.keys()])}`,
      );
    if (referenceOf(target) !== undefined)
      throw invalid(`inputs["${name}"] refers to "${source}", which itself refers to another input`);
  }
}

/** The input that this one is computed from. */
export function referenceOf(spec: InputSpec): string | undefined {
  if (spec.kind === 'derived') return spec.from;
  if (spec.kind === 'constant') return 'like' in spec.shape ? spec.shape.like : undefined;
  if (spec.kind === 'array' && spec.trim && 'like' in spec.trim) return spec.trim.like;
  return undefined;
}
