import { basename, extname } from 'node:path';
import { UserError } from '../errors.ts';
import { type DType, dtypeBits, dtypeKind, isDType } from '../ir/dtype.ts';
import { elementCount, stringTensor, type Tensor, tensorFrom, tensorFromBytes, typedArray } from '../ir/tensor.ts';
import { nearest } from '../messages.ts';
import { readTensorFile } from '../onnx/tensor-file.ts';
import { npyFromBytes, openNpy } from './npy.ts';
import { readWhole } from './read-whole.ts';
import { memoryRows, type Rows } from './rows.ts';
import { openTable } from './table.ts';
import { readZip, type ZipEntry } from './zip.ts';

/** Where in a file the rows are, and what a file without a header must be told. */
export interface RowsOptions {
  /** Name of the array in an archive (.npz, .safetensors); not needed where it holds one. */
  readonly key?: string | undefined;
  /** Columns of a table. */
  readonly columns?: readonly string[] | undefined;
  /** What cells of a table are to become: texts as they stand, digits too (postal codes), for `string`; whole numbers for integers. */
  readonly as?: DType | undefined;
  /** Raw files: type of the numbers, and shape of one sample. */
  readonly dtype?: DType | undefined;
  readonly shape?: readonly number[] | undefined;
}

/**
 * Opens a file of numbers by the ending of its name: .npy, .npz, .pb (ONNX TensorProto), .safetensors, .csv, .tsv, .jsonl, .json,
 * .parquet (with `columns`), and .bin or .raw (with type and shape).
 * @throws UserError when it is damaged, of another kind, or lacks what was named
 */
export async function openRows(path: string, options: RowsOptions = {}): Promise<Rows> {
  const ending = extname(path).toLowerCase();
  switch (ending) {
    case '.npz':
      return openNpz(path, options.key);
    case '.pb':
      return memoryRows(path, readTensorFile(await readWhole(path), path));
    case '.safetensors':
      return openSafetensors(path, options.key);
    case '.csv':
    case '.tsv':
    case '.json':
    case '.jsonl':
    case '.ndjson':
    case '.parquet':
      return openColumns(path, options);
    case '.bin':
    case '.raw':
      return openRaw(path, options);
    default:
      return openNpy(path);
  }
}

async function openNpz(path: string, key: string | undefined): Promise<Rows> {
  const entries = readZip(await readWhole(path), path).filter(({ name }) => name.endsWith('.npy'));
  const name = chooseKey(
    path,
    entries.map((entry) => entry.name.slice(0, -4)),
    key,
  );
  const entry = entries.find((one) => one.name === `${name}.npy`) as ZipEntry;
  return npyFromBytes(`${path}:${name}`, entry.read());
}

function chooseKey(path: string, keys: readonly string[], key: string | undefined): string {
  const [first] = keys;
  if (first === undefined) throw new UserError('data-key', `${path} holds no arrays.`);
  if (key === undefined) {
    if (keys.length === 1) return first;
    throw new UserError('data-key', `${path} holds several arrays (${keys.join(', ')}); say which with "key".`);
  }
  if (keys.includes(key)) return key;
  throw new UserError('data-key', `${path} holds no array "${key}"${nearest(key, keys)}.`);
}

const safetensorTypes: Readonly<Record<string, DType>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U8: 'uint8',
  U16: 'uint16',
  U32: 'uint32',
  U64: 'uint64',
  BOOL: 'bool',
};

