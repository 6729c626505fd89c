import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { usualMaxBad } from './dataset-format.ts';
import { imageEndings, listFiles as listImages } from './image-source.ts';
import { inferColumns, tableEnding } from './infer-columns.ts';
import { calibrationFile, help, type InferContext, type Inferred, noLabels } from './inferred.ts';
import { Fields } from './json-fields.ts';
import type { ModelInput } from './model-input.ts';
import { parseImages, parseInput } from './parse-input.ts';
import type { DatasetSpec, InputSpec } from './specs.ts';
import { textFields } from './text-source.ts';

const labelFile = /^(y|labels?|targets?)([._-].*)?\.npy$/i;

/**
 * A description made up from file names, for folders without dataset.json: `<input>.npy` or `<input>_test.npy` feeds
 * that input, for a single input `x*.npy` does too; `*calib*.npy` calibrates; `y*.npy` or `labels.npy` are the classes. A model with one input
 * of four axes is fed the pictures of the folder, folders being classes; one with `input_ids` the texts of a table or of a .txt file; columns of a
 * table that are named like the inputs feed them.
 * @throws UserError when the files do not tell.
 */
export async function inferSpec(
  dir: string,
  inputs: readonly ModelInput[] | undefined,
  context: InferContext,
): Promise<DatasetSpec> {
  const files = await listFiles(dir);
  try {
    return await inferFrom(dir, files, inputs, context);
  } catch (error) {
    const inside = error instanceof UserError ? await describedFolder(dir, files) : undefined;
    if (inside === undefined) throw error;
    throw new UserError(
      'dataset-open',
      `${dir} has no dataset.json, and its files do not tell what feeds what; ${inside} has one: give that folder.`,
      { cause: error },
    );
  }
}

/** The folder right below that has a dataset.json: mostly the one that was meant. */
async function describedFolder(dir: string, files: readonly string[]): Promise<string | undefined> {
  for (const name of files) {
    // Files, links to nowhere, what may not be read: none of them was meant.
    const below: string[] = await readdir(join(dir, name)).catch(() => []);
    if (below.includes('dataset.json')) return join(dir, name);
  }
  return undefined;
}

async function inferFrom(
  dir: string,
  files: readonly string[],
  inputs: readonly ModelInput[] | undefined,
  context: InferContext,
): Promise<DatasetSpec> {
  if (!inputs) throw new UserError('dataset-open', `${dir} has no dataset.json. ${help}`);
  const { labels, ...inferred } =
    (await inferPictures(dir, inputs, context)) ??
    inferTexts(files, inputs, context) ??
    (await inferColumns(dir, files, inputs, context)) ??
    inferArrays(dir, files, inputs, context);
  return {
    name: basename(resolve(dir)),
    description: undefined,
    license: undefined,
    labels,
    targets: undefined,
    truths: undefined,
    output: undefined,
    metric: labels ? { name: 'top1', settings: {} } : inferred.targets && { name: 'rmse', settings: {} },
    batch: 32,
    samples: undefined,
    split: undefined,
    maxBad: usualMaxBad,
    restart: undefined,
    preprocessing: undefined,
    ...inferred,
  };
}

/**
 * Pictures in one inference: as quick as 30 on two cores (300 pictures of 160 × 160: 0.69 s against 0.66 s), and the first batch, which nothing
 * overlaps with, is decoded in a quarter of the time.
 */
const picturesAtOnce = 8;

