/** Small pieces that the sections are made of. */
import type { Report, VariantResult } from '../../src/report/report.ts';
import { shorten } from './budget.ts';
import { type Html, html, type Part } from './escape.ts';

/** A chapter of the page. */
export interface Section {
  readonly id: string;
  readonly title: string;
  /** What the reader sees here, in a sentence or two. */
  readonly lede: Part;
  readonly body: Html;
}

export type Kind = VariantResult['verdict'] | 'base';

/** Base is what all others are compared with, whatever its verdict. */
export const kindOf = (variant: VariantResult): Kind => (variant.name === 'base' ? 'base' : variant.verdict);

/** Fragment of its row in the table: names are anyone's to choose, places are not. */
export const variantId = (report: Report, variant: VariantResult): string => `v-${report.variants.indexOf(variant)}`;

export const nameLength = 120;

/** A name out of a model or a path: code, kept apart from the direction of the text around it. */
export const code = (name: string): Html => html`<code><bdi>${shorten(name, nameLength)}</bdi></code>`;

export const variantName = (name: string): Html => html`<bdi class="vname">${shorten(name, nameLength)}</bdi>`;

export const marks: Readonly<Record<Kind, Html>> = {
  recommended: html`<svg class="mark" viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="7"/><path d="M4.6 8.3l2.3 2.3 4.5-5" /></svg>`,
  accepted: html`<svg class="mark" viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="5"/></svg>`,
  rejected: html`<svg class="mark" viewBox="0 0 16 16" aria-hidden="true"><path d="M4 4l8 8M12 4l-8 8"/></svg>`,
  base: html`<svg class="mark" viewBox="0 0 16 16" aria-hidden="true"><path d="M8 2.5L13.5 8 8 13.5 2.5 8z"/></svg>`,
};

export function badge(variant: VariantResult): Html {
  const kind = kindOf(variant);
  const recommended = kind === 'base' && variant.verdict === 'recommended';
  return html`<span class="badge k-${kind}">${marks[kind]}${recommended ? 'base, recommended' : kind}</span>`;
}

export const chip = (content: Part): Html => html`<span class="chip">${content}</span>`;

export const chips = (items: readonly Part[]): Html => html`<span class="chips">${items.map(chip)}</span>`;

/** `conv-batch-norm ×8`. */
export const counted = (counts: Readonly<Record<string, number>>, most = 24): Html => {
  const entries = Object.entries(counts).sort(([, a], [, b]) => b - a);
  const rest = entries.length - most;
  return chips([
    ...entries.slice(0, most).map(([name, count]) => html`<bdi>${shorten(name, 60)}</bdi> <b>×${count}</b>`),
    ...(rest > 0 ? [`and ${rest} more`] : []),
  ]);
};

/** Terms and what they are: a definition list; entries without a value are left out. */
export function facts(entries: readonly (readonly [term: string, value: Part])[]): Html {
  const shown = entries.filter(([, value]) => value !== undefined && value !== null && value !== '' && value !== false);
  return html`<dl class="facts">${shown.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** A wide table scrolls in its own box, by keyboard too. */
export const scroll = (label: string, table: Html): Html =>
  html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">${table}</div>`;

/** Text in one line with a button that copies it; the button shows only where scripts run. */
export const command = (text: string): Html =>
  html`<div class="command"><pre tabindex="0" aria-label="Command"><code>${text}</code></pre><button type="button" class="copy" hidden>Copy</button></div>`;

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`;
