import { UserError } from '../errors.ts';
import { nearest } from '../messages.ts';
import { Fields, invalid } from './json-fields.ts';
import { parseArray, parseImages, parseInput } from './parse-input.ts';
import type { ImageDefaults } from './processor.ts';
import type { MetricSpec } from './specs.ts';
import {
  type DatasetSpec,
  type InputSpec,
  type LabelSpec,
  referenceOf,
  type SplitSpec,
  type TargetSpec,
  type TruthSpec,
} from './specs.ts';

/**
 * dataset.json, version 1 (`mlpack.dataset/1`): which files feed which model input, how samples are prepared, where
 * the labels are and which metric judges. Read strictly: an unknown key is an error.
 */
export const datasetSchema = 'mlpack.dataset/1';

/** Share of samples that may be unreadable before the set is refused: one damaged file in twenty is no longer an accident. */
export const usualMaxBad = 0.05;

/** @throws UserError naming the first thing wrong. */
export function parseDatasetSpec(text: string, folderName: string, defaults: ImageDefaults = {}): DatasetSpec {
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
  for (const [name, value] of Object.entries(section))
    inputs.set(name, parseInput(value, `inputs["${name}"]`, defaults));
  if (inputs.size === 0) throw invalid('inputs names no model input');
  const spec: DatasetSpec = {
    name: top.text('name') ?? folderName,
    description: top.text('description'),
    license: top.text('license'),
    inputs,
    labels: top.has('labels') ? parseLabels(top.get('labels')) : undefined,
    targets: top.has('targets') ? parseTargets(top.get('targets')) : undefined,
    truths: parseTruths(top),
    output: top.text('output'),
    metric: parseMetric(top.get('metric')),
    batch: top.count('batch') ?? 1,
    samples: top.count('samples'),
    split: parseSplit(top.get('split')),
    maxBad: parseShare(top, 'maxBad') ?? usualMaxBad,
    restart: top.count('restart'),
    preprocessing: resolved(section as Record<string, unknown>, inputs),
  };
  top.done();
  checkReferences(inputs);
  return spec;
}

/** The section with everything that an image processor's file or a default says, for those who repeat the preprocessing. */
function resolved(section: Record<string, unknown>, inputs: ReadonlyMap<string, InputSpec>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(section).map(([name, own]) => {
      const spec = inputs.get(name);
      if (spec?.kind !== 'images') return [name, own];
      const { kind: _, folder: images, calibration, dtype, resize, ...rest } = spec;
      const optional = { ...(calibration !== undefined && { calibration }), ...(dtype && { dtype }) };
      return [name, { images, ...optional, ...(resize !== undefined && { resize }), ...rest }];
    }),
  );
}

function parseTargets(value: unknown): TargetSpec {
  const fields = new Fields(value, 'targets');
  return fields.has('images') ? parseImages(fields, 'targets') : parseArray(fields, 'targets');
}

function parseTruths(top: Fields): TruthSpec | undefined {
  if (top.has('texts') && top.has('boxes'))
    throw invalid('the file has both "texts" and "boxes"; a metric judges by one of them');
  if (top.has('boxes')) return { kind: 'boxes', file: top.requiredText('boxes') };
  if (!top.has('texts')) return undefined;
  const fields = new Fields(top.get('texts'), 'texts');
  const spec = { kind: 'texts', file: fields.requiredText('file'), column: fields.text('column') ?? 'text' } as const;
  fields.done();
  return spec;
}

/** A name, or an object of `name` and settings. */
function parseMetric(value: unknown): MetricSpec | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && value !== '') return { name: value, settings: {} };
  const fields = new Fields(value, 'metric');
  const name = fields.requiredText('name');
  return { name, settings: Object.fromEntries(Object.entries(value as object).filter(([key]) => key !== 'name')) };
}

function parseSplit(value: unknown): SplitSpec | undefined {
  if (value === undefined) return undefined;
  const fields = new Fields(value, 'split');
  const calibration = fields.number('calibration') ?? fields.missing('calibration');
  const seed = fields.count('seed', 0) ?? 0;
  fields.done();
  if (!(calibration > 0) || (calibration >= 1 && !Number.isInteger(calibration)))
    throw invalid('split.calibration must be a number of samples, or a share between 0 and 1');
  return { calibration, seed };
}

function parseShare(fields: Fields, key: string): number | undefined {
  const value = fields.number(key);
  if (value !== undefined && !(value >= 0 && value <= 1)) throw invalid(`${key} must be a share from 0 to 1`);
  return value;
}

function parseLabels(value: unknown): LabelSpec {
  const fields = new Fields(value, 'labels');
  const isFolders = fields.flag('folders');
  const spec = {
    file: isFolders ? undefined : fields.requiredText('file'),
    key: fields.text('key'),
    column: fields.text('column'),
    id: fields.text('id'),
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
