import { UserError } from '../errors.ts';
import { type DType, dtypeKind, isDType } from '../ir/dtype.ts';
import { nearest } from '../messages.ts';
import { isCastable } from './cast.ts';
import type { ModelInput } from './model-input.ts';
import type { Source } from './source.ts';
import { type DatasetSpec, type InputSpec, inputFor, referenceOf } from './specs.ts';

/** How the data is fed to one model. */
export interface ModelFit {
  readonly batch: number;
  /** True when the model has the batch size written into its input shapes. */
  readonly fixed: boolean;
  /** Samples are fed one by one, without a batch axis. */
  readonly unbatched: boolean;
  /** Inputs whose samples come with such an axis, which is taken off: detectors of torchvision take one picture [3, height, width]. */
  readonly single: ReadonlySet<string>;
  /** Inputs to feed, with the element type to feed. */
  readonly dtypes: ReadonlyMap<string, DType>;
  /** Inputs that get an output of the run before, and which. */
  readonly states: ReadonlyMap<string, string>;
}

/**
 * Checks the data against the model's inputs.
 * @throws UserError naming the input and both shapes (or types) when they do not fit, when the model has an input that
 * the data does not feed, or when the data feeds none of the model's inputs.
 */
export function fitToModel(
  dir: string,
  spec: DatasetSpec,
  sources: ReadonlyMap<string, Source>,
  inputs: readonly ModelInput[] | undefined,
  batch: number | undefined,
): ModelFit {
  const dtypes = new Map<string, DType>();
  if (!inputs) {
    for (const [name, input] of spec.inputs)
      if (!name.includes('*')) dtypes.set(name, sources.get(name)?.dtype ?? declared(input) ?? 'int64');
  }
  const states = new Map<string, string>();
  const single = new Set<string>();
  let fixed: { name: string; batch: number } | undefined;
  for (const model of inputs ?? []) {
    const input = inputFor(spec.inputs, model.name);
    if (!input) {
      const hint = nearest(model.name, [...spec.inputs.keys()]);
      throw new UserError(
        'dataset-input',
        `The model has an input "${model.name}" that ${dir} does not feed${hint}; add it to "inputs" in dataset.json.`,
      );
    }
    if (input.kind === 'state') states.set(model.name, input.output);
    const source = sources.get(model.name);
    const data = source?.dtype ?? declared(input);
    dtypes.set(model.name, fedType(dir, model, { data, stored: input.kind === 'array', source }));
    const shape = source?.shape ?? fixedShape(input);
    if (source && isSingle(model.shape, source.shape)) {
      single.add(model.name);
      continue;
    }
    if (shape) checkShape(dir, model, shape, source !== undefined);
    const rows = model.shape?.[0];
    if (
      source?.shape[0] === null &&
      shape?.length === model.shape?.length &&
      typeof rows === 'number' &&
      !unbatched(input)
    ) {
      if (fixed && fixed.batch !== rows) {
        throw new UserError(
          'dataset-batch',
          `The model fixes ${fixed.batch} samples for "${fixed.name}", but ${rows} for "${model.name}".`,
        );
      }
      fixed = { name: model.name, batch: rows };
    }
  }
  const common = { dtypes, states, single };
  if (single.size > 0 || [...spec.inputs.values()].some(unbatched))
    return { ...common, batch: 1, fixed: true, unbatched: true };
  // What comes next depends on what came before: one by one.
  if (states.size > 0) return { ...common, batch: fixed?.batch ?? 1, fixed: true, unbatched: false };
  return { ...common, batch: fixed?.batch ?? batch ?? spec.batch, fixed: fixed !== undefined, unbatched: false };
}

/** Whether a model takes one sample, its first dimension being no batch: a number, and that of the samples. */
function isSingle(model: ModelInput['shape'], samples: readonly (number | null)[]): boolean {
  if (model?.length !== samples.length - 1 || samples[0] !== null || typeof model[0] !== 'number') return false;
  return model[0] === samples[1] && fitsShape(model, samples.slice(1));
}

const fitsShape = (model: NonNullable<ModelInput['shape']>, samples: readonly (number | null)[]): boolean =>
  model.length === samples.length &&
  model.every((dim, axis) => typeof dim !== 'number' || samples[axis] === null || samples[axis] === dim);

/** Shape of what is not read from files, the batch open. */
function fixedShape(input: InputSpec): (number | null)[] | undefined {
  if ((input.kind !== 'constant' && input.kind !== 'state') || 'like' in input.shape) return undefined;
  return input.shape.map((dim) => (dim === 'batch' ? null : dim));
}

function unbatched(input: InputSpec): boolean {
  return input.kind === 'array' && input.dropBatch;
}

function declared(input: InputSpec): DType | undefined {
  return input.dtype ?? (referenceOf(input) === undefined ? undefined : 'int64');
}

/**
 * The model's own type, when the data's type can be turned into it without changing its kind.
 * @param stored the data comes from a file as it is; everything else is made from numbers.
 */
function fedType(
  dir: string,
  model: ModelInput,
  { data, stored, source }: { data: DType | undefined; stored: boolean; source: Source | undefined },
): DType {
  if (!isDType(model.dtype))
    throw new UserError(
      'dataset-dtype',
      `The model's input "${model.name}" is no tensor: it cannot be fed from ${dir}.`,
    );
  const wanted = model.dtype;
  if (stored ? data === undefined || data === wanted : isCastable(wanted) && data === undefined) return wanted;
  const isReal = (dtype: DType): boolean => dtypeKind(dtype) === 'float';
  if (data && isCastable(data) && isCastable(wanted) && (isReal(wanted) || !isReal(data))) return wanted;
  throw new UserError(
    'dataset-dtype',
    `The model's input "${model.name}" is ${wanted}, but ${dir} gives ${data ?? 'numbers'}.${adviceOn(model, data, source)}`,
  );
}

/** Columns of a table are read as float64 where they look like numbers, whatever is in them. */
function adviceOn({ name, dtype }: ModelInput, data: DType | undefined, source: Source | undefined): string {
  if (source?.notNumbers !== undefined) return ` ${source.notNumbers}.`;
  if (dtype === 'string' && data !== undefined)
    return ` If these are texts (postal codes), say "dtype": "string" for "${name}" in dataset.json.`;
  if (data === undefined || dtypeKind(data) !== 'float' || !isDType(dtype) || !isCastable(dtype)) return '';
  return ` If these are whole numbers, say "dtype": "${dtype}" for "${name}" in dataset.json.`;
}

function checkShape(dir: string, model: ModelInput, shape: readonly (number | null)[], isRead: boolean): void {
  // Without dimensions the runtime says "scalar or unknown": nothing to check.
  if (!model.shape || model.shape.length === 0 || fitsShape(model.shape, shape)) return;
  const hint =
    isRead && shape[0] === null && fitsShape(model.shape, shape.slice(1))
      ? '"dropBatch": true in dataset.json feeds them one by one, without the axis of the batch.'
      : '"shape", "layout" and "size" in dataset.json say how samples are turned.';
  throw new UserError(
    'dataset-shape',
    `Input "${model.name}": the model takes [${show(model.shape)}], but the samples of ${dir} make [${show(shape)}]. ${hint}`,
  );
}

function show(shape: readonly (number | string | null)[]): string {
  return shape.map((dim) => dim ?? '?').join(', ');
}
