import { createHash } from 'node:crypto';
import { UserError } from '../errors.ts';
import { type DType, dtypeBits, dtypeKind, isDType } from '../ir/dtype.ts';
import { elementCount, stringTensor, type Tensor, tensorFromBytes, withShape } from '../ir/tensor.ts';
import { affine, castTensor, isCastable, numbersOf } from './cast.ts';
import type { ModelInput } from './model-input.ts';
import { openRows } from './open-rows.ts';
import type { Rows } from './rows.ts';
import type { Source, Split } from './source.ts';
import type { ArraySpec } from './specs.ts';

/**
 * Samples in files of numbers, one a row.
 * @param resolve gives a file name of dataset.json its place on disk.
 * @param model the input that is fed. Of its shape, the batch first, dimensions of 1 that it has and the rows lack, or the other way round, are
 *   put in or left out, so that one column of a table feeds an input [n] and a file of numbers an input [n, 1]. Cells of a table, which have no
 *   type, are read as whole numbers or texts where it takes those and nothing else is said.
 * @throws UserError when a file is missing, unreadable, or its rows do not have the shape that was declared.
 */
export async function openArraySource(
  name: string,
  declared: ArraySpec,
  resolve: (file: string) => Promise<string>,
  model?: Pick<ModelInput, 'shape' | 'dtype'>,
): Promise<Source> {
  const scaled = declared.scale !== undefined || declared.bias !== undefined;
  const spec = scaled ? declared : { ...declared, dtype: declared.dtype ?? typeOfCells(declared, model) };
  const { key, columns, stored, shape } = spec;
  const open = async (file: string): Promise<Rows> =>
    openRows(await resolve(file), { key, columns, dtype: stored, shape, as: scaled ? undefined : spec.dtype });
  const evaluation = await open(spec.file);
  let calibration: Rows | undefined;
  try {
    if (spec.calibration !== undefined) calibration = await open(spec.calibration);
    const asIs = shape !== undefined || spec.layout === 'NHWC' || spec.trim !== undefined || spec.dropBatch;
    const fitted = asIs || !model?.shape ? undefined : withOnes(evaluation.shape.slice(1), model.shape.slice(1));
    return new ArraySource(name, fitted ? { ...spec, shape: fitted } : spec, evaluation, calibration);
  } catch (error) {
    await evaluation.close();
    await calibration?.close();
    throw error;
  }
}

function typeOfCells({ columns }: ArraySpec, model: Pick<ModelInput, 'dtype'> | undefined): DType | undefined {
  const wanted = model?.dtype;
  if (columns === undefined || wanted === undefined || !isDType(wanted)) return undefined;
  const kind = dtypeKind(wanted);
  return kind === 'int' || kind === 'uint' || wanted === 'string' ? wanted : undefined;
}

/** The same numbers in the same order with the rank of the model; undefined where the rank is right, or more than dimensions of 1 differ. */
function withOnes(row: readonly number[], model: readonly (number | string | null)[]): readonly number[] | undefined {
  if (row.length === model.length) return undefined;
  const left = row.filter((extent) => extent !== 1);
  const shape = model.map((extent) => (extent === 1 ? 1 : left.shift()));
  const fits = left.length === 0 && shape.every((extent, at) => extent !== undefined && fitsExtent(extent, model[at]));
  return fits ? (shape as number[]) : undefined;
}

const fitsExtent = (extent: number, model: number | string | null | undefined): boolean =>
  typeof model !== 'number' || model === extent;

class ArraySource implements Source {
  readonly shape: readonly (number | null)[];
  readonly dtype: DType;
  readonly notNumbers: string | undefined;
  readonly #name: string;
  readonly #spec: ArraySpec;
  readonly #files: Readonly<Record<Split, Rows | undefined>>;
  /** One sample as stored, after the declared reshape and before the layout is turned. */
  readonly #stored: readonly number[];

