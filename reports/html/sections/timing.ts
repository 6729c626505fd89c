/** Where the time goes: distributions, tails, throughput, operators. */
import { formatMs } from '../../../src/messages.ts';
import { measuredProviders } from '../../../src/report/facts.ts';
import type { Report, VariantResult } from '../../../src/report/report.ts';
import type { OpTime } from '../../../src/report/timing.ts';
import { formatFigure, formatPart, none } from '../../../src/report/words.ts';
import { shorten } from '../budget.ts';
import { inOrder } from '../charts/bars.ts';
import { distributions } from '../charts/distribution.ts';
import { type Html, html } from '../escape.ts';
import { badge, kindOf, plural, type Section, scroll, variantName } from '../parts.ts';

const rowsOpen = 12;
const opsShown = 8;

export function timing(report: Report): Section | undefined {
  const providers = measuredProviders(report);
  if (providers.length === 0) return undefined;
  return {
    id: 'timing',
    title: 'Latency',
    lede: 'How single inferences spread, by provider. The strong line is the median, the short ones are p90 and p99; lines of a row end at p99, beyond which lie single outliers.',
    body: html`<div class="charts one">${providers.map((provider) => providerFigure(report, provider))}</div>${throughput(report)}${profiles(report)}`,
  };
}

function providerFigure(report: Report, provider: string): Html {
  const rows = inOrder(
    report.variants.flatMap((variant) => {
      const latency = variant.latency[provider];
      return latency ? [{ name: variant.name, kind: kindOf(variant), latency }] : [];
    }),
  );
  const rest = rows.slice(rowsOpen);
  return html`<figure><figcaption>${provider} <span class="soft">${origin(report, provider)}</span></figcaption>${distributions(`Latency of each variant on ${provider}`, rows.slice(0, rowsOpen))}${
    rest.length > 0 &&
    html`<details class="more"><summary>${rest.length} more</summary>${distributions(`Latency on ${provider}, continued`, rest)}</details>`
  }${noiseNote(report, provider)}</figure>`;
}

function origin(report: Report, provider: string): string {
  const info = report.providers?.[provider];
  if (!info) return '';
  const parts = [info.runtime, info.adapter, info.threads === undefined ? undefined : plural(info.threads, 'thread')];
  return parts.filter((part) => part !== undefined).join(', ');
}

function noiseNote(report: Report, provider: string): Html | false {
  const noise = report.noise?.[provider];
  const software = report.providers?.[provider]?.software === true;
  const texts: string[] = [];
  if (software) texts.push('A software adapter computed: its outputs count, its times say nothing and rank nothing.');
  if (noise) {
    texts.push(
      `Single inferences scatter by ${formatPart(noise.spread)}; differences below ${formatPart(noise.margin)} are not called.`,
    );
    if (noise.control)
      texts.push(
        `Two sessions of base against each other: ×${noise.control.ratio.toFixed(3)} (${noise.control.ci.map((end) => end.toFixed(3)).join('–')}).`,
      );
    if (noise.others !== undefined && noise.others > 0.02)
      texts.push(`Other programs took ${formatPart(noise.others)} of the processors.`);
    if (noise.noisy) texts.push('The machine was busy: small differences are not to be believed.');
  }
  return (
    texts.length > 0 && html`<p class="figure-note${(software || noise?.noisy) && ' loud-note'}">${texts.join(' ')}</p>`
  );
}

function throughput(report: Report): Html | false {
  const rows = report.variants.flatMap((variant) =>
    Object.entries(variant.throughput ?? {}).flatMap(([provider, all]) =>
      all.map(
        ({ batch, sequence, concurrency, inferencesPerSecond, p50 }) =>
          html`<tr><th scope="row">${variantName(variant.name)}</th><td>${provider}</td><td class="num">${batch ?? none}</td><td class="num">${sequence ?? none}</td><td class="num">${concurrency}</td><td class="num"><b>${formatFigure(inferencesPerSecond)}</b></td><td class="num">${formatMs(p50)}</td></tr>`,
      ),
    ),
  );
  if (rows.length === 0) return false;
  const heads = ['Batch', 'Sequence', 'At once', 'Per second', 'p50'].map(
    (text) => html`<th scope="col" class="num">${text}</th>`,
  );
  return html`<h3 class="sub">Throughput</h3>${scroll('Throughput', html`<table><thead><tr><th scope="col">Variant</th><th scope="col">Provider</th>${heads}</tr></thead><tbody>${rows.slice(0, 200)}</tbody></table>`)}`;
}

function profiles(report: Report): Html | false {
  const profiled = report.variants.flatMap((variant) =>
    Object.entries(variant.profile ?? {}).map(([provider, ops]) => ({ variant, provider, ops })),
  );
  if (profiled.length === 0) return false;
  return html`<h3 class="sub">Where an inference spends its time</h3><div class="cards">${profiled.slice(0, 24).map(({ variant, provider, ops }) => profileCard(variant, provider, ops))}</div>`;
}

function profileCard(variant: VariantResult, provider: string, ops: readonly OpTime[]): Html {
  const items = ops
    .slice(0, opsShown)
    .map(
      ({ op, nodes, ms, share, provider: where }) =>
        html`<li><span class="bar-name"><bdi class="vname">${shorten(op, 60)}</bdi> <span class="soft">×${nodes}${where !== provider && ` on ${where}`}</span></span><span class="bar-value"><b>${formatPart(share)}</b> ${formatMs(ms)}</span><svg class="bar" width="100%" height="8" aria-hidden="true"><rect class="track" width="100%" height="8" rx="3"/><rect class="fill" width="${(100 * Math.min(1, share)).toFixed(1)}%" height="8" rx="3"/></svg></li>`,
    );
  const rest = ops.length - items.length;
  return html`<article class="card"><h3>${variantName(variant.name)} ${badge(variant)}</h3><p class="soft">on ${provider}, by operator</p><ul class="bars k-base" role="list" aria-label="Time by operator">${items}</ul>${rest > 0 && html`<p class="rest">and ${plural(rest, 'more operator')}</p>`}</article>`;
}
