import { createHash } from 'node:crypto';
import type { Report } from '../../src/report/report.ts';
import { headlineSentence, headlines } from '../../src/report/words.ts';
import { createBudget, shorten } from './budget.ts';
import { type Html, html, trusted } from './escape.ts';
import type { Section } from './parts.ts';
import { script } from './script.ts';
import { audit } from './sections/audit.ts';
import { bundles } from './sections/bundles.ts';
import { classes } from './sections/classes.ts';
import { dataAndLimits, machine, model, reproduce } from './sections/facts.ts';
import { fidelity } from './sections/fidelity.ts';
import { glance } from './sections/glance.ts';
import { hero } from './sections/hero.ts';
import { layers } from './sections/layers.ts';
import { memory } from './sections/memory.ts';
import { runtimes } from './sections/runtimes.ts';
import { steps } from './sections/steps.ts';
import { timing } from './sections/timing.ts';
import { variants } from './sections/variants.ts';
import { baseStyle } from './style/base.ts';
import { chartStyle } from './style/charts.ts';
import { mediaStyle } from './style/media.ts';
import { partStyle } from './style/parts.ts';

/** Bytes that each long part may take, so that none starves another; together they keep the page well below 2 MB. */
const bytes = { audit: 180_000, steps: 380_000, evidence: 240_000 } as const;

/** One file that needs nothing else: no network, no fonts, opens from disk. */
export function renderPage(report: Report): string {
  const evidence = createBudget(bytes.evidence);
  const sections = [
    glance(report),
    variants(report),
    bundles(report),
    timing(report),
    memory(report),
    classes(report, evidence),
    fidelity(report),
    layers(report, evidence),
    runtimes(report, evidence),
    audit(report, createBudget(bytes.audit)),
    steps(report, createBudget(bytes.steps)),
    dataAndLimits(report),
    model(report),
    machine(report),
    reproduce(report),
  ].filter((section) => section !== undefined);
  return `<!doctype html>\n${document(report, sections).text}\n`;
}

function document(report: Report, sections: readonly Section[]): Html {
  const style = baseStyle + partStyle + chartStyle + mediaStyle;
  const name = shorten(report.input.path, 80);
  return html`<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy(style)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="mlpack ${report.tool.version}">
<meta name="description" content="${headlines(report).map(headlineSentence).join(' ')}">
<link rel="icon" href="data:image/svg+xml,${favicon}">
<title>${name} · mlpack report</title>
<style>${trusted(style)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header class="top"><div class="brand">${logo}mlpack <span>optimization report</span></div><span>${day(report.createdAt)}</span></header>
<div class="frame">
<nav class="toc" aria-label="Contents"><ol>${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ol></nav>
<main id="main">
${hero(report)}
${sections.map(({ id, title, lede, body }) => html`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${title}</h2><p class="lede">${lede}</p>${body}</section>\n`)}
</main>
</div>
<footer class="foot"><span>mlpack ${report.tool.version}</span><span>${report.schema}</span><span>${report.createdAt}</span><span>All figures, and every reason, are in report.json.</span></footer>
${trusted(`<script>${script}</script>`)}
</body>
</html>`;
}

/** Only this style and this script: even markup that slipped through could neither run nor load anything. */
function policy(style: string): string {
  const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  return `default-src 'none'; style-src ${hash(style)}; script-src ${hash(script)}; img-src data:; base-uri 'none'; form-action 'none'`;
}

const logo = html`<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M3 6.5L12 2l9 4.5v11L12 22l-9-4.5z" fill="#12936a"/><path d="M7.5 10v5.5M12 8v9.8M16.5 10v5.5" stroke="#fff" stroke-width="2.2" stroke-linecap="round"/></svg>`;
const favicon = encodeURIComponent(logo.text.replace('<svg', '<svg xmlns="http://www.w3.org/2000/svg"'));

/** 2025-03-14T09:26:53.000Z → 14 March 2025, in UTC; what is no date stays as it is. */
function day(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  return time.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' });
}
