import { UserError } from '../errors.ts';

/**
 * Columns of a CSV text by the names in its first line (RFC 4180: fields in quotes may hold separators, line ends and doubled quotes).
 * Cells are texts. A byte order mark and empty lines are skipped; a semicolon separates where the first line has no comma.
 * @throws UserError naming the line whose number of cells differs from that of the first, a name that occurs twice, or an open quote
 */
export function parseCsv(text: string, separator: string, path: string): Map<string, unknown[]> {
  const body = text.startsWith('\uFEFF') ? text.slice(1) : text;
  const firstLine = /^[^\r\n]*/.exec(body)?.[0] ?? '';
  const mark = separator === ',' && !firstLine.includes(',') && firstLine.includes(';') ? ';' : separator;
  let head: string[] | undefined;
  const columns: unknown[][] = [];
  for (const { line, cells } of records(body, mark, path)) {
    if (!head) {
      head = cells.map((cell) => cell.trim());
      const twice = head.find((name, at) => head?.indexOf(name) !== at);
      if (twice !== undefined) throw new UserError('table-csv', `${path} has two columns named "${twice}".`);
      for (const _ of head) columns.push([]);
    } else if (cells.length !== head.length) {
      throw new UserError(
        'table-csv',
        `${path}, line ${line}, has ${cells.length} cells; the first line names ${head.length} columns.`,
      );
    } else for (const [at, cell] of cells.entries()) columns[at]?.push(cell);
  }
  if (!head) throw new UserError('table-csv', `${path} is empty; its first line must name the columns.`);
  return new Map(head.map((name, at) => [name, columns[at] ?? []]));
}

function* records(text: string, separator: string, path: string): Generator<{ line: number; cells: string[] }> {
  let [at, line] = [0, 1];
  while (at < text.length) {
    const first = line;
    const cells: string[] = [];
    const start = at;
    for (;;) {
      let cell: string;
      if (text[at] === '"') {
        const parts: string[] = [];
        for (;;) {
          const close = text.indexOf('"', at + 1);
          if (close < 0) throw new UserError('table-csv', `${path}, line ${first}: a quote is never closed.`);
          parts.push(text.slice(at + 1, close));
          at = close + 1;
          if (text[at] !== '"') break;
        }
        cell = parts.join('"');
        line += cell.split('\n').length - 1;
        if (at < text.length && text[at] !== separator && text[at] !== '\n' && text[at] !== '\r')
          throw new UserError('table-csv', `${path}, line ${line}: something stands behind a closing quote.`);
      } else {
        let end = at;
        while (end < text.length && text[end] !== separator && text[end] !== '\n' && text[end] !== '\r') end++;
        cell = text.slice(at, end);
        at = end;
      }
      cells.push(cell);
      if (text[at] !== separator) break;
      at++;
    }
    const isEmpty = at === start;
    if (text[at] === '\r') at++;
    if (text[at] === '\n') at++;
    line++;
    if (!isEmpty) yield { line: first, cells };
  }
}
