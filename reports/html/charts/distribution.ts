/** How long single inferences took: a row a variant, all on one axis. Paths stretch with the page, text does not. */
import { deviation, quantileSorted } from 'd3-array';
import { area } from 'd3-shape';
import { formatMs } from '../../../src/messages.ts';
import type { Latency } from '../../../src/report/report.ts';
import { type Html, html } from '../escape.ts';
import { type Kind, marks, variantName } from '../parts.ts';
import { type Axis, tickMs, timeAxis } from './scale.ts';
import { pc } from './symbols.ts';

export interface DistributionRow {
  readonly name: string;
  readonly kind: Kind;
  readonly latency: Latency;
}

const height = 34;
/** Steps at which the density is drawn, besides the quantiles themselves: with one digit, about a kilobyte a row. */
const steps = 64;

/** @param label for those who do not see the drawing */
export function distributions(label: string, rows: readonly DistributionRow[]): Html {
  // Beyond p99 lie single outliers, which would press everything else together.
  const axis = timeAxis(
    rows.flatMap(({ latency: { p50, p99, distribution } }) => [p50, p99, distribution?.[0] ?? p50]),
    tickMs,
  );
  const items = rows.map(({ name, kind, latency }) => {
    const { p50, p90, p99 } = latency;
    const figures = html`<b>${formatMs(p50)}</b> p90 ${formatMs(p90)} · p99 ${formatMs(p99)}`;
    return html`<li class="k-${kind}"><span class="bar-name">${marks[kind]}${variantName(name)}</span><span class="bar-value">${figures}</span>${row(latency, axis)}</li>`;
  });
  return html`<ul class="bars dists" role="list" aria-label="${label}">${items}</ul>${ticks(axis)}`;
}

function row({ p50, p90, p99, distribution }: Latency, axis: Axis): Html {
  const path = distribution && densityPath(distribution, axis);
  return html`<svg class="bar dist" width="100%" height="${height}" aria-hidden="true">${axis.ticks.map(({ at }) => html`<line class="grid" x1="${pc(axis.at(at))}" x2="${pc(axis.at(at))}" y1="0" y2="${height}"/>`)}${
    path !== undefined &&
    html`<svg width="100%" height="${height}" viewBox="0 0 100 ${height}" preserveAspectRatio="none"><path class="density" d="${path}"/></svg>`
  }<line class="tail" x1="${pc(axis.at(p50))}" x2="${pc(axis.at(p99))}" y1="${height - 1.5}" y2="${height - 1.5}"/><line class="mark p99" x1="${pc(axis.at(p99))}" x2="${pc(axis.at(p99))}" y1="${height - 9}" y2="${height}"/><line class="mark p90" x1="${pc(axis.at(p90))}" x2="${pc(axis.at(p90))}" y1="${height - 9}" y2="${height}"/><line class="mark median" x1="${pc(axis.at(p50))}" x2="${pc(axis.at(p50))}" y1="0" y2="${height}"/></svg>`;
}

function ticks({ at, ticks: all }: Axis): Html {
  const labels = all.map(({ at: time, label }) => {
    const place = at(time);
    const anchor = place < 6 ? 'start' : place > 94 ? 'end' : 'middle';
    return html`<text x="${pc(place)}" y="13" text-anchor="${anchor}">${label}</text>`;
  });
  return html`<svg class="chart time-axis" width="100%" height="18" aria-hidden="true">${labels}</svg>`;
}

/**
 * Gaussian kernel density of the quantiles, on the logarithm of time, drawn as high as the row. Width of the kernel by Silverman's rule,
 * not below half a percent of the axis, where a clock with coarse steps would draw needles.
 */
function densityPath(quantiles: readonly number[], axis: Axis): string | undefined {
  const places = quantiles.map((time) => axis.at(time)).sort((a, b) => a - b);
  if (places.length < 5) return undefined;
  const [q1 = 0, q3 = 0] = [0.25, 0.75].map((p) => quantileSorted(places, p));
  const spread = Math.min(deviation(places) ?? 0, (q3 - q1) / 1.34 || Number.POSITIVE_INFINITY);
  const width = Math.max(0.5, 0.9 * (Number.isFinite(spread) ? spread : 0) * places.length ** -0.2);
  const grid = Array.from({ length: steps + 1 }, (_, at) => (100 * at) / steps);
  // The grid alone would step over a narrow peak.
  const xs = [...grid, ...places].sort((a, b) => a - b);
  const density = xs.map((x) => places.reduce((sum, place) => sum + Math.exp(-(((x - place) / width) ** 2) / 2), 0));
  const most = Math.max(...density);
  const points = xs.flatMap((x, at): [number, number][] => {
    const share = (density[at] ?? 0) / most;
    return share > 0.002 ? [[x, share]] : [];
  });
  const draw = area()
    .x(([x]) => x)
    .y0(height - 1)
    .y1(([, share]) => height - 1 - share * (height - 4))
    .digits(1);
  return draw(points) ?? undefined;
}
