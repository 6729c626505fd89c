/** Rows of a table to tensors, and back. A row is one sample: a tensor's first dimension where that varies, else all of it. */

import { datatype } from '../lib/datatypes.mjs';

/** A row that cannot be used; it goes to the error file. */
export class RowError extends Error {}

/** Whether the model takes several rows at once: every tensor has a first dimension that varies. */
export function takesRows({ inputs, outputs }) {
  return [...inputs, ...outputs].every(
    ({ shape }) => shape !== null && shape.length > 0 && typeof shape[0] !== 'number',
  );
}

/**
 * Which columns feed which input, decided once for a table.
 * @param info of the model @param {Record<string, string[]>} given batch.json's or the flags' choice, by input
 * @param {string[]} columns that the table has
 * @returns [{ input, columns: string[] }]; several columns are the elements of one row
 */
export function planInputs(info, given, columns) {
  return info.inputs.map((input) => {
    const chosen = given[input.name];
    if (chosen !== undefined) {
      const missing = chosen.find((column) => !columns.includes(column));
      if (missing !== undefined) throw new Error(`the table has no column "${missing}"; it has ${columns.join(', ')}`);
      return { input, columns: chosen };
    }
    if (columns.includes(input.name)) return { input, columns: [input.name] };
    const size = input.shape
      ?.slice(1)
      .reduce((product, dim) => (typeof dim === 'number' ? product * dim : Number.NaN), 1);
    if (info.inputs.length === 1 && size === columns.length) return { input, columns };
    throw new Error(
      `no column is named like the input "${input.name}", and its ${size || 'variable number of'} elements are not the ${columns.length} columns of the table; say which with --columns ${input.name}=a,b,…`,
    );
  });
}

function flatten(value, out) {
  if (Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))) {
    for (const item of value) flatten(item, out);
  } else out.push(value);
  return out;
}

/** Whether lists lie in each other with these lengths, level by level. */
function hasLengths(value, [dim, ...inner]) {
  const list = Array.isArray(value) || ArrayBuffer.isView(value);
  if (dim === undefined || !list) return dim === undefined && !list;
  return value.length === dim && Array.from(value).every((item) => hasLengths(item, inner));
}

const withoutOnes = (shape) => shape.filter((dim) => dim !== 1).join();

function lengths(value) {
  const shape = [];
  for (let at = value; Array.isArray(at) || ArrayBuffer.isView(at); at = at[0]) shape.push(at.length);
  return shape;
}

/** What a cell holds, as the datatype reads it from JSON. CSV cells are text. */
function cell(value, type, where) {
  if (value === null || value === undefined || value === '') throw new RowError(`${where} is empty`);
  // As a number it would be milliseconds since 1970, which no model was trained on.
  if (value instanceof Date) throw new RowError(`${where} is a date; make numbers of it in the table`);
  if (typeof value === 'object') throw new RowError(`${where} is an object; give its fields as columns or as one list`);
  if (type === 'BYTES') return String(value);
  if (type === 'BOOL') {
    if (typeof value === 'boolean') return value;
    // pandas writes True and False.
    const text = String(value).trim().toLowerCase();
    if (text === 'true' || text === '1') return true;
    if (text === 'false' || text === '0') return false;
    throw new RowError(`${where} is neither true nor false`);
  }
  const number = typeof value === 'string' ? Number(value.trim() || 'x') : value;
  if (type === 'INT64' || type === 'UINT64') {
    // A text of digits is exact where a number is not.
    const exact = typeof value === 'string' && /^\s*-?\d+\s*$/.test(value) ? BigInt(value) : value;
    if (typeof exact === 'bigint') {
      if ((type === 'INT64' ? BigInt.asIntN(64, exact) : BigInt.asUintN(64, exact)) === exact) return exact;
      throw new RowError(`${where} is ${exact}, which is beyond ${type}`);
    }
  }
  const plain = Number(number);
  if (!Number.isFinite(plain)) throw new RowError(`${where} is not a finite number`);
  return plain;
}

/**
 * One row's value of one input. @returns { shape, data } shape of the row, without the batch. @throws RowError
 */
export function readRow({ input, columns }, row, rows) {
  const several = columns.length > 1;
  const value = several ? columns.map((column) => row[column]) : row[columns[0]];
  const list = several
    ? columns.find((column) => row[column]?.length > 1 && typeof row[column] === 'object')
    : undefined;
  if (list !== undefined)
    throw new RowError(
      `column "${list}" has ${row[list].length} elements, and is one of ${columns.length} of "${input.name}"`,
    );
  const where = (i) => `column "${columns[several ? i : 0]}"`;
  const wanted = rows ? (input.shape ?? []).slice(1) : (input.shape ?? []);
  const flat = flatten(value, []);
  const fixed = wanted.every((dim) => typeof dim === 'number');
  const given = lengths(value);
  // An empty list says nothing of the dimensions in it: a cache of length 0 is [] or [[], []].
  const shape =
    fixed || flat.length === 0 ? wanted.map((dim, i) => (typeof dim === 'number' ? dim : (given[i] ?? 0))) : given;
  const count = shape.reduce((product, dim) => product * dim, 1);
  if (flat.length === 1 && count !== 1) cell(flat[0], input.datatype, where(0));
  const fits = shape.length === wanted.length && wanted.every((dim, i) => typeof dim !== 'number' || dim === shape[i]);
  if (!fits || flat.length !== count) {
    throw new RowError(
      `${several ? `"${input.name}"` : where(0)} has ${flat.length} elements, and the input "${input.name}" takes [${wanted.map((dim) => dim ?? '?').join(', ')}]`,
    );
  }
  // A flat list says its order by itself. Nested ones say their shape, which may differ by dimensions of 1 and in nothing else: lists of
  // pixels for planes of colours would have as many numbers.
  if (given.length > 1 && flat.length > 0 && !(hasLengths(value, given) && withoutOnes(given) === withoutOnes(shape)))
    throw new RowError(
      `${where(0)} has lists of [${given.join(', ')}], and the input "${input.name}" takes [${wanted.map((dim) => dim ?? '?').join(', ')}]`,
    );
  const { Store, read } = datatype(input.datatype);
  const data = new Store(count);
  for (let i = 0; i < count; i++) {
    const one = cell(flat[i], input.datatype, where(i));
    try {
      data[i] = typeof one === 'bigint' ? one : read(one);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new RowError(`${where(i)}: ${error.message}`);
    }
  }
  return { shape, data };
}

/** Columns of the answer: one for an output of one element a row, else a list. 64-bit numbers that JSON cannot carry become text. */
export function resultColumns(results, row, rows) {
  const entries = Object.entries(results).map(([name, { dims, data, type }]) => {
    const size = rows ? data.length / dims[0] : data.length;
    const values = Array.from(data.slice(row * size, (row + 1) * size), (value) => plain(value, type));
    return [name, size === 1 ? values[0] : values];
  });
  return Object.fromEntries(entries);
}

function plain(value, type) {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (type === 'FP16') return datatype('FP16').show(value);
  if (type === 'BOOL') return value !== 0;
  return typeof value === 'number' && !Number.isFinite(value) ? null : value;
}
