/** Pieces of GitHub-flavoured Markdown in which nothing out of a report can become markup. */

/** A table whose columns between the first and the last align right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  // A bar ends a cell even within a code span.
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replace(/(?<!\\)\|/g, '\\|')).join(' | ')} |`;
  const rule = head.map((_, index) => (index === 0 || index === head.length - 1 ? '---' : '--:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

export const clip = (value: string): string => (value.length > 400 ? `${value.slice(0, 399)}…` : value);

/** Line breaks and control characters would end a table row or a list item. */
const flat = (value: string): string =>
  value.replace(/[\p{Cc}\p{Cs}\u2028\u2029\u202A-\u202E\u2066-\u2069]+/gu, ' ').trim();

/** Plain text: no markup, no HTML, no formulas, no mention of a person or an issue. */
export function text(value: string): string {
  return (
    flat(value)
      .replace(/[\\`*_{}[\]<>|~&]/g, (character) => (character === '&' ? '&amp;' : `\\${character}`))
      // Two of them on a line, and GitHub sets what is between as a formula; a backslash does not keep it from that.
      .replaceAll('$', '<span>$$</span>')
      .replace(/[@#](?=[\w-])/g, '$&<!-- -->')
      .replace(/^[-+#=]/, '\\$&')
      .replace(/\b(https?|www)(:\/\/|\.)/gi, '$1<!-- -->$2')
  );
}

/** A code span; fenced by more backticks than are in it. */
export function code(value: string): string {
  const content = flat(clip(value));
  if (content === '') return '–';
  const longest = Math.max(0, ...[...content.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  const pad = longest > 0 ? ' ' : '';
  return `${fence}${pad}${content}${pad}${fence}`;
}
