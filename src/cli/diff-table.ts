import type { ReportDiff, VariantDiff } from '../report/diff/diff.ts';
import type { DiffCall } from '../report/diff/row.ts';
import { callWords, diffSentences } from '../report/diff/words.ts';
import { sentence } from '../report/words.ts';
import { columns, printable, shortName, widthOf, wrap } from './columns.ts';
import type { TextSink } from './io.ts';
import type { Talk } from './talk.ts';

/** Two runs on a terminal: the sentences, then the rows of each variant that both have. */
export function printDiff(diff: ReportDiff, talk: Talk, sink: TextSink): void {
  const { style } = talk;
  const width = widthOf(sink);
  const say = (text: string): void => talk.out(width === undefined ? text : wrap(text, width).join('\n'));
  for (const one of diffSentences(diff)) say(printable(one));
  for (const one of diff.differences) say(style.yellow(printable(sentence(one))));
  for (const variant of diff.variants) {
    talk.out('');
    talk.out(
      columns([[style.bold(shortName(variant.name, width)), printable(headOf(variant))]], { width, paint: style.dim }),
    );
    const paint: Readonly<Record<DiffCall, (text: string) => string>> = {
      better: style.green,
      worse: style.red,
      same: style.dim,
      noise: style.dim,
      machine: style.yellow,
      unclear: style.yellow,
    };
    const rows = variant.rows.map(({ measure, before, after, change, call }) => [
      `  ${shortName(measure, width)}`,
      before,
      after,
      paint[call](callWords[call]),
      change,
    ]);
    if (rows.length > 0) talk.out(columns(rows, { right: [1, 2], width, paint: style.dim }));
  }
}

function headOf({ note, verdict: { before, after } }: VariantDiff): string {
  if (note !== '') return note;
  return before === after ? (after ?? '') : `${before} → ${after}`;
}