  constructor(name: string, spec: ArraySpec, evaluation: Rows, calibration: Rows | undefined) {
    this.#name = name;
    this.#spec = spec;
    this.#files = { eval: evaluation, calibration };
    this.dtype = spec.dtype ?? (spec.scale || spec.bias ? 'float32' : evaluation.dtype);
    if (evaluation.shape.length === 0)
      throw new UserError(
        'dataset-shape',
        `${evaluation.path} holds a single number; one row for each sample is needed.`,
      );
    const row = evaluation.shape.slice(1);
    // Padding is trimmed away: files may be padded to different lengths then.
    const compared = spec.trim && !spec.shape ? 2 : 1;
    if (calibration && calibration.shape.slice(compared).join() !== evaluation.shape.slice(compared).join()) {
      throw new UserError(
        'dataset-shape',
        `${calibration.path} has rows of shape [${calibration.shape.slice(1).join(', ')}], but ${evaluation.path} has [${row.join(', ')}].`,
      );
    }
    checkNumeric(name, spec, evaluation);
    this.#stored = spec.shape ?? row;
    if (elementCount(this.#stored) !== elementCount(row)) {
      throw new UserError(
        'dataset-shape',
        `Input "${name}": rows of ${evaluation.path} are [${row.join(', ')}], which cannot be read as "shape" [${this.#stored.join(', ')}].`,
      );
    }
    this.shape = this.#fedShape();
    this.#checkAffine();
    if (this.dtype !== evaluation.dtype && !(isCastable(this.dtype) && isCastable(evaluation.dtype))) {
      throw new UserError(
        'dataset-dtype',
        evaluation.notNumbers === undefined
          ? `Input "${name}": ${evaluation.dtype} in ${evaluation.path} cannot be turned into ${this.dtype}.`
          : `Input "${name}" takes numbers, but ${evaluation.path}: ${evaluation.notNumbers}.`,
      );
    }
    this.notNumbers = evaluation.notNumbers && `${evaluation.path}: ${evaluation.notNumbers}`;
  }

  count(split: Split): number {
    return this.#files[split]?.shape[0] ?? 0;
  }

  async read(split: Split, indices: readonly number[], dtype: DType, length?: number): Promise<Tensor> {
    const file = this.#files[split];
    if (!file) throw new UserError('dataset-split', `Input "${this.#name}" has no ${split} file.`);
    const { layout, trim, scale, bias, axis, dropBatch } = this.#spec;
    const stored = this.#spec.shape ?? file.shape.slice(1);
    let tensor = withShape(await readRows(file, indices), [indices.length, ...stored]);
    if (layout === 'NHWC') tensor = channelsFirst(tensor);
    if (length !== undefined) tensor = cut(tensor, length);
    else if (trim && 'pad' in trim) tensor = cut(tensor, longest(tensor, trim.pad));
    if (scale || bias) tensor = affine(tensor, dtype, scale ?? [1], bias ?? [0], axis);
    else if (tensor.dtype !== dtype) tensor = castTensor(tensor, dtype);
    return dropBatch ? withShape(tensor, tensor.shape.slice(1)) : tensor;
  }

  async digest(split: Split, index: number): Promise<string> {
    const file = this.#files[split];
    const row = await file?.rows(index, 1);
    const hash = createHash('sha256').update(`${row?.dtype} ${row?.shape.slice(1).join('x')} `);
    // The same numbers in another shape are another sample; so are the same letters in other words.
    if (row?.dtype === 'string') for (const text of row.strings?.() ?? []) hash.update(`${text.length} `).update(text);
    else hash.update(row?.bytes() ?? '');
    return hash.digest('base64');
  }

  async close(): Promise<void> {
    await this.#files.eval?.close();
    await this.#files.calibration?.close();
  }

  #fedShape(): readonly (number | null)[] {
    const { layout, trim, dropBatch } = this.#spec;
    let sample: (number | null)[] = [...this.#stored];
    if (layout === 'NHWC') {
      if (sample.length !== 3) {
        throw new UserError(
          'dataset-shape',
          `Input "${this.#name}" has layout NHWC, which needs samples of [height, width, channels], not [${sample.join(', ')}].`,
        );
      }
      sample = [sample[2] ?? 0, sample[0] ?? 0, sample[1] ?? 0];
    }
    if (trim) {
      if (sample.length === 0)
        throw new UserError(
          'dataset-shape',
          `Input "${this.#name}" has single numbers as samples: there is nothing to trim.`,
        );
      sample[0] = null;
    }
    return dropBatch ? sample : [null, ...sample];
  }

  #checkAffine(): void {
    const { scale, bias, axis } = this.#spec;
    for (const [key, list] of [
      ['scale', scale],
      ['bias', bias],
    ] as const) {
      if (!list || list.length === 1) continue;
      const batched = this.#spec.dropBatch ? [null, ...this.shape] : this.shape;
      const extent = batched[axis];
      if (extent !== list.length) {
        throw new UserError(
          'dataset-shape',
          `Input "${this.#name}": "${key}" has ${list.length} numbers, but axis ${axis} of [${batched.map((dim) => dim ?? '?').join(', ')}] has ${extent ?? 'no fixed'} entries.`,
        );
      }
    }
  }
}

