import { readFile } from 'node:fs/promises';
import { UserError } from '../errors.ts';
import { toNumbers } from '../ir/tensor.ts';
import type { LabelSpec } from './dataset-format.ts';
import { openNpy } from './npy.ts';

/**
 * Class of every evaluation sample, offset added.
 * @param fileNames names of the samples, where they are files: needed for labels given by file name.
 * @throws UserError when labels are missing, not whole numbers, out of range, or not as many as samples.
 */
export async function readLabels(
  spec: LabelSpec,
  path: string,
  samples: number,
  fileNames: readonly string[] | undefined,
): Promise<number[]> {
  const raw = path.endsWith('.json') ? await readJson(path, fileNames) : await readNpy(path);
  if (raw.length !== samples) {
    throw new UserError(
      'dataset-labels',
      `${path} has ${raw.length} labels for ${samples} samples; each sample needs exactly one.`,
    );
  }
  const classes = spec.names?.length ?? Number.POSITIVE_INFINITY;
  return raw.map((label, index) => {
    const shifted = label + spec.offset;
    if (Number.isSafeInteger(shifted) && shifted >= 0 && shifted < classes) return shifted;
    const range = Number.isFinite(classes)
      ? `0 to ${classes - 1}, the ${classes} names of "labels"`
      : 'whole numbers from 0';
    throw new UserError(
      'dataset-labels',
      `${path}: the label of sample ${index} is ${Number.isNaN(shifted) ? 'no number' : shifted}; allowed are ${range}.`,
    );
  });
}

async function readNpy(path: string): Promise<number[]> {
  const file = await openNpy(path);
  try {
    const count = file.shape[0] ?? 0;
    if (file.shape.slice(1).some((dim) => dim !== 1)) {
      throw new UserError(
        'dataset-labels',
        `${path} is of shape [${file.shape.join(', ')}]; labels are one number a sample. (Values to predict go under "targets".)`,
      );
    }
    const numbers = toNumbers(await file.rows(0, count));
    if (!numbers)
      throw new UserError('dataset-labels', `${path} is of type ${file.dtype}; labels must be whole numbers.`);
    return numbers;
  } finally {
    await file.close();
  }
}

async function readJson(path: string, fileNames: readonly string[] | undefined): Promise<number[]> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new UserError('dataset-labels', `${path} cannot be read as JSON: ${(error as Error).message}.`, {
      cause: error,
    });
  }
  // What is no number becomes NaN, which is refused with its place: Number() would make a class 0 of null.
  if (Array.isArray(json)) return json.map((label) => (typeof label === 'number' ? label : Number.NaN));
  if (typeof json !== 'object' || json === null)
    throw new UserError('dataset-labels', `${path} must hold an array of labels or an object from file name to label.`);
  if (!fileNames)
    throw new UserError(
      'dataset-labels',
      `${path} gives labels by file name, but the samples are no files; give an array instead.`,
    );
  const byName = json as Readonly<Record<string, unknown>>;
  return fileNames.map((name) => {
    const label = byName[name];
    if (typeof label !== 'number')
      throw new UserError('dataset-labels', `${path} has no label for the picture ${name}.`);
    return label;
  });
}
