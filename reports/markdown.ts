/** For pull requests and job summaries: GitHub-flavoured, nothing in it that a name in a model could turn into markup. */

import { formatMs } from '../src/messages.ts';
import { baseOf, downloadBytes, isSynthetic, leftAlone, measuredProviders, ratio } from '../src/report/facts.ts';
import type { Report, VariantResult } from '../src/report/report.ts';
import type { Reporter } from '../src/report/reporter.ts';
import { type SummaryRow, summarize } from '../src/report/summary.ts';
import { formatDrop, formatPart, formatSize, judgementSentence, ratioWords, sentence } from '../src/report/words.ts';
import { clip, code, table, text } from './markdown/write.ts';

export const markdown: Reporter = {
  id: 'md',
  summary: 'a comment for a pull request',
  render(report) {
    const { sentences, provider, rows } = summarize(report);
    const [verdict = 'Nothing can be recommended.', ...rest] = sentences;
    const blocks = [
      `## mlpack: ${text(verdict)}`,
      ...rest.map((one) =>
        isSynthetic(report) && one === judgementSentence(report) ? `> [!WARNING]\n> ${text(one)}` : text(one),
      ),
      variantTable(report, rows, provider),
      ...otherProviders(report),
      rejections(report),
      bundleList(report),
      details(report),
    ];
    return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
  },
};

const marks = { recommended: '**recommended**', accepted: 'accepted', rejected: 'rejected' } as const;

function variantTable(report: Report, rows: readonly SummaryRow[], provider: string | undefined): string {
  const latency = provider === undefined ? [] : [`latency, ${text(provider)}`, '× base (95 %)'];
  const lines = rows.map((row, index) => {
    const variant = report.variants[index] as VariantResult;
    const timed = provider === undefined ? undefined : variant.latency[provider];
    const { accuracy } = variant;
    return [
      code(row.variant),
      row.size,
      row.download,
      formatPart(ratio(downloadBytes(variant), downloadBytes(baseOf(report)))),
      ...(provider === undefined
        ? []
        : [row.latency, timed && variant.name !== 'base' ? ratioWords(timed) : row.ratio]),
      accuracy && variant.name !== 'base' ? `${row.accuracy} (${formatDrop(accuracy)})` : row.accuracy,
      marks[row.verdict],
    ];
  });
  return table(['variant', 'file', 'download', 'of base', ...latency, 'accuracy', 'verdict'], lines);
}

/** The first provider is in the main table. */
function otherProviders(report: Report): string[] {
  return measuredProviders(report)
    .slice(1)
    .map((provider) => {
      const rows = report.variants.flatMap((variant) => {
        const latency = variant.latency[provider];
        return latency ? [[code(variant.name), formatMs(latency.p50), ratioWords(latency)]] : [];
      });
      return table(['variant', `latency, ${text(provider)}`, '× base (95 %)'], rows);
    });
}

function rejections(report: Report): string {
  const lines = report.variants
    .filter((variant) => variant.verdict === 'rejected')
    .map(
      (variant) =>
        `- ${code(variant.name)}: ${variant.reasons.map((reason) => text(sentence(clip(reason)))).join(' ')}`,
    );
  return lines.length > 0 ? `**Rejected**\n\n${lines.join('\n')}` : '';
}

function bundleList({ bundles }: Report): string {
  const lines = bundles.map(
    ({ target, variant, dir, bytes, files }) =>
      `- ${text(target)}: ${code(variant)} in ${code(dir)}, ${formatSize(bytes)}, ${files} ${files === 1 ? 'file' : 'files'}`,
  );
  return lines.length > 0 ? `**Bundles**\n\n${lines.join('\n')}` : '';
}

const reasonsShown = 10;

/** Folded: what stands in the way of more, and how to get the same again. */
function details(report: Report): string {
  const { host, input, command, seed } = report;
  const skipped = report.variants.flatMap((variant) => variant.steps.flatMap((step) => step.skipped));
  // Variants share steps: the same node and reason counts once.
  const distinct = [...new Map(skipped.map((one) => [`${one.rule}\0${one.node}\0${one.why}`, one])).values()];
  const reasons = leftAlone(distinct).slice(0, reasonsShown);
  const lines = reasons.map(({ why, members }) => `- ×${members.length} ${text(sentence(clip(why)))}`);
  return [
    '<details><summary>What was left alone, and how to do it again</summary>',
    ...(lines.length > 0 ? [`**Left alone**\n\n${lines.join('\n')}`] : []),
    '**Again**',
    [
      `- command: ${code(command)}`,
      `- seed ${seed}, mlpack ${text(report.tool.version)}, ONNX Runtime ${text(host.ort)}, Node ${text(host.node)}`,
      `- machine: ${text(host.cpu)}, ${host.cores} cores, ${text(host.platform)}`,
      `- model: ${code(input.path)}, SHA-256 ${code(input.sha256)}`,
    ].join('\n'),
    '</details>',
  ].join('\n\n');
}
