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
import { frontOf, lossChart, paretoChart } from '../charts/pareto.ts';
import type { ScatterPoint } from '../charts/scatter.ts';
import { type Html, html } from '../escape.ts';
import { type Kind, kindOf, marks, type Section, variantId } from '../parts.ts';

export function glance(report: Report): Section {
  const providers = rankedProviders(report);
  const base = baseOf(report);
  const charts = providers.map((provider) => {
    const points = speedPoints(report, base, provider);
    return html`<figure><figcaption>Size and speed on ${provider}</figcaption>${paretoChart(points, provider)}${legend(points)}</figure>`;
  });
  const loss = lossFigure(report, base);
  const size = sizeBars(report, base);
  const latencies = providers.map((provider) => latencyBars(report, provider));
  const quality = loss === false ? fidelityBars(report) : false;
  return {
    id: 'glance',
    title: 'At a glance',
    lede: 'Relative to the original model, base: down and to the left is better. Thin lines are 95 % intervals. Point at a variant, or move to it with the keyboard, for its figures.',
    body: html`<div class="charts">${charts}${loss}${size}${latencies}${quality}</div>`,
  };
}

/** Times on an adapter made of software say nothing, so nothing is ranked by them. */
function rankedProviders(report: Report): string[] {
  return measuredProviders(report).filter((provider) => report.providers?.[provider]?.software !== true);
}

function pointOf(report: Report, variant: VariantResult, size: number): Omit<ScatterPoint, 'y' | 'interval'> {
  const kind = kindOf(variant);
  const note = hasAccuracy(variant) ? formatMetric(variant.accuracy.metric, variant.accuracy.value) : '';
  const speeds = rankedProviders(report).flatMap((provider) => {
    const latency = variant.latency[provider];
    return latency ? [`${provider} ${formatMs(latency.p50)}, ×${ratioWords(latency)}`] : [];
  });
  const tip = [
    `${shorten(variant.name, 30)} (${kind})`,
    `download ${formatSize(downloadBytes(variant))}, ${formatPart(size)} of base`,
    ...speeds.slice(0, 4),
    ...(hasAccuracy(variant) ? [`${variant.accuracy.metric} ${note}, ${formatDrop(variant.accuracy)}`] : []),
  ];
  return { name: variant.name, kind, x: size, note, tip, href: variantId(report, variant) };
}

function speedPoints(report: Report, base: VariantResult | undefined, provider: string): ScatterPoint[] {
  return report.variants.flatMap((variant): ScatterPoint[] => {
    const latency = variant.latency[provider];
    const size = ratio(downloadBytes(variant), downloadBytes(base));
    if (!latency || size === null) return [];
    return [{ ...pointOf(report, variant, size), y: latency.ratioToBase, interval: latency.ratioCi }];
  });
}

/** Size against what was lost of the task metric; false where nothing was judged by one. */
function lossFigure(report: Report, base: VariantResult | undefined): Html | false {
  const metric = report.variants.find(hasAccuracy)?.accuracy.metric;
  if (metric === undefined) return false;
  const points = report.variants.flatMap((variant): ScatterPoint[] => {
    const size = ratio(downloadBytes(variant), downloadBytes(base));
    const { drop, dropCi } = variant.accuracy ?? { drop: null };
    if (size === null || drop === null) return [];
    return [{ ...pointOf(report, variant, size), y: drop, interval: dropCi ?? [drop, drop] }];
  });
  const { maxDrop } = report.limits;
  const label = (loss: number): string =>
    formatLimit(metric, loss)
      .replace(/ points?$/, ' pt')
      .replace(/^-/, '−');
  return html`<figure><figcaption>Size and ${metric} lost; ${formatLimit(metric, maxDrop)} allowed</figcaption>${lossChart(points, { metric, maxDrop, label })}${legend(points, false)}</figure>`;
}

function legend(points: readonly ScatterPoint[], hasFront = frontOf(points).length > 1): Html {
  const order: readonly Kind[] = ['recommended', 'accepted', 'rejected', 'base'];
  const present = order.filter((kind) => points.some((point) => point.kind === kind));
  return html`<p class="legend" aria-hidden="true">${present.map((kind) => html`<span class="k-${kind}">${marks[kind]}${kind}</span>`)}${
    hasFront && html`<span class="front-key">best trade-offs</span>`
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