/** 8 bytes of length, a JSON header of that length, and the data that its offsets point into. */
async function openSafetensors(path: string, key: string | undefined): Promise<Rows> {
  const bytes = await readWhole(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length >= 8 ? Number(view.getBigUint64(0, true)) : Number.NaN;
  const damaged = (why: string): UserError =>
    new UserError('data-format', `${path} is no sound .safetensors file: ${why}.`);
  if (!(length <= bytes.length - 8)) throw damaged('its header reaches beyond its end');
  let header: Record<string, { dtype?: unknown; shape?: unknown; data_offsets?: unknown }>;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  } catch (error) {
    throw damaged(`its header is no JSON (${(error as Error).message})`);
  }
  if (typeof header !== 'object' || header === null) throw damaged('its header is no object');
  const name = chooseKey(
    path,
    Object.keys(header).filter((one) => one !== '__metadata__'),
    key,
  );
  const { dtype: code, shape, data_offsets: offsets } = header[name] ?? {};
  const dtype = safetensorTypes[String(code)];
  if (!dtype) throw damaged(`"${name}" is of type ${String(code)}, which cannot be read`);
  const isSizes = (value: unknown): value is number[] =>
    Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && (item as number) >= 0);
  if (!isSizes(shape) || !isSizes(offsets) || offsets.length !== 2)
    throw damaged(`"${name}" has no sound shape and offsets`);
  const [start = 0, end = 0] = offsets;
  if (end > bytes.length - 8 - length || end - start !== (elementCount(shape) * dtypeBits(dtype)) / 8)
    throw damaged(`the data of "${name}" does not fit its shape [${shape.join(', ')}]`);
  return memoryRows(
    `${path}:${name}`,
    tensorFromBytes(dtype, shape, bytes.slice(8 + length + start, 8 + length + end)),
  );
}

/** Numbers without a header, one sample behind the other, little-endian. */
async function openRaw(path: string, { dtype, shape }: RowsOptions): Promise<Rows> {
  if (!dtype || !shape || !isDType(dtype))
    throw new UserError(
      'data-format',
      `${basename(path)} has no header: give "stored" (the type of its numbers) and "shape" (of one sample).`,
    );
  const bytes = await readWhole(path);
  const rowBytes = (elementCount(shape) * dtypeBits(dtype)) / 8;
  if (rowBytes === 0 || bytes.length % rowBytes !== 0 || bytes.length === 0)
    throw new UserError(
      'data-format',
      `${path} has ${bytes.length} bytes, which is no whole number of samples of ${rowBytes} bytes (${dtype}[${shape.join(', ')}]).`,
    );
  return memoryRows(path, tensorFromBytes(dtype, [bytes.length / rowBytes, ...shape], bytes));
}

/** Columns of a table, side by side: [samples, columns]. Texts stay texts, everything else is numbers; what is empty is NaN. */
async function openColumns(path: string, { columns, as }: RowsOptions): Promise<Rows> {
  if (!columns)
    throw new UserError(
      'data-format',
      `${basename(path)} is a table: say with "columns" which of its columns to take.`,
    );
  const table = await openTable(path, columns);
  const cells = columns.map((column) => table.column(column));
  for (const [at, column] of cells.entries()) {
    const row = column.findIndex((cell) => typeof cell === 'object' && cell !== null);
    if (row < 0) continue;
    const what = Array.isArray(column[row]) ? 'a list' : column[row] instanceof Date ? 'a date' : 'an object';
    throw new UserError(
      'data-value',
      `${path}: column "${columns[at]}" has ${what} in row ${row + 1}; numbers and texts can be read. Save lists of numbers as a .npy file.`,
    );
  }
  const shape = [table.rows, columns.length];
  if (as === 'string') return memoryRows(path, texts(cells, shape));
  const words = cells.map((column) => column.findIndex(isWord));
  if (words.every((row) => row >= 0)) {
    const [row = 0] = words;
    return memoryRows(path, texts(cells, shape), noNumber(columns[0], cells[0]?.[row], row));
  }
  const large = largeIntegers(cells, shape);
  if (large) return memoryRows(path, large);
  const tensor = numbers(path, columns, cells, shape);
  if (as !== undefined && (dtypeKind(as) === 'int' || dtypeKind(as) === 'uint'))
    requireWhole(path, columns, tensor, as);
  return memoryRows(path, tensor);
}