/** Pictures for a model with one input of four axes, of which one counts 1 or 3 channels, or of three: one picture at a time. */
async function inferPictures(
  dir: string,
  inputs: readonly ModelInput[],
  { notes, image }: InferContext,
): Promise<Inferred | undefined> {
  const [input] = inputs;
  if (!input || inputs.length !== 1) return undefined;
  const isOne = input.shape?.length === 3 && (input.shape[0] === 3 || input.shape[0] === 1);
  if (input.shape?.length !== 4 && !isOne) return undefined;
  const found = await listImages(dir, imageEndings, 'The folder');
  if (found.length === 0) return undefined;
  const isCalibration = (file: string): boolean => /^(calib|calibration|train)\//i.test(file);
  const calibration = found.find(isCalibration)?.split('/')[0];
  const rest = found.filter((file) => !isCalibration(file));
  if (rest.length === 0) return undefined;
  // One folder around everything (`images/`, `val/`) names no class.
  const tops = new Set(rest.map((file) => (file.includes('/') ? (file.split('/')[0] ?? '') : '')));
  const [only = ''] = tops;
  const base = tops.size === 1 && only !== '' ? only : '.';
  if (base === '.' && calibration !== undefined)
    throw new UserError(
      'dataset-open',
      `${dir} has no dataset.json, and pictures stand beside the folder "${calibration}"; put those to evaluate on into a folder of their own. ${help}`,
    );
  const inner = rest.map((file) => (base === '.' ? file : file.slice(base.length + 1)));
  const hasClasses =
    inner.every((file) => file.includes('/')) && new Set(inner.map((file) => file.split('/')[0])).size > 1;
  const [a, b, c] = input.shape.slice(-3);
  const layout = (c === 3 || c === 1) && a !== 3 && a !== 1 ? 'NHWC' : 'NCHW';
  const [channels, height, width] = layout === 'NCHW' ? [a, b, c] : [c, a, b];
  const isFixed = typeof height === 'number' && typeof width === 'number';
  const section = {
    images: base,
    ...(calibration !== undefined && { calibration }),
    ...(isFixed && (image?.size?.[0] !== height || image.size[1] !== width) && { size: [height, width] }),
    ...(image === undefined && { scale: 1 / 255 }),
    ...(channels === 1 && { channels: 'GRAY' }),
    layout,
  };
  if (!isFixed && image?.size === undefined)
    throw new UserError(
      'dataset-open',
      `${dir} has no dataset.json, and the model leaves open of which size its pictures are. ${help}`,
    );
  const spec = parseImages(new Fields(section, `inputs["${input.name}"]`), `inputs["${input.name}"]`, image);
  notes.push(
    `Without a dataset.json: the ${inner.length} pictures of ${base === '.' ? 'the folder' : `${base}/`} feed "${input.name}"${image ? '' : ', pixels as 0…1 (no mean, no deviation)'}.`,
  );
  if (hasClasses)
    notes.push(
      'Without a dataset.json: each folder is a class, numbered in the order of the alphabet unless a config.json names it, judged by top1.',
    );
  return {
    inputs: new Map([[input.name, spec]]),
    labels: hasClasses ? { ...noLabels, file: undefined } : undefined,
    preprocessing: { [input.name]: section },
    batch: picturesAtOnce,
  };
}

/** Texts for a model of token ids. */
function inferTexts(
  files: readonly string[],
  inputs: readonly ModelInput[],
  { notes }: InferContext,
): Inferred | undefined {
  if (!inputs.some(({ name }) => name === 'input_ids')) return undefined;
  const known = ['input_ids', ...textFields] as readonly string[];
  if (!inputs.every(({ name }) => known.includes(name))) return undefined;
  const tables = files.filter((file) => /\.(jsonl|ndjson|csv|tsv|parquet|txt)$/i.test(file));
  const evaluation = tables.filter((file) => !calibrationFile.test(file));
  const [file] = evaluation;
  if (file === undefined || evaluation.length > 1) return undefined;
  const calibration = tables.find((one) => calibrationFile.test(one));
  const section: Record<string, unknown> = {
    input_ids: { text: file, ...(calibration !== undefined && { calibration }) },
  };
  for (const { name } of inputs) if (name !== 'input_ids') section[name] = { from: 'input_ids', take: name };
  const specs = new Map(
    Object.entries(section).map(([name, value]) => [name, parseInput(value, `inputs["${name}"]`, {})]),
  );
  const hasLabels = !file.endsWith('.txt');
  notes.push(
    `Without a dataset.json: the column "text" of ${file} feeds "input_ids"${hasLabels ? ', its column "label" gives the classes, judged by top1' : ''}.`,
  );
  return { inputs: specs, labels: hasLabels ? { ...noLabels, file } : undefined, preprocessing: section };
}

function inferArrays(
  dir: string,
  files: readonly string[],
  inputs: readonly ModelInput[],
  { notes }: InferContext,
): Inferred {
  const arrays = files.filter((file) => file.endsWith('.npy'));
  const labels = arrays.filter((file) => labelFile.test(file) && !calibrationFile.test(file));
  const samples = arrays.filter((file) => !labelFile.test(file));
  const specs = new Map<string, InputSpec>();
  for (const input of inputs) {
    const mine = samples.filter((file) => belongsTo(file, input.name));
    const candidates = mine.length > 0 ? mine : inputs.length === 1 ? samples : [];
    const evaluation = candidates.filter((file) => !calibrationFile.test(file));
    const calibration = candidates.find((file) => calibrationFile.test(file));
    if (evaluation.length !== 1) {
      const found = evaluation.length === 0 ? 'no file' : `several files (${evaluation.join(', ')})`;
      const table = files.find((file) => tableEnding.test(file));
      const tables =
        evaluation.length === 0 && table !== undefined
          ? ` A table feeds inputs by columns of their names; of ${table} say in a dataset.json which "columns" feed what.`
          : ` ${help}`;
      throw new UserError(
        'dataset-open',
        `${dir} has no dataset.json, and ${found} in it could feed the model's input "${input.name}".${tables}`,
      );
    }
    const file = evaluation[0] ?? '';
    specs.set(input.name, parseInput({ file, calibration }, `inputs["${input.name}"]`, {}));
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
  return { inputs: specs, labels: label === undefined ? undefined : { ...noLabels, file: label } };
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
