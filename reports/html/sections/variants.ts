import { formatCount, formatMs } from '../../../src/messages.ts';
import { baseOf, downloadBytes, hasAccuracy, measuredProviders, ratio } from '../../../src/report/facts.ts';
import type { Latency, Report, VariantResult } from '../../../src/report/report.ts';
import {
  formatDrop,
  formatMetric,
  formatPart,
  formatSize,
  none,
  ratioWords,
  sentence,
} from '../../../src/report/words.ts';
import { shorten } from '../budget.ts';
import { type Html, html, type Part } from '../escape.ts';
import { badge, code, facts, kindOf, plural, type Section, variantId, variantName } from '../parts.ts';

/** Roles are spelled out because on a phone the rows become cards, and `display` would take their meaning away. */
export function variants(report: Report): Section {
  const providers = measuredProviders(report);
  const base = baseOf(report);
  const columns = ['Variant', 'File', 'Download', ...providers.map((provider) => `Latency, ${provider}`), 'Accuracy'];
  const head = columns.map((column) => html`<th scope="col" role="columnheader">${column}</th>`);
  const bodies = report.variants.map(
    (
      variant,
    ) => html`<tbody role="rowgroup" id="${variantId(report, variant)}" class="k-${kindOf(variant)}"><tr role="row">${cells(variant, base, columns, providers)}</tr>
<tr role="row" class="why"><td role="cell" colspan="${columns.length}">${why(variant)}</td></tr></tbody>`,
  );
  const rejected = report.variants.filter((variant) => variant.verdict === 'rejected').length;
  return {
    id: 'variants',
    title: 'Variants',
    lede: `${plural(report.variants.length, 'version')} of the model; ${rejected === 0 ? 'none was rejected' : `${rejected} rejected, with the reason`}.`,
    body: html`<table class="variants" role="table" aria-label="Variants"><thead role="rowgroup"><tr role="row">${head}</tr></thead>${bodies}</table>${notBuilt(report)}`,
  };
}

/** What could have been tried, and why it was not. */
function notBuilt({ notBuilt: left = [] }: Report): Html {
  if (left.length === 0) return html``;
  const items = left.map(({ variant, why }) => html`<li>${variantName(variant)}: ${sentence(why)}</li>`);
  return html`<details class="more"><summary>Not built: ${plural(left.length, 'usual variant')}</summary><ul class="why-list">${items}</ul></details>`;
}

function cells(
  variant: VariantResult,
  base: VariantResult | undefined,
  columns: readonly string[],
  providers: readonly string[],
): Part {
  const cell = (index: number, figure: string, detail: string): Html =>
    html`<td role="cell" data-label="${columns[index]}"><b>${figure}</b><small>${detail}</small></td>`;
  const isBase = variant === base;
  const part = (own: number | null | undefined, whole: number | null | undefined): string =>
    isBase || typeof own !== 'number' ? '' : formatPart(ratio(own, whole));
  const { accuracy } = variant;
  return [
    html`<th scope="row" role="rowheader">${variantName(variant.name)} ${badge(variant)}</th>`,
    cell(1, formatSize(variant.bytes), part(variant.bytes, base?.bytes)),
    cell(2, formatSize(downloadBytes(variant)), part(downloadBytes(variant), downloadBytes(base))),
    providers.map((provider, index) => {
      const latency = variant.latency[provider];
      return cell(
        3 + index,
        latency ? formatMs(latency.p50) : none,
        latency && !isBase ? `×${ratioWords(latency)}` : '',
      );
    }),
    cell(
      columns.length - 1,
      accuracy ? formatMetric(accuracy.metric, accuracy.value) : none,
      hasAccuracy(variant) && !isBase ? formatDrop(variant.accuracy) : (accuracy?.metric ?? ''),
    ),
  ];
}

function why(variant: VariantResult): Html {
  const reasons = variant.reasons.slice(0, 12).map((reason) => html`<li>${sentence(shorten(reason, 500))}</li>`);
  return html`${reasons.length > 0 && html`<ul class="why-list">${reasons}</ul>`}<details class="more"><summary>All figures<span class="sr"> of ${shorten(variant.name, 48)}</span></summary>${figures(variant)}</details>`;
}

function figures(variant: VariantResult): Html {
  return facts([
    ...Object.entries(variant.latency).map(
      ([provider, latency]) => [`Latency, ${provider}`, latencyFigures(latency)] as const,
    ),
    ['Time to load', variant.sessionMs === null ? undefined : formatMs(variant.sessionMs)],
    ['Peak memory', variant.peakRssBytes === null ? undefined : formatSize(variant.peakRssBytes)],
    ['Parameters', variant.parameters === null ? undefined : formatCount(variant.parameters)],
    ['Nodes', variant.nodes === null ? undefined : formatCount(variant.nodes)],
    ['Passes', variant.steps.length > 0 && variant.steps.map((step) => html`${code(step.pass)} `)],
    ['File', variant.file === null ? 'none' : code(variant.file)],
    ['SHA-256', variant.sha256 === null ? undefined : html`<code class="hash">${variant.sha256}</code>`],
  ]);
}

const latencyFigures = ({ p50, p90, p99, samples }: Latency): string =>
  `p50 ${formatMs(p50)}, p90 ${formatMs(p90)}, p99 ${formatMs(p99)}; ${plural(samples, 'timed inference')}`;