/** Cast, a missing value would be 0 and 1.5 would be 1. */
function requireWhole(path: string, columns: readonly string[], tensor: Tensor, as: DType): void {
  const values = typedArray(tensor, 'float64');
  const at = values.findIndex((value) => !Number.isInteger(value));
  if (at < 0) return;
  const has = Number.isNaN(values[at]) ? 'no number' : values[at];
  throw new UserError(
    'data-value',
    `${path}: column "${columns[at % columns.length]}" has ${has} in row ${Math.floor(at / columns.length) + 1}, and ${as} takes whole numbers.`,
  );
}

/** Whole numbers of which one is beyond 2^53 (identifiers, hashes): as doubles they would be other numbers. */
function largeIntegers(cells: readonly (readonly unknown[])[], shape: readonly number[]): Tensor | undefined {
  const isWhole = (cell: unknown): cell is bigint | number | string =>
    typeof cell === 'bigint' ||
    (typeof cell === 'number' && Number.isSafeInteger(cell)) ||
    (typeof cell === 'string' && /^\s*-?\d{1,19}\s*$/.test(cell));
  const isLarge = (cell: unknown): boolean =>
    (typeof cell === 'bigint' || typeof cell === 'string') && !Number.isSafeInteger(Number(cell));
  if (!cells.some((column) => column.some(isLarge)) || !cells.every((column) => column.every(isWhole)))
    return undefined;
  const values = new BigInt64Array(elementCount(shape));
  for (const [at, column] of cells.entries())
    for (const [row, cell] of column.entries()) {
      const value = BigInt(cell);
      if (BigInt.asIntN(64, value) !== value) return undefined;
      values[row * cells.length + at] = value;
    }
  return tensorFrom('int64', shape, values);
}

function texts(cells: readonly (readonly unknown[])[], shape: readonly number[]): Tensor {
  const utf8 = new TextEncoder();
  const rows = Array.from({ length: shape[0] ?? 0 }, (_, row) =>
    cells.map((column) => utf8.encode(String(column[row] ?? ''))),
  );
  return stringTensor(shape, rows.flat());
}

function numbers(
  path: string,
  columns: readonly string[],
  cells: readonly (readonly unknown[])[],
  shape: readonly number[],
): Tensor {
  const values = new Float64Array(elementCount(shape));
  for (const [at, column] of cells.entries()) {
    for (let row = 0; row < column.length; row++) {
      const cell = column[row];
      if (isWord(cell)) throw new UserError('data-value', `${path}: ${noNumber(columns[at], cell, row)}.`);
      values[row * columns.length + at] = toNumber(cell);
    }
  }
  return tensorFrom('float64', shape, values);
}

/** A text that is neither a number nor the sign of a missing one. */
const isWord = (cell: unknown): boolean =>
  typeof cell === 'string' && Number.isNaN(toNumber(cell)) && !/^\s*(nan|na)?\s*$/i.test(cell);

/** 1.234,5 and 1,234.5: what spreadsheets of some countries write, and which of the two is meant nobody can tell from 1,234. */
const isWrittenWithComma = (cell: string): boolean => /^\s*[-+]?\d[\d.,' \u00A0\u202F\u2019]*,\d[\d.,]*\s*$/.test(cell);

function noNumber(column: string | undefined, cell: unknown, row: number): string {
  const text = String(cell);
  const what = `column "${column}" has "${text.slice(0, 40)}" in row ${row + 1}, which is no number`;
  return isWrittenWithComma(text)
    ? `${what}: write a point before decimals, and nothing between thousands (1234.5)`
    : `${what}; leave cells empty where a value is missing, and feed texts by an input of their own`;
}

function toNumber(cell: unknown): number {
  if (typeof cell === 'number') return cell;
  if (typeof cell === 'bigint' || typeof cell === 'boolean') return Number(cell);
  if (typeof cell === 'string' && cell.trim() !== '') return Number(cell);
  return Number.NaN;
}
