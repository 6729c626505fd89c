/** Output files, each whole or not there: written beside, synced, renamed. */

import { open, readFile, rename, rm } from 'node:fs/promises';
import { parquetWriteBuffer } from 'hyparquet-writer';

export async function writeWhole(path, bytes) {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, 'w');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
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
const parquetTypes = { BOOL: 'BOOLEAN', FP16: 'DOUBLE', FP32: 'DOUBLE', FP64: 'DOUBLE', BYTES: 'STRING' };

/** @param {Record<string, string>} types column → Parquet's type; a column of an output with several elements counts as the output */
export function encodeRows(rows, format, types = {}) {
  if (format === 'jsonl') return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
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
  return new Uint8Array(parquetWriteBuffer({ columnData }));
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

export function typesOf(info) {
  const entries = info.outputs.map(({ name, datatype }) => [name, parquetTypes[datatype] ?? 'INT64']);
  return { row: 'INT64', ...Object.fromEntries(entries) };
}

const whole = (value) => (value === null ? null : BigInt(value));
const text = (value) => (value === null ? null : String(value));

/** Columns that were kept have the type of what is in them. */
function typed(data, type) {
  if (type === 'INT64') return { data: data.map(whole), type };
  if (type === 'STRING') return { data: data.map(text), type };
  if (type !== undefined) return { data, type };
  const present = data.filter((value) => value !== null);
  if (present.every((value) => typeof value === 'boolean')) return { data, type: 'BOOLEAN' };
  if (present.every((value) => typeof value === 'number')) return { data, type: 'DOUBLE' };
  return { data: data.map(text), type: 'STRING' };
}
