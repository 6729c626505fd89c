/** The verdict, in plain words, and the three figures behind it. */
import { formatMs } from '../../../src/messages.ts';
import { costs } from '../../../src/report/costs.ts';
import { baseOf, downloadBytes, hasAccuracy, isSynthetic, ratio, variantOf } from '../../../src/report/facts.ts';
import type { Report, VariantResult } from '../../../src/report/report.ts';
import {
  formatDrop,
  formatLimit,
  formatMetric,
  formatPart,
  formatSize,
  type Headline,
  headlineAction,
  headlines,
  judgementSentence,
  sentence,
  speedWords,
  sqnrWords,
  unservedSentence,
} from '../../../src/report/words.ts';
import { shorten } from '../budget.ts';
import { pairBars } from '../charts/bars.ts';
import { type Html, html } from '../escape.ts';

export function hero(report: Report): Html {
  const lines = headlines(report);
  const unserved = unservedSentence(report);
  return html`<section class="hero" aria-labelledby="verdict">
<p class="eyebrow"><bdi>${shorten(report.input.path, 160)}</bdi></p>
<h1 id="verdict">${lines.map(headlineLine)}${unserved !== undefined && html`<span class="line no">${unserved}</span>`}</h1>
${!report.verdict.ok && html`<div class="notice bad" role="note"><b>The checks did not pass.</b> ${report.verdict.reasons.map((reason) => `${sentence(reason)} `)}</div>`}
${
  isSynthetic(report)
    ? html`<div class="notice loud" role="note"><b>No data: accuracy is unknown.</b> ${judgementSentence(report)}</div>`
    : html`<p class="judged">${judgementSentence(report)}</p>`
}
${lines.filter((line) => line.kind === 'ship').map((line) => html`${tiles(report, line, lines.length > 1)}${price(report, line)}`)}
${warnings(report.warnings ?? [])}
</section>`;
}

/** The other half of the recommendation. */
function price(report: Report, { variant: name }: Headline): Html {
  const variant = variantOf(report, name);
  const items = variant ? costs(report, variant) : [];
  const unknowns = isSynthetic(report) ? ['accuracy is unknown: there was no data'] : [];
  const all = [...items, ...unknowns];
  return html`<div class="price"><h2>What it costs</h2>${
    all.length === 0
      ? html`<p>Nothing that was measured got worse.</p>`
      : html`<ul>${all.slice(0, 10).map((item) => html`<li>${sentence(shorten(item, 300))}</li>`)}</ul>`
  }</div>`;
}

function warnings(texts: readonly string[]): Html | false {
  const items = texts.slice(0, 40).map((text) => html`<li>${sentence(shorten(text, 400))}</li>`);
  const rest = items.slice(warningsOpen);
  return (
    texts.length > 0 &&
    html`<div class="notice" role="note"><b>Doubtful figures</b><ul>${items.slice(0, warningsOpen)}</ul>${rest.length > 0 && html`<details><summary>${texts.length - warningsOpen} more</summary><ul>${rest}</ul></details>`}</div>`
  );
}

const warningsOpen = 3;

function headlineLine(headline: Headline): Html {
  const action = headlineAction(headline, shorten(headline.variant, 48));
  const facts = headline.kind === 'keep' ? ['nothing smaller or faster passed'] : headline.facts;
  const rest = facts.map(
    (fact, index) => html`<span class="fact">${unbroken(fact)}${index < facts.length - 1 ? ',' : '.'}</span> `,
  );
  return html`<span class="line"><strong><bdi>${action}</bdi>:</strong> <span class="line-facts">${rest}</span></span>`;
}

/** Keeps figures and their units on one line. */
const unbroken = (text: string): string => text.replace(/(\d) (?=%|dB|points?\b)/g, '$1\u00A0');

function tiles(report: Report, { variant: name, targets, providers }: Headline, several: boolean): Html {
  const variant = variantOf(report, name);
  const base = baseOf(report);
  if (!variant || !base) return html``;
  const title = several ? `${shorten(name, 48)} for ${targets.join(', ')}` : undefined;
  return html`<div class="tiles"${several && html` role="group" aria-label="${title}"`}>${title !== undefined && html`<h2 class="tiles-title"><bdi>${title}</bdi></h2>`}${sizeTile(variant, base)}${providers.map((provider) => latencyTile(variant, base, provider))}${accuracyTile(report, variant)}</div>`;
}

const tile = (label: string, figure: string, unit: string, detail: Html | string, chart?: Html): Html =>
  html`<div class="tile${figure === unknown && ' unknown'}"><p class="tile-label">${label}</p><p class="tile-figure">${figure} <span>${unit}</span></p>${chart ?? html`<div class="pair"></div>`}<p class="tile-detail">${detail}</p></div>`;

const unknown = 'unknown';

const change = (before: string, after: string): Html =>
  html`${before} <span aria-hidden="true">→</span><span class="sr"> to </span> <b>${after}</b>`;

function sizeTile(variant: VariantResult, base: VariantResult): Html {
  const before = downloadBytes(base);
  const after = downloadBytes(variant);
  const part = ratio(after, before);
  if (part === null || before === null || after === null) return tile('Download', unknown, '', 'not measured');
  const [figure, unit] = part > 0 && part < 0.95 ? [`${times(1 / part)}×`, 'smaller'] : [formatPart(part), 'of base'];
  return tile('Download', figure, unit, change(formatSize(before), formatSize(after)), pairBars(before, after));
}

function latencyTile(variant: VariantResult, base: VariantResult, provider: string): Html {
  const latency = variant.latency[provider];
  const before = base.latency[provider];
  if (!latency || !before) return tile(`Latency, ${provider}`, unknown, '', 'not measured');
  const words = speedWords(latency);
  const [figure = '', unit = ''] = words.startsWith('same') ? ['same', 'speed'] : words.split(/ (.*)/s);
  return tile(
    `Latency, ${provider}`,
    figure,
    unit,
    change(formatMs(before.p50), formatMs(latency.p50)),
    pairBars(before.p50, latency.p50),
  );
}

function accuracyTile(report: Report, variant: VariantResult): Html {
  if (hasAccuracy(variant)) {
    const { accuracy } = variant;
    const limit = formatLimit(accuracy.metric, report.limits.maxDrop);
    return tile(
      `Accuracy, ${accuracy.metric}`,
      formatMetric(accuracy.metric, accuracy.value),
      '',
      html`${formatDrop(accuracy)} on ${accuracy.samples.toLocaleString('en-US')} samples; ${limit} allowed`,
      accuracy.value !== null && accuracy.base !== null && Math.min(accuracy.base, accuracy.value) >= 0
        ? pairBars(accuracy.base, accuracy.value)
        : undefined,
    );
  }
  const { fidelity } = variant;
  if (!fidelity) return tile('Accuracy', unknown, '', 'not measured');
  return tile('Accuracy', unknown, '', `not measured; outputs against the original: ${sqnrWords(fidelity)}`);
}

const times = (value: number): string => value.toFixed(value < 10 ? 1 : 0);
