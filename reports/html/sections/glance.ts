import { formatMs } from '../../../src/messages.ts';
import { baseOf, downloadBytes, hasAccuracy, measuredProviders, ratio } from '../../../src/report/facts.ts';
import type { Report, VariantResult } from '../../../src/report/report.ts';
import {
  formatDrop,
  formatLimit,
  formatMetric,
  formatPart,
  formatSize,
  ratioWords,
  sqnrWords,
} from '../../../src/report/words.ts';
import { shorten } from '../budget.ts';
import { type Bar, barList } from '../charts/bars.ts';
import { frontOf, type ParetoPoint, paretoChart } from '../charts/pareto.ts';
import { type Html, html } from '../escape.ts';
import { type Kind, kindOf, marks, type Section } from '../parts.ts';

export function glance(report: Report): Section {
  const providers = measuredProviders(report);
  const base = baseOf(report);
  const clouds = providers.map((provider) => ({ provider, points: paretoPoints(report, base, provider) }));
  const charts = clouds.map(
    ({ provider, points }) =>
      html`<figure><figcaption>Size and speed on ${provider}</figcaption>${paretoChart(points, provider)}${legend(points)}</figure>`,
  );
  const size = sizeBars(report, base);
  const latencies = providers.map((provider) => latencyBars(report, provider));
  const quality = accuracyBars(report) || fidelityBars(report);
  return {
    id: 'glance',
    title: 'At a glance',
    lede: 'Size and speed relative to the original model, base. Thin lines are 95 % intervals.',
    body:
      providers.length === 1
        ? html`<div class="charts columns"><div>${charts}${quality}</div><div>${size}${latencies}</div></div>`
        : html`<div class="charts">${charts}${size}${latencies}${quality}</div>`,
  };
}

function paretoPoints(report: Report, base: VariantResult | undefined, provider: string): ParetoPoint[] {
  return report.variants.flatMap((variant): ParetoPoint[] => {
    const latency = variant.latency[provider];
    const size = ratio(downloadBytes(variant), downloadBytes(base));
    if (!latency || size === null) return [];
    const kind = kindOf(variant);
    const note = hasAccuracy(variant) ? formatMetric(variant.accuracy.metric, variant.accuracy.value) : '';
    const tip = [
      `${shorten(variant.name, 48)} (${kind})`,
      `download ${formatSize(downloadBytes(variant))}, ${formatPart(size)} of base`,
      `latency ${formatMs(latency.p50)}, ×${ratioWords(latency)} of base`,
      ...(hasAccuracy(variant) ? [`${variant.accuracy.metric} ${note}`] : []),
    ].join(', ');
    return [{ name: variant.name, kind, size, latency: latency.ratioToBase, interval: latency.ratioCi, note, tip }];
  });
}

function legend(points: readonly ParetoPoint[]): Html {
  const order: readonly Kind[] = ['recommended', 'accepted', 'rejected', 'base'];
  const present = order.filter((kind) => points.some((point) => point.kind === kind));
  return html`<p class="legend" aria-hidden="true">${present.map((kind) => html`<span class="k-${kind}">${marks[kind]}${kind}</span>`)}${
    frontOf(points).length > 1 && html`<span class="front-key">best trade-offs</span>`
  }</p>`;
}

function sizeBars(report: Report, base: VariantResult | undefined): Html {
  const bars = report.variants.map((variant): Bar => {
    const bytes = downloadBytes(variant);
    const part = ratio(bytes, downloadBytes(base));
    return {
      name: variant.name,
      kind: kindOf(variant),
      ratio: part,
      value: bytes === null ? 'no file' : formatPart(part),
      detail: bytes === null ? '' : formatSize(bytes),
    };
  });
  return html`<figure><figcaption>Download size, of base</figcaption>${barList('Download size of each variant, relative to base', bars)}</figure>`;
}

function latencyBars(report: Report, provider: string): Html {
  const bars = report.variants.map((variant): Bar => {
    const latency = variant.latency[provider];
    const common = { name: variant.name, kind: kindOf(variant) };
    if (!latency) return { ...common, ratio: null, value: 'not measured', detail: '' };
    return {
      ...common,
      ratio: latency.ratioToBase,
      interval: latency.ratioCi,
      value: formatPart(latency.ratioToBase),
      detail: formatMs(latency.p50),
    };
  });
  return html`<figure><figcaption>Latency on ${provider}, of base</figcaption>${barList(`Latency of each variant on ${provider}, relative to base`, bars)}</figure>`;
}

/** What each variant lost of the task metric, against what it was allowed to lose. */
function accuracyBars(report: Report): Html | false {
  const { maxDrop } = report.limits;
  const judged = report.variants.filter(hasAccuracy);
  const metric = judged[0]?.accuracy.metric;
  if (metric === undefined) return false;
  const bars = judged.map((variant): Bar => {
    const { value, drop } = variant.accuracy;
    return {
      name: variant.name,
      kind: kindOf(variant),
      // With nothing allowed any loss is over the limit.
      ratio: drop === null ? null : drop <= 0 ? 0 : maxDrop > 0 ? drop / maxDrop : Number.POSITIVE_INFINITY,
      value: formatMetric(metric, value),
      detail: variant.name === 'base' ? '' : formatDrop(variant.accuracy),
    };
  });
  return html`<figure><figcaption>${metric} lost, of the ${formatLimit(metric, maxDrop)} allowed</figcaption>${barList(`${metric} that each variant lost, relative to the loss allowed`, bars)}</figure>`;
}

/** Where nothing was labelled: how closely outputs follow those of base, against the floor. */
function fidelityBars(report: Report): Html | false {
  const floor = report.limits.minSqnrDb;
  const bars = report.variants.flatMap((variant): Bar[] => {
    const { fidelity } = variant;
    if (!fidelity || floor === undefined || floor <= 0) return [];
    const db = fidelity.sqnrDb ?? Number.POSITIVE_INFINITY;
    return [
      {
        name: variant.name,
        kind: kindOf(variant),
        ratio: Math.max(0, db / floor),
        value: sqnrWords(fidelity),
        detail: '',
      },
    ];
  });
  if (bars.length === 0) return false;
  return html`<figure><figcaption>Outputs against base: SQNR, at least ${floor} dB</figcaption>${barList('Signal-to-noise ratio of the outputs of each variant, relative to the floor; longer is better', bars)}</figure>`;
}
