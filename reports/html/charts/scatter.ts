/** Variants as points: names beside them, details on hover and focus, each a link to its row in the table. */
import { shorten } from '../budget.ts';
import { type Html, html } from '../escape.ts';
import type { Kind } from '../parts.ts';
import { type Box, placeLabels } from './labels.ts';
import type { Axis } from './scale.ts';
import { px, symbol } from './symbols.ts';

export interface ScatterPoint {
  readonly name: string;
  readonly kind: Kind;
  readonly x: number;
  readonly y: number;
  /** 95 % interval of y. */
  readonly interval: readonly [number, number];
  /** Second line of the label. */
  readonly note: string;
  /** Lines of the details. */
  readonly tip: readonly string[];
  /** Fragment that the point leads to. */
  readonly href: string;
}

export interface ScatterChart {
  readonly points: readonly ScatterPoint[];
  readonly className: string;
  readonly label: string;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly axes: (plot: Box) => { readonly x: Axis; readonly y: Axis };
  /** The corner down and to the left of these values, and what it is called. */
  readonly better: { readonly x: number; readonly y: number; readonly label: string };
  /** Points that a stepped line joins. */
  readonly front: readonly ScatterPoint[];
}

const margin = { top: 30, right: 14, bottom: 44 };
const line = 14;
const labelLength = 22;
/** Labels of the style sheet's rules for details: a point beyond that has none, and its row in the table. */
export const mostTips = 48;

/** One chart in two sizes: the style sheet shows the one that the screen has room for, so that text stays readable. */
export function scatter(chart: ScatterChart): Html {
  return html`${draw(chart, 480, 380, 'wide')}${draw(chart, 330, 340, 'narrow')}`;
}

function draw(chart: ScatterChart, width: number, height: number, size: 'wide' | 'narrow'): Html {
  const probe = chart.axes({ x: 0, y: 0, width, height });
  // Room for the longest tick of the left axis.
  const left = 14 + 6.8 * Math.max(4, ...probe.y.ticks.map(({ label }) => label.length));
  const plot: Box = {
    x: left,
    y: margin.top,
    width: width - left - margin.right,
    height: height - margin.top - margin.bottom,
  };
  const { x, y } = chart.axes(plot);
  const bottom = plot.y + plot.height;
  const right = plot.x + plot.width;
  const { better } = chart;
  return html`<svg class="chart scatter ${chart.className} ${size}" viewBox="0 0 ${width} ${height}" role="group" aria-label="${chart.label}">
<rect class="better" x="${px(plot.x)}" y="${px(y.at(better.y))}" width="${px(Math.max(0, x.at(better.x) - plot.x))}" height="${px(Math.max(0, bottom - y.at(better.y)))}"/>
<text class="better-label" x="${px(plot.x + 8)}" y="${px(bottom - 9)}" aria-hidden="true">${better.label}</text>
${gridOf(x, y, plot)}
<text class="axis-title" x="4" y="14" aria-hidden="true">${chart.yTitle}</text>
<text class="axis-title" x="${px(right)}" y="${px(height - 6)}" text-anchor="end" aria-hidden="true">${chart.xTitle}</text>
${frontLine(chart.front, x, y)}${marked(chart.points, x, y, plot)}</svg>`;
}

function gridOf(x: Axis, y: Axis, plot: Box): Html {
  const bottom = plot.y + plot.height;
  const right = plot.x + plot.width;
  const vertical = x.ticks.map(
    ({ at, label, strong }) =>
      html`<line class="grid${strong && ' one'}" x1="${px(x.at(at))}" x2="${px(x.at(at))}" y1="${px(plot.y)}" y2="${px(bottom)}"/><text class="tick" x="${px(x.at(at))}" y="${px(bottom + 17)}" text-anchor="middle">${label}</text>`,
  );
  const horizontal = y.ticks.map(
    ({ at, label, strong }) =>
      html`<line class="grid${strong && ' one'}" x1="${px(plot.x)}" x2="${px(right)}" y1="${px(y.at(at))}" y2="${px(y.at(at))}"/><text class="tick" x="${px(plot.x - 7)}" y="${px(y.at(at) + 4)}" text-anchor="end">${label}</text>`,
  );
  return html`<g aria-hidden="true">${vertical}${horizontal}</g>`;
}

