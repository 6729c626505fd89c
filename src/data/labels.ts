import { readFile } from 'node:fs/promises';
import { UserError } from '../errors.ts';
import { toNumbers } from '../ir/tensor.ts';
import type { KnownClasses } from './class-names.ts';
import { openRows } from './open-rows.ts';
import { repeatedKey } from './repeated-key.ts';
import type { LabelSpec } from './specs.ts';
import { isTable, openTable } from './table.ts';

/** Where the samples of labels are. */
export interface LabelledSamples {
  readonly count: number;
  /** Names of the samples, where they are files: needed for labels given by file name. */
  readonly names: readonly string[] | undefined;
  /** The classes that the model itself names; the first that has them all counts. */
  readonly known: readonly KnownClasses[];
  /** Takes what is worth knowing about the numbers of classes. */
  readonly notes: string[];
}

/**
 * Class of every evaluation sample, offset added, and the names of the classes where they are known.
 * @throws UserError when labels are missing, not whole numbers, out of range, given twice, or not as many as samples.
 */
export async function readLabels(
  spec: LabelSpec,
  path: string | undefined,
  samples: LabelledSamples,
): Promise<{ labels: number[]; names: readonly string[] | undefined }> {
  const { values, from } = path === undefined ? foldersOf(samples) : await readValues(spec, path, samples);
  if (values.length !== samples.count) {
    throw new UserError(
      'dataset-labels',
      `${from} has ${values.length} labels for ${samples.count} samples; each sample needs exactly one.`,
    );
  }
  const names = spec.names ?? namesAmong(values, samples);
  const places = new Map(names?.map((name, at) => [name, at]));
  const classes = names?.length ?? Number.POSITIVE_INFINITY;
  const labels = values.map((value, index) => {
    const label = typeof value === 'string' ? (places.get(value) ?? Number.NaN) : value;
    const shifted = label + spec.offset;
    const isKnown = typeof value === 'string' ? places.has(value) : shifted < classes;
    if (isKnown && Number.isSafeInteger(shifted) && shifted >= 0) return shifted;
    const range = Number.isFinite(classes)
      ? `0 to ${classes - 1}, the ${classes} names of "labels"`
      : 'whole numbers from 0';
    const said = typeof value === 'string' ? `"${value}"` : Number.isNaN(shifted) ? 'no number' : shifted;
    throw new UserError('dataset-labels', `${from}: the label of sample ${index} is ${said}; allowed are ${range}.`);
  });
  return { labels, names };
}

/**
 * Names for labels that are words: the model's own where it has them all (`id2label`; in other capitals, too), else the words in the order of the
 * alphabet, which a model knows nothing of that was trained with another.
 */
function namesAmong(
  values: readonly (string | number)[],
  { known, notes }: LabelledSamples,
): readonly string[] | undefined {
  const words = values.filter((value) => typeof value === 'string');
  if (words.length < values.length) return undefined;
  const own = [...new Set(words)].sort();
  for (const form of [(word: string) => word, (word: string) => word.toLowerCase()]) {
    const byForm = new Map(own.map((word) => [form(word), word]));
    const model = known.find(({ names }) => {
      const classes = new Set(names.flatMap((name) => (name === undefined ? [] : [form(name)])));
      return own.every((word) => classes.has(form(word)));
    });
    if (byForm.size < own.length || !model) continue;
    notes.push(`Labels that are words are numbered as ${model.path} has it (id2label).`);
    return Array.from(model.names, (name, at) =>
      name === undefined ? `class ${at}` : (byForm.get(form(name)) ?? name),
    );
  }
  const [first] = known;
  if (!first) return own;
  const stranger = own.find((word) => !first.names.includes(word));
  notes.push(
    `Labels that are words are numbered in the order of the alphabet: "${stranger}" is none of the classes that ${first.path} names. "names" of "labels" in dataset.json gives another order.`,
  );
  return own;
}

type Values = { readonly values: readonly (string | number)[]; readonly from: string };

/** `cat/1.jpg` is a cat. */
function foldersOf({ names }: LabelledSamples): Values {
  const values = (names ?? []).map((name) => name.split('/')[0] ?? '');
  if (!names || names.some((name) => !name.includes('/')))
    throw new UserError(
      'dataset-labels',
      'Labels from "folders" need samples that are files in one folder for each class.',
    );
  return { values, from: 'The folder' };
}

async function readValues(spec: LabelSpec, path: string, { names }: LabelledSamples): Promise<Values> {
  if (path.endsWith('.json') && spec.column === undefined) return { values: await readJson(path, names), from: path };
  if (!isTable(path)) return { values: await readArray(path, spec.key), from: path };
  const column = spec.column ?? 'label';
  const table = await openTable(path, spec.id === undefined ? [column] : [column, spec.id]);
  const cells = table.column(column).map((cell): string | number => {
    if (typeof cell === 'bigint' || typeof cell === 'boolean') return Number(cell);
    if (typeof cell === 'number') return cell;
    if (typeof cell !== 'string' || cell.trim() === '') return Number.NaN;
    return Number.isNaN(Number(cell)) ? cell.trim() : Number(cell);
  });
  // One word among numbers makes them all words.
  const values = cells.some((cell) => typeof cell === 'string')
    ? cells.map((cell) => (Number.isNaN(cell) ? Number.NaN : String(cell)))
    : cells;
  if (spec.id === undefined) return { values, from: path };
  const byName = new Map<string, string | number>();
  for (const [row, id] of table.column(spec.id).entries()) {
    const name = String(id);
    if (byName.has(name))
      throw new UserError(
        'dataset-labels',
        `${path} names "${name}" twice (row ${row + 1}); each sample needs exactly one label.`,
      );
    byName.set(name, values[row] ?? Number.NaN);
  }
  return { values: inOrder(byName, names, path), from: path };
}

/** Labels given by file name, in the order of the files. */
function inOrder(
  byName: ReadonlyMap<string, string | number>,
  names: readonly string[] | undefined,
  path: string,
): (string | number)[] {
  if (!names)
    throw new UserError(
      'dataset-labels',
      `${path} gives labels by file name, but the samples are no files; give an array instead.`,
    );
  return names.map((name) => {
    const label = byName.get(name);
    if (label === undefined || Number.isNaN(label))
      throw new UserError('dataset-labels', `${path} has no label for the file ${name}.`);
    return label;
  });
}

async function readArray(path: string, key: string | undefined): Promise<number[]> {
  const file = await openRows(path, { key });
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

async function readJson(path: string, fileNames: readonly string[] | undefined): Promise<(string | number)[]> {
  let text: string;
  let json: unknown;
  try {
    text = (await readFile(path, 'utf8')).replace(/^\uFEFF/, '');
    json = JSON.parse(text);
  } catch (error) {
    throw new UserError('dataset-labels', `${path} cannot be read as JSON: ${(error as Error).message}.`, {
      cause: error,
    });
  }
  // What is neither number nor word becomes NaN, which is refused with its place: Number() would make a class 0 of null.
  const valueOf = (label: unknown): string | number =>
    typeof label === 'number' || typeof label === 'string' ? label : Number.NaN;
  if (Array.isArray(json)) return json.map(valueOf);
  if (typeof json !== 'object' || json === null)
    throw new UserError('dataset-labels', `${path} must hold an array of labels or an object from file name to label.`);
  const twice = repeatedKey(text);
  if (twice !== undefined)
    throw new UserError('dataset-labels', `${path} names "${twice}" twice; each sample needs exactly one label.`);
  return inOrder(new Map(Object.entries(json).map(([name, label]) => [name, valueOf(label)])), fileNames, path);
}
