import { type Html, html } from '../escape.ts';
import type { Kind } from '../parts.ts';

/** Each kind has a shape of its own, so that nothing depends on colour. */
export function symbol(kind: Kind, x: number, y: number): Html {
  if (kind === 'recommended')
    return html`<circle class="halo" cx="${px(x)}" cy="${px(y)}" r="11"/><circle class="dot" cx="${px(x)}" cy="${px(y)}" r="6.5"/>`;
  if (kind === 'accepted') return html`<circle class="dot" cx="${px(x)}" cy="${px(y)}" r="5.5"/>`;
  if (kind === 'base') return html`<path class="dot" d="M${px(x)} ${px(y - 7.5)}l7.5 7.5-7.5 7.5-7.5-7.5z"/>`;
  return html`<path class="cross" d="M${px(x - 5)} ${px(y - 5)}l10 10m0-10l-10 10"/>`;
}

/** A coordinate with one digit behind the point. */
export const px = (value: number): string => String(Number(value.toFixed(1)));

/** A coordinate in percent. */
export const pc = (value: number): string => `${Number(value.toFixed(2))}%`;
