/** Who got worse: classes of the label, base beside the variant. */
import type { ClassResult } from '../../../src/report/evidence.ts';
import type { Report, VariantResult } from '../../../src/report/report.ts';
import { formatPart } from '../../../src/report/words.ts';
import { type Budget, shorten } from '../budget.ts';
import { pc } from '../charts/symbols.ts';
import { type Html, html } from '../escape.ts';
import { badge, kindOf, plural, type Section, scroll, variantName } from '../parts.ts';

const classesOpen = 10;
const classesShown = 300;
const significance = 0.05;

export function classes(report: Report, budget: Budget): Section | undefined {
  const judged = report.variants.filter(
    (variant) =>
      variant.name !== 'base' && variant.accuracy?.classes !== undefined && variant.accuracy.classes.length > 0,
  );
  if (judged.length === 0) return undefined;
  const first = judged.filter(({ verdict }) => verdict === 'recommended');
  const others = judged.filter(({ verdict }) => verdict !== 'recommended');
  const open = first.length > 0 ? first : others.slice(0, 1);
  const rest = (first.length > 0 ? others : others.slice(1)).slice(0, 24);
  return {
    id: 'classes',
    title: 'Classes',
    lede: 'A mean that stays may hide one class that got worse. The diamond is base, the dot the variant; classes that lost most come first, those that stayed are folded.',
    body: html`${open.map((variant) => classFigure(variant, budget))}${rest.map((variant) => html`<details class="more"><summary>${variantName(variant.name)}: ${summaryOf(variant.accuracy?.classes ?? [])}</summary>${classFigure(variant, budget)}</details>`)}`,
  };
}

const dropOf = ({ base, value }: ClassResult): number =>
  base === null || value === null ? Number.POSITIVE_INFINITY : base - value;

function summaryOf(all: readonly ClassResult[]): string {
  const worse = all.filter((one) => dropOf(one) > 0).length;
  const better = all.filter((one) => dropOf(one) < 0).length;
  // Of so many the report may have left some out.
  const of = all.length >= 50 ? `of the ${all.length} classes listed` : `of ${plural(all.length, 'class', 'classes')}`;
  return `${of} ${worse} got worse, ${better} better`;
}

function classFigure(variant: VariantResult, budget: Budget): Html {
  const all = [...(variant.accuracy?.classes ?? [])].sort((a, b) => dropOf(b) - dropOf(a));
  const changed = all.filter((one) => dropOf(one) !== 0);
  const rows = changed.slice(0, classesOpen).filter(({ name }) => budget.fits(shorten(name, 60), 900));
  const rest = all.filter((one) => !rows.includes(one));
  const shown = rest.slice(0, classesShown).filter(({ name }) => budget.fits(shorten(name, 80), 140));
  return html`<figure class="k-${kindOf(variant)}"><figcaption>${variantName(variant.name)} ${badge(variant)} <span class="soft">${summaryOf(all)}</span></figcaption>${
    rows.length > 0 &&
    html`<ul class="bars dumbbells" role="list" aria-label="Classes that changed most">${rows.map(dumbbell)}</ul>`
  }${
    rest.length > 0 &&
    html`<details class="more"><summary>${rows.length === 0 ? plural(rest.length, 'class', 'classes') : `${rest.length} more`}</summary>${table(shown, rest.length - shown.length)}</details>`
  }</figure>`;
}

function dumbbell(one: ClassResult): Html {
  const { name, base, value } = one;
  const [from, to] = [base, value].map((figure) => pc(2 + 96 * Math.min(1, Math.max(0, figure ?? 0))));
  return html`<li><span class="bar-name"><bdi class="vname">${shorten(name, 60)}</bdi></span><span class="bar-value">${figures(one)}</span><svg class="bar" width="100%" height="16" aria-hidden="true"><line class="rail" x1="2%" x2="98%" y1="8" y2="8"/>${
    base !== null &&
    value !== null &&
    html`<line class="${value < base ? 'fell' : 'rose'}" x1="${from}" x2="${to}" y1="8" y2="8"/>`
  }${base !== null && html`<svg x="${from}" y="8" overflow="visible"><path class="was" d="M0-5L5 0 0 5-5 0z"/></svg>`}${value !== null && html`<circle class="is" cx="${to}" cy="8" r="4.5"/>`}</svg></li>`;
}

function figures({ base, value, samples, p }: ClassResult): Html {
  const chance = p !== undefined && base !== null && value !== null && value < base && p > significance;
  return html`${formatPart(base)} <span aria-hidden="true">→</span><span class="sr"> to </span> <b>${formatPart(value)}</b> of ${samples}${chance && html` <span class="soft">may be chance</span>`}`;
}

function table(rows: readonly ClassResult[], left: number): Html {
  const body = rows.map(
    ({ name, samples, base, value }) =>
      html`<tr><th scope="row"><bdi>${shorten(name, 80)}</bdi></th><td class="num">${formatPart(base)}</td><td class="num">${formatPart(value)}</td><td class="num">${samples}</td></tr>`,
  );
  return scroll(
    'Classes',
    html`<table><thead><tr><th scope="col">Class</th><th scope="col" class="num">Base</th><th scope="col" class="num">Variant</th><th scope="col" class="num">Samples</th></tr></thead><tbody>${body}${left > 0 && html`<tr><td colspan="4">and ${left} more in <code>report.json</code></td></tr>`}</tbody></table>`,
  );
}
