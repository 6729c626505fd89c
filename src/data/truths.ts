import { readFile } from 'node:fs/promises';
import { UserError } from '../errors.ts';
import type { TruthSpec } from './specs.ts';
import { openTable } from './table.ts';

/** A box that should be found, in pixels of the picture as it is stored. */
export interface TrueBox {
  /** Class as the model numbers it: categories of the file in the order of their ids, from 0. */
  readonly class: number;
  readonly box: readonly [left: number, top: number, right: number, bottom: number];
  /** A crowd: boxes found in it count neither for nor against. */
  readonly isCrowd: boolean;
}

export interface Truths {
  /** One a sample: a text, or `TrueBox[]`. */
  readonly values: readonly unknown[];
  /** Names of the classes of boxes. */
  readonly names: readonly string[] | undefined;
}

/** @throws UserError when there is not one truth for each sample */
export async function readTruths(
  spec: TruthSpec,
  path: string,
  count: number,
  names: readonly string[] | undefined,
): Promise<Truths> {
  if (spec.kind === 'boxes') return readBoxes(path, names);
  const column = (await openTable(path, [spec.column])).column(spec.column);
  if (column.length !== count)
    throw new UserError('dataset-count', `${path} has ${column.length} texts for ${count} samples.`);
  return { values: column.map((cell) => (typeof cell === 'string' ? cell : String(cell ?? ''))), names: undefined };
}

interface Coco {
  readonly images?: readonly { readonly id?: unknown; readonly file_name?: unknown }[];
  readonly annotations?: readonly {
    readonly image_id?: unknown;
    readonly category_id?: unknown;
    readonly bbox?: unknown;
    readonly iscrowd?: unknown;
  }[];
  readonly categories?: readonly { readonly id?: unknown; readonly name?: unknown }[];
}

/** Labels as COCO has them: pictures by file name, boxes as [left, top, width, height]. */
async function readBoxes(path: string, names: readonly string[] | undefined): Promise<Truths> {
  const wrong = (why: string): UserError => new UserError('dataset-boxes', `${path}: ${why}.`);
  if (!names) throw wrong('boxes belong to pictures, but the samples are no files');
  let json: Coco;
  try {
    json = JSON.parse(await readFile(path, 'utf8')) as Coco;
  } catch (error) {
    throw new UserError('dataset-boxes', `${path} cannot be read as JSON: ${(error as Error).message}.`, {
      cause: error,
    });
  }
  const { images, annotations, categories } = json;
  if (![images, annotations, categories].every(Array.isArray))
    throw wrong('it needs the lists "images", "annotations" and "categories" of COCO');
  const classes = [...(categories ?? [])].sort((a, b) => Number(a.id) - Number(b.id));
  const classOf = new Map(classes.map(({ id }, at) => [id, at]));
  if (classOf.size !== classes.length) throw wrong('two categories have the same id');
  const nameOf = new Map<unknown, string>();
  for (const { id, file_name: name } of images ?? []) {
    if (nameOf.has(id)) throw wrong(`two pictures have the id ${String(id)}`);
    nameOf.set(id, String(name));
  }
  const boxes = new Map<string, TrueBox[]>([...nameOf.values()].map((name) => [name, []]));
  for (const [at, annotation] of (annotations ?? []).entries()) {
    const place = classOf.get(annotation.category_id);
    const list = boxes.get(nameOf.get(annotation.image_id) ?? '');
    const { bbox } = annotation;
    if (place === undefined)
      throw wrong(`annotation ${at} is of category ${String(annotation.category_id)}, which is not listed`);
    if (!list) throw wrong(`annotation ${at} belongs to picture ${String(annotation.image_id)}, which is not listed`);
    if (
      !Array.isArray(bbox) ||
      bbox.length !== 4 ||
      !bbox.every((value) => typeof value === 'number' && Number.isFinite(value))
    )
      throw wrong(`annotation ${at} has no bbox of four numbers`);
    const [left, top, width, height] = bbox as [number, number, number, number];
    list.push({
      class: place,
      box: [left, top, left + width, top + height],
      isCrowd: Number(annotation.iscrowd ?? 0) === 1,
    });
  }
  const values = names.map((name) => {
    const found = boxes.get(name) ?? boxes.get(name.split('/').at(-1) ?? '');
    if (!found) throw wrong(`it does not list the picture ${name}`);
    return found;
  });
  return { values, names: classes.map(({ id, name }) => String(name ?? id)) };
}
