/** Size against speed, and size against what was lost: down and to the left is better in both. */
import type { Html } from '../escape.ts';
import { lossAxis, ratioAxis } from './scale.ts';
import { type ScatterPoint, scatter } from './scatter.ts';

/** x: download size / that of base; y: latency / that of base. */
export function paretoChart(points: readonly ScatterPoint[], provider: string): Html {
  const sizes = points.map(({ x }) => x);
  const latencies = points.flatMap(({ y, interval }) => [y, ...interval]);
  return scatter({
    points,
    className: 'pareto',
    label: `Download size and latency on ${provider} of ${points.length} variants, relative to base`,
    xTitle: 'download size, % of base',
    yTitle: `latency on ${provider}, % of base`,
    axes: (plot) => ({
      x: ratioAxis(sizes, plot.x, plot.x + plot.width),
      y: ratioAxis(latencies, plot.y + plot.height, plot.y),
    }),
    better: { x: 1, y: 1, label: 'smaller and faster' },
    front: frontOf(points),
  });
}

export interface LossOptions {
  readonly metric: string;
  readonly maxDrop: number;
  /** How a loss is written on the axis. */
  readonly label: (loss: number) => string;
}

/** x: download size / that of base; y: what was lost of the metric, in its unit. */
export function lossChart(points: readonly ScatterPoint[], { metric, maxDrop, label }: LossOptions): Html {
  const sizes = points.map(({ x }) => x);
  const losses = points.flatMap(({ y, interval }) => [y, ...interval]);
  return scatter({
    points,
    className: 'loss',
    label: `Download size relative to base, and ${metric} lost, of ${points.length} variants`,
    xTitle: 'download size, % of base',
    yTitle: `${metric} lost`,
    axes: (plot) => ({
      x: ratioAxis(sizes, plot.x, plot.x + plot.width),
      y: lossAxis(losses, maxDrop, [plot.y + plot.height, plot.y], label),
    }),
    better: { x: 1, y: maxDrop, label: 'smaller, within the limit' },
    // The limit decides here, not the trade-off.
    front: [],
  });
}

/** The points that passed and that no other one beats in both, by size. */
export function frontOf(points: readonly ScatterPoint[]): readonly ScatterPoint[] {
  const passed = points.filter((point) => point.kind !== 'rejected').sort((a, b) => a.x - b.x || a.y - b.y);
  let best = Number.POSITIVE_INFINITY;
  return passed.filter((point) => {
    if (point.y >= best) return false;
    best = point.y;
    return true;
  });
}
