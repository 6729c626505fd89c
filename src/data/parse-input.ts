import { Fields, invalid } from './json-fields.ts';
import type { ImageDefaults } from './processor.ts';
import type {
  ArraySpec,
  AudioSpec,
  ConstantSpec,
  DerivedSpec,
  ImageSpec,
  InputSpec,
  StateSpec,
  TextSpec,
} from './specs.ts';

/** The section of one input. @throws UserError naming the first thing wrong */
export function parseInput(value: unknown, where: string, defaults: ImageDefaults): InputSpec {
  const fields = new Fields(value, where);
  const kinds = ['file', 'images', 'text', 'audio', 'from', 'constant', 'state'].filter((key) => fields.has(key));
  if (kinds.length !== 1)
    throw invalid(`${where} needs exactly one of "file", "images", "text", "audio", "from", "constant" and "state"`);
  switch (kinds[0]) {
    case 'file':
      return parseArray(fields, where);
    case 'images':
      return parseImages(fields, where, defaults);
    case 'text':
      return parseText(fields);
    case 'audio':
      return parseAudio(fields);
    case 'state':
      return parseState(fields);
    case 'from':
      return parseDerived(fields, where);
    default:
      return parseConstant(fields, where);
  }
}

export function parseArray(fields: Fields, where: string): ArraySpec {
  const spec: ArraySpec = {
    kind: 'array',
    file: fields.requiredText('file'),
    calibration: fields.text('calibration'),
    key: fields.text('key'),
    columns: fields.texts('columns'),
    stored: fields.dtype('stored'),
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
  const take = fields.text('take');
  const dtype = fields.numericType();
  fields.done();
  if ([notEqual !== undefined, positions, take !== undefined].filter(Boolean).length !== 1)
    throw invalid(`${where} needs exactly one of "notEqual", "positions": true and "take"`);
  const rule = take === undefined ? (notEqual === undefined ? ('positions' as const) : { notEqual }) : { take };
  return { kind: 'derived', from, rule, dtype };
}

function parseConstant(fields: Fields, where: string): ConstantSpec {
  const value = fields.number('constant') ?? fields.missing('constant');
  const like = fields.text('like');
  const dims = fields.batchDims('shape');
  const dtype = fields.numericType();
  fields.done();
  if ((like === undefined) === (dims === undefined)) throw invalid(`${where} needs either "like" or "shape"`);
  return { kind: 'constant', value, shape: like === undefined ? (dims ?? []) : { like }, dtype };
}

/** @param defaults of the image processor beside the data or the model: what the section does not say */
export function parseImages(fields: Fields, where: string, defaults: ImageDefaults = {}): ImageSpec {
  const channels = fields.choice('channels', ['RGB', 'BGR', 'GRAY'], 'RGB');
  const count = channels === 'GRAY' ? 1 : 3;
  // Numbers that belong together come from one place.
  const isScaled = ['mean', 'std', 'scale'].some((key) => fields.has(key));
  const isSized = ['size', 'resize', 'crop'].some((key) => fields.has(key));
  const numbers = isScaled ? {} : defaults;
  const sizes = isSized ? {} : defaults;
  const perChannel = (key: 'mean' | 'std', fallback: number): readonly number[] => {
    const values = fields.numbers(key) ?? numbers[key] ?? [fallback];
    if (values.length === 1) return Array.from({ length: count }, () => values[0] ?? fallback);
    if (values.length !== count) throw invalid(`${where}.${key} has ${values.length} numbers for ${count} channels`);
    // Image processors say what belongs to red first, whatever is fed first.
    return fields.has(key) || channels !== 'BGR' ? values : values.toReversed();
  };
  const size = fields.dims('size') ?? sizes.size ?? fields.missing('size');
  if (size.length !== 2 || size.includes(0)) throw invalid(`${where}.size must be [height, width]`);
  const spec: ImageSpec = {
    kind: 'images',
    folder: fields.requiredText('images'),
    calibration: fields.text('calibration'),
    size: [size[0] ?? 0, size[1] ?? 0],
    resize: fields.count('resize') ?? sizes.resize,
    crop: fields.choice('crop', ['center', 'none', 'letterbox'], sizes.crop ?? 'center'),
    pad: fields.number('pad') ?? sizes.pad ?? 114,
    anchor: fields.choice('anchor', ['center', 'corner'], 'center'),
    interpolation: fields.choice(
      'interpolation',
      ['nearest', 'bilinear', 'bicubic', 'lanczos'],
      defaults.interpolation ?? 'bilinear',
    ),
    mean: perChannel('mean', 0),
    std: perChannel('std', 1),
    scale: fields.number('scale') ?? numbers.scale ?? 1,
    layout: fields.choice('layout', ['NCHW', 'NHWC'], 'NCHW'),
    channels,
    dtype: fields.numericType(),
  };
  fields.done();
  if (spec.std.includes(0)) throw invalid(`${where}.std must not be 0`);
  return spec;
}

function parseState(fields: Fields): StateSpec {
  const spec: StateSpec = {
    kind: 'state',
    output: fields.requiredText('state'),
    shape: fields.batchDims('shape') ?? fields.missing('shape'),
    dtype: fields.numericType(),
  };
  fields.done();
  return spec;
}

function parseText(fields: Fields): TextSpec {
  const spec: TextSpec = {
    kind: 'text',
    file: fields.requiredText('text'),
    calibration: fields.text('calibration'),
    column: fields.text('column') ?? 'text',
    pair: fields.text('pair'),
    encode: fields.choice('encode', ['together', 'separately'], 'together'),
    tokenizer: fields.text('tokenizer'),
    maxLength: fields.count('maxLength'),
    padding: fields.choice('padding', ['longest', 'max'], 'longest'),
    dtype: fields.numericType(),
  };
  fields.done();
  return spec;
}

function parseAudio(fields: Fields): AudioSpec {
  const spec: AudioSpec = {
    kind: 'audio',
    source: fields.requiredText('audio'),
    calibration: fields.text('calibration'),
    column: fields.text('column') ?? 'file',
    sampleRate: fields.count('sampleRate') ?? 16_000,
    length: fields.count('length'),
    features: fields.text('features'),
    dtype: fields.numericType(),
  };
  fields.done();
  return spec;
}
