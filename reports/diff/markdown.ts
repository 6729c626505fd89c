import type { ReportDiff, VariantDiff } from '../../src/report/diff/diff.ts';
import type { DiffCall } from '../../src/report/diff/row.ts';
import { callWords, diffSentences } from '../../src/report/diff/words.ts';
import { sentence } from '../../src/report/words.ts';
import { code, table, text } from '../markdown/write.ts';

const marks: Readonly<Record<DiffCall, string>> = {
  better: '🟢',
  worse: '🔴',
  same: '',
  noise: '',
  machine: '',
  unclear: '',
};

/** For a pull request: the sentences, then a table a variant. */
export function diffMarkdown(diff: ReportDiff): string {
  const blocks = [
    '## mlpack: two runs',
    ...diffSentences(diff).map(text),
    ...(diff.differences.length > 0
      ? [`The runs differ:\n\n${diff.differences.map((one) => `- ${text(sentence(one))}`).join('\n')}`]
      : []),
    ...diff.variants.flatMap(variantBlocks),
    `before: ${code(diff.before.command)}, ${text(diff.before.createdAt)}, machine ${text(diff.before.machine)}  \nafter: ${code(diff.after.command)}, ${text(diff.after.createdAt)}, machine ${text(diff.after.machine)}`,
  ];
  return `${blocks.join('\n\n')}\n`;
}

function variantBlocks(variant: VariantDiff): string[] {
  const head = `### ${code(variant.name)}`;
  if (variant.note !== '') return [head, text(sentence(variant.note))];
  const rows = variant.rows.map((row) => [
    text(row.measure),
    text(row.before),
    text(row.after),
    text(row.change),
    `${marks[row.call]} ${callWords[row.call]}`.trim(),
  ]);
  return [head, text(verdictWords(variant)), table(['', 'before', 'after', 'change', ''], rows)];
}

export function verdictWords({ verdict: { before, after }, sameFile }: VariantDiff): string {
  const file = sameFile === null ? '' : sameFile ? ', the same file' : ', another file';
  return before === after ? `${after}${file}` : `${before} before, ${after} after${file}`;
}
