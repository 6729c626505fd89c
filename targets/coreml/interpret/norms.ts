import { elementCount } from '../../../src/ir/tensor.ts';
import { broadcastIndex } from '../../../src/kernels/walk.ts';
import { around, type Held, type Kernel } from './values.ts';

/** Rows over the axes are moved to mean 0 and deviation 1, then scaled and shifted. */
export const layerNorm: Kernel = (p) => {
  const x = p.tensor('x');
  const axes = p.ints(
    'axes',
    x.shape.map((_, axis) => axis),
  );
  const kept = x.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  const own = x.shape.map((dim, axis) => (axes.includes(axis) ? dim : 1));
  const [row, column] = [broadcastIndex(kept, x.shape), broadcastIndex(own, x.shape)];
  return {
    shape: x.shape,
    values: normalized(
      x,
      row,
      elementCount(kept),
      p.number('epsilon', 1e-5),
      column,
      p.optional('gamma'),
      p.optional('beta'),
    ),
  };
};

export const instanceNorm: Kernel = (p) => {
  const x = p.tensor('x');
  const [n = 1, channels = 1] = x.shape;
  const area = elementCount(x.shape.slice(2));
  const row = Int32Array.from(x.values, (_, at) => Math.floor(at / area));
  const column = row.map((at) => at % channels);
  return {
    shape: x.shape,
    values: normalized(
      x,
      row,
      n * channels,
      p.number('epsilon', 1e-5),
      column,
      p.optional('gamma'),
      p.optional('beta'),
    ),
  };
};

function normalized(
  { values }: Held,
  row: Int32Array,
  rows: number,
  epsilon: number,
  column: Int32Array,
  gamma: Held | undefined,
  beta: Held | undefined,
): Float64Array {
  const count = values.length / rows;
  const means = new Float64Array(rows);
  for (let at = 0; at < values.length; at++)
    means[row[at] ?? 0] = (means[row[at] ?? 0] ?? 0) + (values[at] ?? 0) / count;
  const spread = new Float64Array(rows);
  for (let at = 0; at < values.length; at++) {
    const r = row[at] ?? 0;
    spread[r] = (spread[r] ?? 0) + ((values[at] ?? 0) - (means[r] ?? 0)) ** 2 / count;
  }
  return Float64Array.from(values, (value, at) => {
    const r = row[at] ?? 0;
    const own = column[at] ?? 0;
    return (
      ((value - (means[r] ?? 0)) / Math.sqrt((spread[r] ?? 0) + epsilon)) * (gamma?.values[own] ?? 1) +
      (beta?.values[own] ?? 0)
    );
  });
}

export const localResponse: Kernel = (p) => {
  const x = p.tensor('x');
  const [, channels, inner] = around(x.shape, 1);
  const [size, alpha, beta, k] = [
    p.number('size', 1),
    p.number('alpha', 1e-4),
    p.number('beta', 0.75),
    p.number('k', 1),
  ];
  const values = Float64Array.from(x.values, (value, at) => {
    const c = Math.floor(at / inner) % channels;
    let total = 0;
    for (let other = Math.max(0, c - (size - 1) / 2); other <= Math.min(channels - 1, c + (size - 1) / 2); other++)
      total += (x.values[at + (other - c) * inner] ?? 0) ** 2;
    return value / (k + (alpha / size) * total) ** beta;
  });
  return { shape: x.shape, values };
};
