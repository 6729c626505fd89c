import { readdir } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import type { ArraySpec, DatasetSpec } from './dataset-format.ts';
import type { ModelInput } from './model-input.ts';

const labelFile = /^(y|labels?|targets?)([._-].*)?\.npy$/i;
const calibrationFile = /(^|[._-])(calib|calibration|train)([._-]|\.npy$)/i;

/**
 * A description made up from file names, for folders without dataset.json: `<input>.npy` or `<input>_test.npy` feeds
 * that input, for a single input `x*.npy` does too; `*calib*.npy` calibrates; `y*.npy` or `labels.npy` are the classes.
 * @param notes gets a sentence for each thing inferred.
 * @throws UserError when the files do not tell.
 */
export async function inferSpec(
  dir: string,
  inputs: readonly ModelInput[] | undefined,
  notes: string[],
): Promise<DatasetSpec> {
  const files = await listFiles(dir);
  const arrays = files.filter((file) => file.endsWith('.npy'));
  const help = 'Write a dataset.json that says which file feeds which input.';
  if (!inputs) throw new UserError('dataset-open', `${dir} has no dataset.json. ${help}`);
  const labels = arrays.filter((file) => labelFile.test(file) && !calibrationFile.test(file));
  const samples = arrays.filter((file) => !labelFile.test(file));
  const specs = new Map<string, ArraySpec>();
  for (const input of inputs) {
    const mine = samples.filter((file) => belongsTo(file, input.name));
    const candidates = mine.length > 0 ? mine : inputs.length === 1 ? samples : [];
    const evaluation = candidates.filter((file) => !calibrationFile.test(file));
    const calibration = candidates.find((file) => calibrationFile.test(file));
    if (evaluation.length !== 1) {
      const found = evaluation.length === 0 ? 'no file' : `several files (${evaluation.join(', ')})`;
      throw new UserError(
        'dataset-open',
        `${dir} has no dataset.json, and ${found} in it could feed the model's input "${input.name}". ${help}`,
      );
    }
    const file = evaluation[0] ?? '';
    specs.set(input.name, plainArray(file, calibration));
    notes.push(
      `Without a dataset.json: ${file} feeds "${input.name}" as it is${calibration ? `, ${calibration} calibrates it` : ''}.`,
    );
  }
  if (labels.length > 1)
    throw new UserError(
      'dataset-open',
      `${dir} has no dataset.json, and several files could be the labels (${labels.join(', ')}). ${help}`,
    );
  const [label] = labels;
  if (label !== undefined) notes.push(`Without a dataset.json: ${label} gives the classes, judged by top1.`);
  return {
    name: basename(resolve(dir)),
    description: undefined,
    license: undefined,
    inputs: specs,
    labels: label === undefined ? undefined : { file: label, offset: 0, names: undefined },
    targets: undefined,
    output: undefined,
    metric: label === undefined ? undefined : 'top1',
    batch: 32,
    samples: undefined,
    preprocessing: undefined,
  };
}

async function listFiles(dir: string): Promise<string[]> {
  try {
    return (await readdir(dir)).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT'
        ? 'there is no such folder'
        : code === 'ENOTDIR'
          ? 'it is no folder'
          : `it cannot be read (${code})`;
    throw new UserError('dataset-open', `Cannot read the data in ${dir}: ${why}.`, { cause: error });
  }
}

/** `input_ids.npy`, `input_ids_test.npy`, `input_ids.calib.npy` belong to `input_ids`. */
function belongsTo(file: string, input: string): boolean {
  const safe = input.replaceAll(/[^\w.-]/g, '_');
  return (
    file === `${safe}.npy` ||
    (file.startsWith(safe) && /^[._-](test|eval|val|calib|calibration|train)\.npy$/i.test(file.slice(safe.length)))
  );
}

function plainArray(file: string, calibration: string | undefined): ArraySpec {
  return {
    kind: 'array',
    file,
    calibration,
    dtype: undefined,
    scale: undefined,
    bias: undefined,
    axis: 1,
    shape: undefined,
    layout: 'NCHW',
    trim: undefined,
    dropBatch: false,
  };
}
