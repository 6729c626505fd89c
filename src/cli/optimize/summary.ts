import type { Report } from '../../report/report.ts';
import { summarize } from '../../report/summary.ts';
import { shellWord } from '../../shell-word.ts';
import { columns, printable, shortName, widthOf, wrap } from '../columns.ts';
import type { TextSink } from '../io.ts';
import type { Talk } from '../talk.ts';

/** The terminal's end of `optimize`: what was measured, the verdict, where things are. */
export function printSummary(report: Report, out: string, talk: Talk, sink: TextSink): void {
  const { style } = talk;
  const width = widthOf(sink);
  const summary = summarize(report);
  const header = ['variant', 'size', 'of base', 'download', 'p50', '× base', 'accuracy', 'verdict'].map((text) =>
    style.dim(text),
  );
  const rows = summary.rows.map((row) => {
    const colour = { recommended: style.green, accepted: style.reset, rejected: style.red }[row.verdict];
    const name = shortName(row.variant, width);
    const mark = { recommended: '★ ', accepted: '', rejected: '' }[row.verdict];
    return [
      row.verdict === 'recommended' ? style.bold(name) : name,
      row.size,
      row.ofBase,
      row.download,
      row.latency,
      row.ratio,
      row.accuracy,
      colour(mark + row.verdict),
      shorten(printable(row.reason)),
    ];
  });
  talk.out(columns([[...header, ''], ...rows], { right: [1, 2, 3, 4, 5, 6], width, paint: style.dim }));
  talk.out('');
  for (const sentence of summary.sentences.map(printable))
    talk.out(width === undefined ? sentence : wrap(sentence, width).join('\n'));
  if (out === '') return;
  talk.out('');
  talk.out(`${style.bold('report')}   ${out}/report.html  (report.json for machines)`);
  for (const bundle of report.bundles)
    talk.out(
      `${style.bold('bundle')}   ${out}/${bundle.dir}  (${bundle.variant}; try: mlpack check ${shellWord(`${out}/${bundle.dir}`)})`,
    );
}

/** Long enough for a reason with its remedy (the longest of ten trained models had 172 characters); report.html has the rest. */
const longestReason = 300;

function shorten(text: string): string {
  if (text.length <= longestReason) return text;
  const words = text.slice(0, longestReason - 1);
  return `${words.slice(0, Math.max(words.lastIndexOf(' '), longestReason / 2))}…`;
}
