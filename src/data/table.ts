import { constants } from 'node:buffer';
import { extname } from 'node:path';
import { UserError } from '../errors.ts';
import { nearest } from '../messages.ts';
import { parseCsv } from './csv.ts';
import { readWhole } from './read-whole.ts';

/** Rows of named cells: a CSV, JSON Lines, JSON or Parquet file. Cells are texts, numbers, booleans, lists or objects, as the file has them. */
export interface Table {
  readonly path: string;
  readonly columns: readonly string[];
  readonly rows: number;
  /** @throws UserError when there is no such column */
  column(name: string): readonly unknown[];
}

/** Tables are held in memory. */
const mostBytes = 2 ** 30;

/**
 * @param columns those wanted; a Parquet file is read no further
 * @throws UserError when the file is damaged or lacks a column
 */
export async function openTable(path: string, columns: readonly string[]): Promise<Table> {
  const ending = extname(path).toLowerCase();
  if (ending === '.parquet') return openParquet(path, columns);
  const text = decode(await readWhole(path, mostBytes), path);
  const cells =
    ending === '.csv' || ending === '.tsv'
      ? parseCsv(text, ending === '.tsv' ? '\t' : ',', path)
      : ending === '.txt'
        ? new Map([['text', text.replace(/\r?\n$/, '').split(/\r?\n/) as unknown[]]])
        : fromRecords(ending === '.json' ? parseJson(text, path) : parseLines(text, path), path);
  return makeTable(path, cells);
}

/** Names of a table's columns. @throws UserError when the file is damaged */
export async function columnsOf(path: string): Promise<readonly string[]> {
  if (extname(path).toLowerCase() !== '.parquet') return (await openTable(path, [])).columns;
  const { asyncBufferFromFile, parquetMetadataAsync, parquetSchema } = await import('hyparquet');
  try {
    const metadata = await parquetMetadataAsync(await asyncBufferFromFile(path));
    return parquetSchema(metadata).children.map(({ element }) => element.name);
  } catch (error) {
    throw unreadable(path, error);
  }
}

export function isTable(path: string): boolean {
  return ['.csv', '.tsv', '.json', '.jsonl', '.ndjson', '.parquet', '.txt'].includes(extname(path).toLowerCase());
}

function makeTable(path: string, cells: ReadonlyMap<string, readonly unknown[]>): Table {
  const columns = [...cells.keys()];
  return {
    path,
    columns,
    rows: cells.get(columns[0] ?? '')?.length ?? 0,
    column(name) {
      const column = cells.get(name);
      if (column) return column;
      throw new UserError(
        'table-column',
        `${path} has no column "${name}"${nearest(name, columns) || ` (it has ${columns.slice(0, 20).join(', ')})`}.`,
      );
    },
  };
}

function decode(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_STRING_TOO_LONG')
      throw new UserError(
        'table-size',
        `${path} has ${bytes.length} bytes, more than a text may have (${constants.MAX_STRING_LENGTH} characters): split it, or save it as Parquet or .npy.`,
        { cause: error },
      );
    throw new UserError('table-text', `${path} is no UTF-8 text; save it as UTF-8.`, { cause: error });
  }
}

function parseJson(text: string, path: string): unknown[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UserError('table-json', `${path} cannot be read as JSON: ${(error as Error).message}.`, { cause: error });
  }
  if (Array.isArray(json)) return json;
  throw new UserError('table-json', `${path} must hold an array, one entry a sample.`);
}

function parseLines(text: string, path: string): unknown[] {
  const records: unknown[] = [];
  for (const [line, content] of text.split('\n').entries()) {
    if (content.trim() === '') continue;
    try {
      records.push(JSON.parse(content));
    } catch (error) {
      throw new UserError('table-json', `${path}, line ${line + 1}, is no valid JSON: ${(error as Error).message}.`, {
        cause: error,
      });
    }
  }
  return records;
}

/** Objects by their keys; plain texts and numbers become the column `text` or `value`. */
function fromRecords(records: readonly unknown[], path: string): Map<string, unknown[]> {
  const cells = new Map<string, unknown[]>();
  const put = (column: string, row: number, value: unknown): void => {
    const known = cells.get(column) ?? Array.from({ length: records.length }, () => undefined as unknown);
    known[row] = value;
    cells.set(column, known);
  };
  for (const [row, record] of records.entries()) {
    if (typeof record === 'string') put('text', row, record);
    else if (typeof record === 'number') put('value', row, record);
    else if (typeof record === 'object' && record !== null && !Array.isArray(record))
      for (const [key, value] of Object.entries(record)) put(key, row, value);
    else throw new UserError('table-json', `${path}: entry ${row + 1} is neither an object nor a text nor a number.`);
  }
  return cells;
}

/** Declared by the file itself, so believed only up to here. */
const mostRows = 1e8;

async function openParquet(path: string, columns: readonly string[]): Promise<Table> {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } = await import('hyparquet');
  const { compressors } = await import('hyparquet-compressors');
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    const known = parquetSchema(metadata).children.map(({ element }) => element.name);
    const missing = columns.find((column) => !known.includes(column));
    if (missing !== undefined)
      throw new UserError('table-column', `${path} has no column "${missing}"${nearest(missing, known)}.`);
    const rows = Number(metadata.num_rows);
    if (rows > mostRows)
      throw new UserError('table-size', `${path} declares ${rows} rows; at most ${mostRows} are read.`);
    const bytes = metadata.row_groups.reduce(
      (sum, group) =>
        sum +
        group.columns.reduce(
          (all, column) =>
            all +
            Number(
              columns.includes(column.meta_data?.path_in_schema[0] ?? '')
                ? (column.meta_data?.total_uncompressed_size ?? 0)
                : 0,
            ),
          0,
        ),
      0,
    );
    if (bytes > 4 * mostBytes)
      throw new UserError('table-size', `${path} would unpack to ${bytes} bytes; at most ${4 * mostBytes} are read.`);
    const records = await parquetReadObjects({ file, metadata, columns: [...columns], compressors });
    return makeTable(
      path,
      new Map(columns.map((column) => [column, records.map((record) => record[column] as unknown)])),
    );
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw unreadable(path, error);
  }
}

const unreadable = (path: string, error: unknown): UserError =>
  new UserError('table-parquet', `${path} cannot be read as Parquet: ${(error as Error).message}.`, { cause: error });
