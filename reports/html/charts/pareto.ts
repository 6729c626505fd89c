/** Download size against latency, both relative to base: down and to the left is better. */
import { shorten } from '../budget.ts';
import { type Html, html } from '../escape.ts';
import type { Kind } from '../parts.ts';
import { type Box, placeLabels } from './labels.ts';
import { type RatioScale, ratioScale, tickLabel } from './scale.ts';

export interface ParetoPoint {
  readonly name: string;
  readonly kind: Kind;
  /** Download size / that of base. */
  readonly size: number;
  /** Latency / that of base, and its 95 % interval. */
  readonly latency: number;
  readonly interval: readonly [number, number];
  /** Second line of the label: accuracy. */
  readonly note: string;
  /** All of it, for the tooltip. */
  readonly tip: string;
}

interface Frame {
  readonly width: number;
  readonly height: number;
}

const margin = { top: 30, right: 14, bottom: 44, left: 52 };
const line = 14;
const labelLength = 22;

/** One chart in two sizes: the style sheet shows the one that the screen has room for, so that text stays readable. */
export function paretoChart(points: readonly ParetoPoint[], provider: string): Html {
  return html`${draw(points, provider, { width: 480, height: 380 }, 'wide')}${draw(points, provider, { width: 330, height: 340 }, 'narrow')}`;
}

function draw(
  points: readonly ParetoPoint[],
  provider: string,
  { width, height }: Frame,
  size: 'wide' | 'narrow',
): Html {
  const plot: Box = {
    x: margin.left,
    y: margin.top,
    width: width - margin.left - margin.right,
    height: height - margin.top - margin.bottom,
  };
  const bottom = plot.y + plot.height;
  const right = plot.x + plot.width;
  const x = ratioScale(
    points.map((point) => point.size),
    plot.x,
    right,
  );
  const y = ratioScale(
    points.flatMap((point) => [point.latency, ...point.interval]),
    bottom,
    plot.y,
  );
  const label = `Download size and latency on ${provider} of ${points.length} variants, relative to base`;
  const list = points.map((point) => point.tip).join('; ');
  return html`<svg class="chart pareto ${size}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}: ${list}">
<rect class="better" x="${plot.x}" y="${px(y.at(1))}" width="${px(x.at(1) - plot.x)}" height="${px(bottom - y.at(1))}"/>
<text class="better-label" x="${plot.x + 8}" y="${bottom - 9}">smaller and faster</text>
${axes(x, y, plot)}
<text class="axis-title" x="4" y="14">latency on ${provider}, % of base</text>
<text class="axis-title" x="${right}" y="${height - 6}" text-anchor="end">download size, % of base</text>
${front(points, x, y)}${marked(points, x, y, plot)}</svg>`;
}

function axes(x: RatioScale, y: RatioScale, plot: Box): Html {
  const bottom = plot.y + plot.height;
  const right = plot.x + plot.width;
  const vertical = x.ticks.map(
    (tick) =>
      html`<line class="${tick === 1 ? 'grid one' : 'grid'}" x1="${px(x.at(tick))}" x2="${px(x.at(tick))}" y1="${plot.y}" y2="${bottom}"/><text class="tick" x="${px(x.at(tick))}" y="${bottom + 17}" text-anchor="middle">${tickLabel(tick)}</text>`,
  );
  const horizontal = y.ticks.map(
    (tick) =>
      html`<line class="${tick === 1 ? 'grid one' : 'grid'}" x1="${plot.x}" x2="${right}" y1="${px(y.at(tick))}" y2="${px(y.at(tick))}"/><text class="tick" x="${plot.x - 7}" y="${px(y.at(tick) + 4)}" text-anchor="end">${tickLabel(tick)}</text>`,
  );
  return html`${vertical}${horizontal}`;
}

/** The variants that passed and that no other one beats in both, by size. */
export function frontOf(points: readonly ParetoPoint[]): readonly ParetoPoint[] {
  const passed = points
    .filter((point) => point.kind !== 'rejected')
    .sort((a, b) => a.size - b.size || a.latency - b.latency);
  let best = Number.POSITIVE_INFINITY;
  return passed.filter((point) => {
    if (point.latency >= best) return false;
    best = point.latency;
    return true;
  });
}

function front(points: readonly ParetoPoint[], x: RatioScale, y: RatioScale): Html | false {
  const [first, ...rest] = frontOf(points);
  if (!first || rest.length === 0) return false;
  const steps = rest.map((point) => `H${px(x.at(point.size))}V${px(y.at(point.latency))}`);
  return html`<path class="front" d="M${px(x.at(first.size))} ${px(y.at(first.latency))}${steps}"/>`;
}

function marked(points: readonly ParetoPoint[], x: RatioScale, y: RatioScale, plot: Box): Html {
  // What matters most gets its label first, and is drawn last, on top.
  const order: readonly Kind[] = ['recommended', 'base', 'accepted', 'rejected'];
  const sorted = [...points].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  const spots = sorted.map((point) => {
    const name = shorten(point.name, labelLength);
    const width = Math.max(name.length * 8, point.note.length * 7) + 6;
    return {
      point,
      name,
      x: x.at(point.size),
      y: y.at(point.latency),
      label: { width, height: point.note ? 2 * line : line },
      gap: point.kind === 'recommended' ? 15 : 10,
    };
  });
  const obstacles = spots.flatMap(({ point, x, y: top }) => [
    { x: x - 8, y: top - 8, width: 16, height: 16 },
    { x: x - 3, y: y.at(point.interval[1]), width: 6, height: y.at(point.interval[0]) - y.at(point.interval[1]) },
  ]);
  const hint = { x: plot.x, y: plot.y + plot.height - 22, width: 120, height: 22 };
  const places = placeLabels(spots, [...obstacles, hint], plot);
  const drawn = spots.map(({ point, name, x, y: top }, index) => {
    const { x: tx, y: ty, anchor } = places[index] as (typeof places)[number];
    const [low, high] = point.interval;
    const whisker =
      high > low &&
      html`<path class="whisker" d="M${px(x)} ${px(y.at(low))}V${px(y.at(high))}M${px(x - 4)} ${px(y.at(low))}h8M${px(x - 4)} ${px(y.at(high))}h8"/>`;
    return html`<g class="point k-${point.kind}"><title>${point.tip}</title>${whisker}${symbol(point.kind, x, top)}<text x="${px(tx)}" y="${px(ty + 11)}" text-anchor="${anchor}"><tspan class="name">${name}</tspan>${point.note !== '' && html`<tspan class="note" x="${px(tx)}" dy="${line}">${point.note}</tspan>`}</text></g>`;
  });
  return html`${drawn.reverse()}`;
}

function symbol(kind: Kind, x: number, y: number): Html {
  if (kind === 'recommended')
    return html`<circle class="halo" cx="${px(x)}" cy="${px(y)}" r="11"/><circle class="dot" cx="${px(x)}" cy="${px(y)}" r="6.5"/>`;
  if (kind === 'accepted') return html`<circle class="dot" cx="${px(x)}" cy="${px(y)}" r="5.5"/>`;
  if (kind === 'base') return html`<path class="dot" d="M${px(x)} ${px(y - 7.5)}l7.5 7.5-7.5 7.5-7.5-7.5z"/>`;
  return html`<path class="cross" d="M${px(x - 5)} ${px(y - 5)}l10 10m0-10l-10 10"/>`;
}

const px = (value: number): string => String(Number(value.toFixed(1)));
