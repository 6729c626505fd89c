/** Output files, each whole or not there: written beside, synced, renamed. */

import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parquetWriteBuffer, schemaFromColumnData } from 'hyparquet-writer';

export async function writeWhole(path, bytes) {
  const temporary = `${path}.tmp`;
  try {
    const file = await open(temporary, 'w');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    // Names too: after a power failure `.done` would stand there without its part.
    await syncFolder(dirname(path));
  } catch (error) {
    // On a full disk its bytes are missing elsewhere.
    await removeIfThere(temporary);
    throw new Error(`${path} cannot be written: ${error.message}`, { cause: error });
  }
}

async function syncFolder(path) {
  try {
    const folder = await open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    // Where a folder cannot be opened or synced (Windows, some network drives).
    if (!['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP'].includes(error.code)) throw error;
  }
}

export async function readIfThere(path) {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

export function removeIfThere(path) {
  return rm(path, { force: true, recursive: true });
}

/** Parquet's type for a datatype of the protocol: parts of one output must not differ in it. */
const doubles = { FP16: 'DOUBLE', FP32: 'DOUBLE', FP64: 'DOUBLE' };
const parquetTypes = { BOOL: 'BOOLEAN', BYTES: 'STRING', UINT64: 'UINT64', ...doubles };

/** @param {Record<string, string>} types column → Parquet's type; a column of an output with several elements counts as the output */
export function encodeRows(rows, format, types = {}) {
  if (format === 'jsonl') return rows.map((row) => `${JSON.stringify(row, withoutBigInt)}\n`).join('');
  const flat = rows.map(flattened);
  const names = [...new Set(flat.flatMap((row) => Object.keys(row)))];
  if (format === 'csv') {
    const lines = [names, ...flat.map((row) => names.map((name) => row[name]))];
    return lines.map((cells) => `${cells.map(csvCell).join(',')}\n`).join('');
  }
  const columnData = names.map((name) => ({
    name,
    ...typed(
      flat.map((row) => row[name] ?? null),
      types[name] ?? types[name.replace(/\.\d+$/, '')],
    ),
  }));
  const unsigned = columnData.filter(({ type }) => type === 'UINT64').map(({ name }) => [name, unsignedElement(name)]);
  const plain = columnData.map(({ name, data, type }) => ({ name, data, ...(type !== 'UINT64' && { type }) }));
  const schema = schemaFromColumnData({ columnData: plain, schemaOverrides: Object.fromEntries(unsigned) });
  return new Uint8Array(parquetWriteBuffer({ columnData: plain.map(({ name, data }) => ({ name, data })), schema }));
}

/** Parquet has no type of that size without a sign, but a note on one with it. */
function unsignedElement(name) {
  return { name, type: 'INT64', converted_type: 'UINT_64', repetition_type: 'OPTIONAL' };
}

/** JSON has no whole numbers beyond 2^53: those are text. */
function withoutBigInt(_, value) {
  if (typeof value !== 'bigint') return value;
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
}

/** What a table holds, as an output can: dates in ISO 8601, objects as JSON. Whole numbers of 64 bits stay, they are ids more often than not. */
export function keptValue(value) {
  if (value === null || value === undefined) return null;
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value)) return Array.from(value);
  if (Array.isArray(value)) return value.map(keptValue);
  return typeof value === 'object' ? JSON.stringify(value, withoutBigInt) : value;
}

/** A list becomes one column for each element: scores.0, scores.1 … */
function flattened(row) {
  return Object.fromEntries(
    Object.entries(row).flatMap(([name, value]) =>
      Array.isArray(value) ? value.map((one, i) => [`${name}.${i}`, one]) : [[name, value]],
    ),
  );
}

function csvCell(value) {
  const text = value === null || value === undefined ? '' : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param info of the model @param {string[]} keep @param {Record<string, string | undefined>} [given] types of the table's columns */
export function typesOf(info, keep, given = {}) {
  const entries = info.outputs.map(({ name, datatype }) => [name, parquetTypes[datatype] ?? 'INT64']);
  const kept = keep.map((name) => [name, given[name]]);
  return { row: 'INT64', ...Object.fromEntries(kept), ...Object.fromEntries(entries) };
}

const whole = (value) => (value === null ? null : BigInt(value));
const text = (value) => (value === null ? null : String(value));

/** Columns that were kept have the type of what is in them. */
function typed(data, type) {
  if (type === 'INT64' || type === 'UINT64') return { data: data.map(whole), type };
  if (type === 'STRING') return { data: data.map(text), type };
  if (type !== undefined) return { data, type };
  const present = data.filter((value) => value !== null);
  // Of columns without a type of their own most are moments and objects, which are text.
  if (present.length === 0) return { data, type: 'STRING' };
  if (present.every((value) => typeof value === 'boolean')) return { data, type: 'BOOLEAN' };
  if (present.every((value) => typeof value === 'number')) return { data, type: 'DOUBLE' };
  const fits = (value) => typeof value === 'bigint' && BigInt.asIntN(64, value) === value;
  if (present.every(fits)) return { data, type: 'INT64' };
  return { data: data.map(text), type: 'STRING' };
}
