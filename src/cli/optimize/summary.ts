import type { Report } from '../../report/report.ts';
import { summarize } from '../../report/summary.ts';
import { type Talk, table } from '../talk.ts';

/** The terminal's end of `optimize`: what was measured, the verdict, where things are. */
export function printSummary(report: Report, out: string, talk: Talk): void {
  const { style } = talk;
  const summary = summarize(report);
  const header = ['variant', 'size', 'of base', 'download', 'p50', '× base', 'accuracy', 'verdict', ''].map((text) =>
    style.dim(text),
  );
  const rows = summary.rows.map((row) => {
    const colour = { recommended: style.green, accepted: style.reset, rejected: style.red }[row.verdict];
    const name = row.verdict === 'recommended' ? style.bold(row.variant) : row.variant;
    const mark = { recommended: '★ ', accepted: '', rejected: '' }[row.verdict];
    return [
      name,
      row.size,
      row.ofBase,
      row.download,
      row.latency,
      row.ratio,
      row.accuracy,
      colour(mark + row.verdict),
      style.dim(shorten(row.reason)),
    ];
  });
  talk.out(table([header, ...rows], [1, 2, 3, 4, 5, 6]));
  talk.out('');
  for (const sentence of summary.sentences) talk.out(sentence);
  talk.out('');
  talk.out(`${style.bold('report')}   ${out}/report.html  (report.json for machines)`);
  for (const bundle of report.bundles)
    talk.out(
      `${style.bold('bundle')}   ${out}/${bundle.dir}  (${bundle.variant}; try: mlpack check ${out}/${bundle.dir})`,
    );
}

function shorten(text: string): string {
  return text.length > 100 ? `${text.slice(0, 99)}…` : text;
}
