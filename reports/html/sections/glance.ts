import { formatMs } from '../../../src/messages.ts';
import { baseOf, downloadBytes, hasAccuracy, measuredProviders, ratio } from '../../../src/report/facts.ts';
import type { Report, VariantResult } from '../../../src/report/report.ts';
import { formatMetric, formatPart, formatSize, ratioWords, speedWords } from '../../../src/report/words.ts';
import { type Bar, barList } from '../charts/bars.ts';
import { type ParetoPoint, paretoChart } from '../charts/pareto.ts';
import { type Html, html } from '../escape.ts';
import { type Kind, kindOf, marks, type Section } from '../parts.ts';

export function glance(report: Report): Section {
  const providers = measuredProviders(report);
  const base = baseOf(report);
  const charts = providers.map((provider) => pareto(report, base, provider));
  return {
    id: 'glance',
    title: 'At a glance',
    lede: 'Everything relative to the original model, base. Thin lines are 95 % intervals.',
    body: html`${charts.length > 0 && html`<div class="charts">${charts}</div>${legend(report)}`}<div class="charts bars-grid">${sizeBars(report, base)}${providers.map((provider) => latencyBars(report, provider))}</div>`,
  };
}

function pareto(report: Report, base: VariantResult | undefined, provider: string): Html {
  const points = report.variants.flatMap((variant): ParetoPoint[] => {
    const latency = variant.latency[provider];
    const size = ratio(downloadBytes(variant), downloadBytes(base));
    if (!latency || size === null) return [];
    const note = hasAccuracy(variant) ? formatMetric(variant.accuracy.metric, variant.accuracy.value) : '';
    const tip = [
      `${variant.name} (${kindOf(variant)})`,
      `download ${formatSize(downloadBytes(variant))}, ${formatPart(size)} of base`,
      `latency ${formatMs(latency.p50)}, ×${ratioWords(latency)} of base`,
      ...(hasAccuracy(variant) ? [`${variant.accuracy.metric} ${note}`] : []),
    ].join(', ');
    return [
      {
        name: variant.name,
        kind: kindOf(variant),
        size,
        latency: latency.ratioToBase,
        interval: latency.ratioCi,
        note,
        tip,
      },
    ];
  });
  return html`<figure><figcaption>Size and speed on ${provider}</figcaption>${paretoChart(points, provider)}</figure>`;
}

function legend(report: Report): Html {
  const order: readonly Kind[] = ['recommended', 'accepted', 'rejected', 'base'];
  const present = order.filter((kind) => report.variants.some((variant) => kindOf(variant) === kind));
  return html`<p class="legend" aria-hidden="true">${present.map((kind) => html`<span class="k-${kind}">${marks[kind]}${kind}</span>`)}<span class="front-key">best that passed</span></p>`;
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
    const words = variant.name === 'base' ? '' : ` · ${speedWords(latency)}`;
    return {
      ...common,
      ratio: latency.ratioToBase,
      interval: latency.ratioCi,
      value: formatPart(latency.ratioToBase),
      detail: `${formatMs(latency.p50)}${words}`,
    };
  });
  return html`<figure><figcaption>Latency on ${provider}, of base</figcaption>${barList(`Latency of each variant on ${provider}, relative to base`, bars)}</figure>`;
}
