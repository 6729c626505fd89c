/** Bars that stretch with the page: all lengths are percentages, so no text is scaled. */
import { type Html, html } from '../escape.ts';
import { type Kind, marks, variantName } from '../parts.ts';

export interface Bar {
  readonly name: string;
  readonly kind: Kind;
  /** Relative to base or a limit; null where there is no file or no measurement. */
  readonly ratio: number | null;
  readonly interval?: readonly [number, number];
  /** Figures beside the bar. */
  readonly value: string;
  readonly detail: string;
}

/** Variants below each other, with a line at 1: base, or a limit. Bars longer than four times that are cut off there. */
export function barList(label: string, bars: readonly Bar[]): Html {
  const most = Math.min(4, Math.max(1, ...bars.flatMap((bar) => [bar.ratio ?? 0, bar.interval?.[1] ?? 0])));
  const at = (ratio: number): string => `${Number(((100 * Math.min(ratio, most)) / most).toFixed(2))}%`;
  const item = (bar: Bar): Html =>
    html`<li class="k-${bar.kind}"><span class="bar-name">${marks[bar.kind]}${variantName(bar.name)}</span><span class="bar-value"><b>${bar.value}</b> ${bar.detail}</span><svg class="bar" width="100%" height="14" aria-hidden="true"><rect class="track" width="100%" height="14" rx="3"/>${
      bar.ratio !== null && html`<rect class="fill" width="${at(bar.ratio)}" height="14" rx="3"/>`
    }${
      bar.interval &&
      bar.interval[1] > bar.interval[0] &&
      html`<line class="whisker" x1="${at(bar.interval[0])}" x2="${at(bar.interval[1])}" y1="7" y2="7"/>`
    }<line class="one" x1="${at(1)}" x2="${at(1)}" y1="0" y2="14"/></svg></li>`;
  const shown = inOrder(bars);
  const rest = shown.slice(barsOpen);
  return html`<ul class="bars" role="list" aria-label="${label}">${shown.slice(0, barsOpen).map(item)}</ul>${
    rest.length > 0 &&
    html`<details class="more"><summary>${rest.length} more</summary><ul class="bars" role="list" aria-label="${label}, continued">${rest.map(item)}</ul></details>`
  }`;
}

/** More than this fold. */
const barsOpen = 12;

/** As they come; where they are too many to see at once, what matters most comes first. */
export function inOrder<T extends { readonly kind: Kind }>(items: readonly T[]): readonly T[] {
  if (items.length <= barsOpen) return items;
  const order: readonly Kind[] = ['recommended', 'base', 'accepted', 'rejected'];
  return [...items].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

/** Before and after, in a tile. */
export function pairBars(before: number, after: number): Html {
  const most = Math.max(before, after, Number.MIN_VALUE);
  const at = (value: number): string => `${Number(((100 * value) / most).toFixed(2))}%`;
  return html`<svg class="pair" width="100%" height="18" aria-hidden="true"><rect class="before" width="${at(before)}" height="7" rx="2"/><rect class="after" y="11" width="${at(after)}" height="7" rx="2"/></svg>`;
}

/** Shares of a whole, side by side. */
export function stackedBar(parts: readonly { readonly count: number; readonly className: string }[]): Html {
  const total = parts.reduce((sum, part) => sum + part.count, 0);
  let start = 0;
  const rects = parts.map(({ count, className }) => {
    const from = start;
    start += count;
    if (count === 0 || total === 0) return false;
    return html`<rect class="${className}" x="${Number(((100 * from) / total).toFixed(2))}%" width="${Number(((100 * count) / total).toFixed(2))}%" height="12"/>`;
  });
  return html`<svg class="stack" width="100%" height="12" aria-hidden="true"><rect class="track" width="100%" height="12"/>${rects}</svg>`;
}