/** Strings are fed as they are. */
function checkNumeric(name: string, spec: ArraySpec, file: Rows): void {
  if (isCastable(file.dtype)) return;
  const asked = [
    spec.layout === 'NHWC' && 'layout',
    spec.trim && 'trim',
    spec.scale && 'scale',
    spec.bias && 'bias',
  ].filter((key) => typeof key === 'string');
  if (asked.length === 0) return;
  throw new UserError(
    'dataset-dtype',
    `Input "${name}": ${file.path} holds elements of type ${file.dtype}, to which "${asked.join('", "')}" cannot be applied.`,
  );
}

/** Rows by index; neighbours are read in one go. */
async function readRows(file: Rows, indices: readonly number[]): Promise<Tensor> {
  const parts: Tensor[] = [];
  for (let at = 0; at < indices.length; ) {
    const first = indices[at] ?? 0;
    let count = 1;
    while (indices[at + count] === first + count) count++;
    parts.push(await file.rows(first, count));
    at += count;
  }
  const [only] = parts;
  if (only && parts.length === 1) return only;
  const shape = [indices.length, ...file.shape.slice(1)];
  if (file.dtype === 'string')
    return stringTensor(
      shape,
      parts.flatMap((part) => [...(part.strings?.() ?? [])]),
    );
  const bytes = new Uint8Array((elementCount(shape) * dtypeBits(file.dtype)) / 8);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part.bytes(), offset);
    offset += part.byteLength;
  }
  return tensorFromBytes(file.dtype, shape, bytes);
}

/** [N, H, W, C] → [N, C, H, W]. */
function channelsFirst(tensor: Tensor): Tensor {
  const [n = 0, h = 0, w = 0, c = 0] = tensor.shape;
  const width = dtypeBits(tensor.dtype) / 8;
  const source = tensor.bytes();
  const target = new Uint8Array(source.length);
  const plane = h * w;
  for (let sample = 0; sample < n; sample++) {
    for (let pixel = 0; pixel < plane; pixel++) {
      for (let channel = 0; channel < c; channel++) {
        const from = ((sample * plane + pixel) * c + channel) * width;
        const to = ((sample * c + channel) * plane + pixel) * width;
        for (let byte = 0; byte < width; byte++) target[to + byte] = source[from + byte] as number;
      }
    }
  }
  return tensorFromBytes(tensor.dtype, [n, c, h, w], target);
}

/** Length of axis 1 without the padding that all rows end in; at least 1. */
function longest(tensor: Tensor, pad: number): number {
  const [rows = 0, length = 0] = tensor.shape;
  const inner = elementCount(tensor.shape.slice(2));
  const values = numbersOf(tensor);
  let best = 1;
  for (let row = 0; row < rows; row++) {
    let end = length;
    while (end > best && isPadding(values, (row * length + end - 1) * inner, inner, pad)) end--;
    best = Math.max(best, end);
  }
  return Math.min(best, length);
}

function isPadding(values: ArrayLike<number>, start: number, count: number, pad: number): boolean {
  for (let at = start; at < start + count; at++) if (values[at] !== pad) return false;
  return true;
}

/** Keeps the first `length` entries of axis 1. */
function cut(tensor: Tensor, length: number): Tensor {
  const [rows = 0, full = 0] = tensor.shape;
  if (length >= full) return tensor;
  const inner = (elementCount(tensor.shape.slice(2)) * dtypeBits(tensor.dtype)) / 8;
  const source = tensor.bytes();
  const target = new Uint8Array(rows * length * inner);
  for (let row = 0; row < rows; row++) {
    target.set(source.subarray(row * full * inner, (row * full + length) * inner), row * length * inner);
  }
  return tensorFromBytes(tensor.dtype, [rows, length, ...tensor.shape.slice(2)], target);
}
