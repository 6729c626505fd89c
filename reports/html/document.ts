/** The frame of every page: one file that needs nothing else, and that could load nothing if it wanted to. */
import { createHash } from 'node:crypto';
import { type Html, html, trusted } from './escape.ts';
import type { Section } from './parts.ts';
import { script } from './script.ts';
import { baseStyle } from './style/base.ts';
import { chartStyle } from './style/charts.ts';
import { mediaStyle } from './style/media.ts';
import { partStyle } from './style/parts.ts';

export interface PageParts {
  readonly title: string;
  readonly description: string;
  /** ISO 8601. */
  readonly day: string;
  /** Of mlpack. */
  readonly version: string;
  readonly hero: Html;
  readonly sections: readonly Section[];
  readonly foot: readonly string[];
}

const style = baseStyle + partStyle + chartStyle + mediaStyle;

export function renderDocument(page: PageParts): string {
  return `<!doctype html>\n${document(page).text}\n`;
}

function document({ title, description, day: iso, version, hero, sections, foot }: PageParts): Html {
  return html`<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="mlpack ${version}">
<meta name="description" content="${description}">
<link rel="icon" href="data:image/svg+xml,${favicon}">
<title>${title}</title>
<style>${trusted(style)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header class="top"><div class="brand">${logo}mlpack <span>optimization report</span></div><span>${day(iso)}</span></header>
<div class="frame">
<nav class="toc" aria-label="Contents"><ol>${sections.map(({ id, title: name }) => html`<li><a href="#${id}">${name}</a></li>`)}</ol></nav>
<main id="main">
${hero}
${sections.map(({ id, title: name, lede, body }) => html`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${name}</h2><p class="lede">${lede}</p>${body}</section>\n`)}
</main>
</div>
<footer class="foot"><span>mlpack ${version}</span>${foot.map((one) => html`<span>${one}</span>`)}</footer>
${trusted(`<script>${script}</script>`)}
</body>
</html>`;
}

/** Only this style and this script: even markup that slipped through could neither run nor load anything. */
function policy(): string {
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
