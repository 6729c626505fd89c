/** The error of every layer, in the order of the graph. */
import { curveStepAfter, line } from 'd3-shape';
import type { LayerError } from '../../../src/report/evidence.ts';
import { type Html, html } from '../escape.ts';
import { linearAxis } from './scale.ts';

const height = 96;
/** Beyond this a layer counts as the same: 32-bit floats added up in another order differ by about as much. */
const fullDb = 100;
/** Points of the line: it is some 350 pixels wide, and weighs ten bytes a point. */
const mostPoints = 250;

/** SQNR of each layer as a stepped line; where there are many, of each group of neighbours the worst. */
export function layerStrip(layers: readonly LayerError[]): Html {
  const values = layers.map(({ sqnrDb }) => Math.max(0, Math.min(fullDb, sqnrDb ?? fullDb)));
  const size = Math.ceil(values.length / mostPoints);
  const grouped = Array.from({ length: Math.ceil(values.length / size) }, (_, at) =>
    Math.min(...values.slice(at * size, (at + 1) * size)),
  );
  const axis = linearAxis([0, Math.max(40, ...grouped)], [height - 4, 6], (db) => `${db} dB`);
  const step = 100 / grouped.length;
  const last = grouped.at(-1) ?? 0;
  const points = [...grouped.map((db, at): [number, number] => [at * step, db]), [100, last] as [number, number]];
  const path = line()
    .x(([x]) => x)
    .y(([, db]) => axis.at(db))
    .curve(curveStepAfter)
    .digits(2)(points);
  const grid = axis.ticks.map(
    ({ at, label }) =>
      html`<line class="grid" x1="0" x2="100%" y1="${axis.at(at).toFixed(1)}" y2="${axis.at(at).toFixed(1)}"/><text x="0" y="${(axis.at(at) - 3).toFixed(1)}">${label}</text>`,
  );
  return html`<svg class="chart strip" width="100%" height="${height}" aria-hidden="true">${grid}<svg width="100%" height="${height}" viewBox="0 0 100 ${height}" preserveAspectRatio="none"><path class="steps-line" d="${path ?? ''}"/></svg></svg>`;
}
