/** Tables in pieces: Parquet by row group, CSV and JSON Lines by a number of rows. Each piece is read by itself. */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { jsonLines } from './lines.mjs';
import { problem } from './problem.mjs';
import { replacement, textPieces } from './utf8.mjs';

/** Rows of a piece where the file does not say itself. */
export const pieceRows = 8192;

export function formatOf(path) {
  const ending = path.match(/\.(parquet|csv|tsv|jsonl|ndjson)$/i)?.[1].toLowerCase();
  if (ending === undefined) throw new Error(`${path}: the name must end in .parquet, .csv, .tsv, .jsonl or .ndjson`);
  return ending === 'ndjson' ? 'jsonl' : ending;
}

/**
 * Pieces of a file, in order: { first, columns, types?, rows(): Promise<object[]> }, `first` being the number of its first row, `columns` the names in
 * the order of the table, which an object does not keep where they are numbers; undefined where each row has its own.
 */
export async function* pieces(path) {
  const format = formatOf(path);
  if (format === 'parquet') yield* rowGroups(path);
  else if (format === 'jsonl') yield* chunks(jsonLines(path));
  else {
    const head = {};
    yield* chunks(delimited(path, format === 'tsv' ? '\t' : ',', head), head);
  }
}

async function* rowGroups(path) {
  // Missing files and folders are said by the system, in its words.
  const { size } = await stat(path);
  if (size === 0) throw new Error(`${path} is empty: even a Parquet file without rows holds its columns`);
  const file = await asyncBufferFromFile(path);
  const metadata = await readable(path, () => parquetMetadataAsync(file));
  const fields = parquetSchema(metadata).children;
  const columns = fields.map(({ element }) => element.name);
  const types = Object.fromEntries(fields.map((field) => [field.element.name, keptType(field)]));
  let first = 0;
  for (const group of metadata.row_groups) {
    const [rowStart, rowEnd] = [first, first + Number(group.num_rows)];
    const rows = () => parquetReadObjects({ file, metadata, rowStart, rowEnd, compressors });
    yield { first, columns, types, rows: () => readable(`${path}, rows ${rowStart} to ${rowEnd - 1},`, rows) };
    first = rowEnd;
  }
}

const plainTypes = { BOOLEAN: 'BOOLEAN', INT64: 'INT64', INT32: 'DOUBLE', FLOAT: 'DOUBLE', DOUBLE: 'DOUBLE' };

/** The type that a kept column has in every part, also where all of a part is null; undefined: that of what is in it. */
function keptType({ element: { type, converted_type: note, logical_type: logical }, children }) {
  if (children.length > 0) return undefined;
  if (type === 'BYTE_ARRAY' && note === 'UTF8') return 'STRING';
  return note === undefined && logical === undefined ? plainTypes[type] : undefined;
}

/** What the reader says of bytes and offsets is nothing without the file. */
async function readable(what, read) {
  try {
    return await read();
  } catch (error) {
    throw new Error(`${what} cannot be read as Parquet: ${error.message}`, { cause: error });
  }
}

/** @param {{ columns?: string[] }} head filled in by whoever reads the records */
async function* chunks(records, head = {}) {
  let first = 0;
  let rows = [];
  for await (const record of records) {
    rows.push(record);
    if (rows.length < pieceRows) continue;
    const whole = rows;
    yield { first, columns: head.columns, rows: async () => whole };
    first += whole.length;
    rows = [];
  }
  if (rows.length > 0) yield { first, columns: head.columns, rows: async () => rows };
}

/** RFC 4180: quotes, doubled quotes, line ends inside quotes. The first record names the columns. */
async function* delimited(path, separator, head) {
  let names;
  for await (const { record, damaged } of records(path, separator)) {
    if (names === undefined) {
      if (damaged) throw new Error(`${path} is not UTF-8, by its first line; save or convert it as UTF-8`);
      head.columns = names = record.map((name) => name.trim());
      const twice = names.find((name, i) => names.indexOf(name) < i);
      if (twice !== undefined)
        throw new Error(`${path}: two columns are named "${twice}"; give each a name of its own`);
    } else if (damaged) yield { [problem]: 'the row is not UTF-8' };
    else if (record.length !== names.length)
      yield { [problem]: `the row has ${record.length} cells, and the head ${names.length}` };
    else yield Object.fromEntries(names.map((name, i) => [name, record[i]]));
  }
}

async function* records(path, separator) {
  let [record, cell, quoted, afterQuote, started] = [[], '', false, false, false];
  let skipLineFeed = false;
  let [line, openedAt] = [1, 1];
  // Of the record that is not whole yet: whether bytes of it were no text.
  let bad = false;
  for await (const { text, damaged } of textPieces(createReadStream(path))) {
    for (const letter of text) {
      if (skipLineFeed && letter === '\n') {
        skipLineFeed = false;
        continue;
      }
      skipLineFeed = false;
      if (damaged && letter === replacement) bad = true;
      if (letter === '\n' || letter === '\r') line++;
      if (quoted && letter === '"') [quoted, afterQuote] = [false, true];
      else if (quoted) cell += letter;
      else if (letter === '"' && afterQuote) [cell, quoted, afterQuote] = [`${cell}"`, true, false];
      else if (letter === '"' && cell === '') [quoted, started, openedAt] = [true, true, line];
      else if (letter === separator) {
        record.push(cell);
        [cell, afterQuote, started] = ['', false, true];
      } else if (letter === '\n' || letter === '\r') {
        if (started || cell !== '') yield { record: [...record, cell], damaged: bad };
        [record, cell, afterQuote, started, bad] = [[], '', false, false, false];
        skipLineFeed = letter === '\r';
      } else [cell, started] = [cell + letter, true];
    }
  }
  // All that follows would be one cell, and its rows gone.
  if (quoted) throw new Error(`${path}: a quote that line ${openedAt} opens is closed nowhere`);
  if (started || cell !== '') yield { record: [...record, cell], damaged: bad };
}