function frontLine(points: readonly ScatterPoint[], x: Axis, y: Axis): Html | false {
  const [first, ...rest] = points;
  if (!first || rest.length === 0) return false;
  const steps = rest.map((point) => `H${px(x.at(point.x))}V${px(y.at(point.y))}`);
  return html`<path class="front" d="M${px(x.at(first.x))} ${px(y.at(first.y))}${steps}"/>`;
}

interface Spot {
  readonly point: ScatterPoint;
  readonly name: string;
  readonly x: number;
  readonly y: number;
}

function marked(points: readonly ScatterPoint[], x: Axis, y: Axis, plot: Box): Html {
  // What matters most gets its label first, and is drawn last, on top.
  const order: readonly Kind[] = ['recommended', 'base', 'accepted', 'rejected'];
  const sorted = [...points].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  const spots = sorted.map((point) => {
    const name = shorten(point.name, labelLength);
    const width = Math.max(name.length * 8, point.note.length * 7) + 6;
    return {
      point,
      name,
      x: x.at(point.x),
      y: y.at(point.y),
      label: { width, height: point.note ? 2 * line : line },
      gap: point.kind === 'recommended' ? 15 : 10,
    };
  });
  const obstacles = spots.flatMap(({ point, x: left, y: top }) => [
    { x: left - 8, y: top - 8, width: 16, height: 16 },
    { x: left - 3, y: y.at(point.interval[1]), width: 6, height: y.at(point.interval[0]) - y.at(point.interval[1]) },
  ]);
  const hint = { x: plot.x, y: plot.y + plot.height - 22, width: 130, height: 22 };
  const places = placeLabels(spots, [...obstacles, hint], plot);
  const drawn = spots.map((spot, index) => {
    const place = places[index];
    const { point } = spot;
    const text =
      place &&
      html`<text x="${px(place.x)}" y="${px(place.y + 11)}" text-anchor="${place.anchor}"><tspan class="name">${spot.name}</tspan> ${point.note !== '' && html`<tspan class="note" x="${px(place.x)}" dy="${line}">${point.note}</tspan>`}</text>`;
    return html`<a class="point p${index} k-${point.kind}" href="#${point.href}" aria-label="${spokenOf(spot)}">${whisker(point, spot.x, y)}<circle class="hit" cx="${px(spot.x)}" cy="${px(spot.y)}" r="13"/>${symbol(point.kind, spot.x, spot.y)}${text}</a>`;
  });
  const tips = spots.slice(0, mostTips).map((spot, index) => tip(spot, index, plot));
  return html`${drawn.reverse()}${tips}`;
}

/** What is seen comes first, so that those who speak to the page can name what they see. */
const spokenOf = ({
  name,
  point: {
    note,
    tip: [, ...rest],
    kind,
  },
}: Spot): string => [note === '' ? `${name} (${kind})` : `${name} ${note} (${kind})`, ...rest].join(', ');

function whisker({ interval: [low, high] }: ScatterPoint, x: number, y: Axis): Html | false {
  return (
    high > low &&
    html`<path class="whisker" d="M${px(x)} ${px(y.at(low))}V${px(y.at(high))}M${px(x - 4)} ${px(y.at(low))}h8M${px(x - 4)} ${px(y.at(high))}h8"/>`
  );
}

/** Beside its point, inside the plot. */
function tip({ point, x, y }: Spot, index: number, plot: Box): Html {
  const width = Math.min(plot.width, 18 + 6.6 * Math.max(...point.tip.map((text) => text.length)));
  const height = 12 + 16 * point.tip.length;
  const right = plot.x + plot.width;
  const left = x + 16 + width <= right ? x + 16 : Math.max(plot.x, Math.min(x - 16 - width, right - width));
  const top = Math.max(plot.y, Math.min(y - height / 2, plot.y + plot.height - height));
  const lines = point.tip.map(
    (text, at) =>
      html`<text class="${at === 0 && 'tip-name'}" x="${px(left + 9)}" y="${px(top + 18 + 16 * at)}">${text}</text>`,
  );
  return html`<g class="tip t${index} k-${point.kind}" aria-hidden="true"><rect x="${px(left)}" y="${px(top)}" width="${px(width)}" height="${px(height)}" rx="6"/>${lines}</g>`;
}
