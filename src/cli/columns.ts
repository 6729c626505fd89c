/** Tables that fit the terminal: text wraps or moves below its row instead of breaking the columns. */
import type { TextSink } from './io.ts';

/** Columns of the terminal, or undefined where the output goes to a file or a pipe, whose lines may be long. */
export const widthOf = (sink: TextSink): number | undefined =>
  sink.isTTY === true && sink.columns !== undefined && sink.columns > 0 ? sink.columns : undefined;

/** Names and reasons come out of models and reports: control characters could drive the terminal. */
export const printable = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cs}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu, (character) =>
    character === '\n' || character === '\t' ? ' ' : '\uFFFD',
  );

/** A name that leaves the row readable: long ones lose their middle. */
export function shortName(text: string, width: number | undefined): string {
  const characters = Array.from(printable(text));
  const room = width === undefined ? 60 : Math.max(8, Math.min(40, width - 6));
  if (characters.length <= room) return characters.join('');
  const tail = Math.floor((room - 1) / 2);
  return `${characters.slice(0, room - 1 - tail).join('')}…${characters.slice(characters.length - tail).join('')}`;
}

const gap = '  ';
/** Narrower than this text is not worth a column of its own. */
const leastText = 28;

const lengthOf = (text: string): number => Array.from(text.replace(/\u001b\[[0-9;]*m/g, '')).length;

/** Lines of at most `width` characters; words longer than that are cut. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    let rest = Array.from(word);
    if (line !== '' && lengthOf(line) + 1 + rest.length > width) {
      lines.push(line);
      line = '';
    }
    while (rest.length > width) {
      lines.push(rest.slice(0, width).join(''));
      rest = rest.slice(width);
    }
    line = line === '' ? rest.join('') : `${line} ${rest.join('')}`;
  }
  return line === '' && lines.length > 0 ? lines : [...lines, line];
}

export interface ColumnOptions {
  /** Columns that align right. */
  readonly right?: readonly number[];
  /** Of the terminal; undefined: as long as it gets. */
  readonly width?: number | undefined;
  /** How text that wraps is coloured, line by line. */
  readonly paint?: (line: string) => string;
}

/**
 * Rows of short cells, the last of which is text without colour: it wraps beside the row, or stands below it, indented, where there is
 * no room. Where even the short cells are too wide, each row becomes a paragraph.
 */
export function columns(rows: readonly (readonly string[])[], options: ColumnOptions = {}): string {
  const { right = [], width, paint = (line: string) => line } = options;
  const count = Math.max(0, ...rows.map((row) => row.length)) - 1;
  const widths = Array.from({ length: count }, (_, at) => Math.max(0, ...rows.map((row) => lengthOf(row[at] ?? ''))));
  const head = widths.reduce((sum, one) => sum + one + gap.length, 0);
  const lines = rows.map((row) => {
    const cells = widths.map((one, at) => {
      const cell = row[at] ?? '';
      const pad = ' '.repeat(one - lengthOf(cell));
      return right.includes(at) ? pad + cell : cell + pad;
    });
    const text = row[count] ?? '';
    const start = cells.join(gap);
    if (width === undefined) return (text === '' ? start : start + gap + paint(text)).trimEnd();
    if (head - gap.length > width)
      return [...wrapCells(row.slice(0, count), width), ...below(text, width, paint)].join('\n');
    if (text === '') return start.trimEnd();
    if (width - head < leastText) return [start.trimEnd(), ...below(text, width, paint)].join('\n');
    const [first = '', ...rest] = wrap(text, width - head);
    return [start + gap + paint(first), ...rest.map((line) => ' '.repeat(head) + paint(line))].join('\n');
  });
  return lines.join('\n');
}

function below(text: string, width: number, paint: (line: string) => string): string[] {
  return text === '' ? [] : wrap(text, Math.max(8, width - 4)).map((line) => `    ${paint(line)}`);
}

/** Cells in a row as long as they fit; coloured cells stay whole. */
function wrapCells(cells: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const cell of cells) {
    if (cell === '') continue;
    const last = lines.at(-1);
    if (last !== undefined && lengthOf(last) + gap.length + lengthOf(cell) <= width)
      lines[lines.length - 1] = last + gap + cell;
    else lines.push(lines.length === 0 ? cell : `    ${cell}`);
  }
  return lines;
}
