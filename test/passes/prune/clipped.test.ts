import { describe, expect, it } from 'vitest';
import { fitWeights } from '../../../passes/prune/repair/solve.ts';
import { products } from '../../../passes/quantize/weight-only/product.ts';
import type { Gram } from '../../../src/pass/pass.ts';
import { TestContext } from '../../support/context.ts';
import { normals } from '../../support/synthetic-layer.ts';

const [k, hidden, n] = [4, 7, 3];
const relu = { low: 0, high: Number.POSITIVE_INFINITY };

/** Rows [x, t, beside]: t hangs on three numbers that x does not tell, too. */
function rowsOf(count: number, seed: number, scale: number): Float32Array {
  const draw = normals(seed);
  const weights = normals(5);
  const w = Float64Array.from({ length: n * hidden }, () => weights());
  const rows = new Float32Array(count * (k + 2 * n));
  for (let r = 0; r < count; r++) {
    const z = Array.from({ length: hidden }, () => draw());
    const row = rows.subarray(r * (k + 2 * n), (r + 1) * (k + 2 * n));
    row.set(z.slice(0, k));
    for (let o = 0; o < n; o++) {
      row[k + o] = z.reduce((sum, x, i) => sum + x * (w[o * hidden + i] as number), 0.3);
      row[k + n + o] = scale * draw();
    }
  }
  return rows;
}

function gramOf(rows: Float32Array, heldOut: Float32Array): Gram {
  const [summed, width] = [k + n, k + 2 * n];
  const count = rows.length / width;
  const sum = new Float32Array(summed * summed);
  const total = new Float64Array(summed);
  for (let r = 0; r < count; r++)
    for (let i = 0; i < summed; i++) {
      const x = rows[r * width + i] as number;
      total[i] = (total[i] as number) + x;
      for (let j = 0; j < summed; j++)
        sum[i * summed + j] = (sum[i * summed + j] as number) + x * (rows[r * width + j] as number);
    }
  const heldOutRows = heldOut.length / width;
  return { k: summed, rows: count, sum, total, heldOut, heldOutRows, nonFinite: 0, carried: n, kept: rows };
}

/** Mean square of what a Relu behind the sum still lets through of the error. */
function errorOf(rows: Float32Array, weights: Float32Array, bias: Float64Array): number {
  const width = k + 2 * n;
  let noise = 0;
  for (let at = 0; at < rows.length; at += width)
    for (let o = 0; o < n; o++) {
      let y = bias[o] as number;
      for (let i = 0; i < k; i++) y += (weights[o * k + i] as number) * (rows[at + i] as number);
      const beside = rows[at + k + n + o] as number;
      noise += (Math.max(0, (rows[at + k + o] as number) + beside) - Math.max(0, y + beside)) ** 2;
    }
  return noise / (rows.length / width);
}

describe('fits to what a Relu lets through', () => {
  const by = products(new TestContext().compute);
  const start = { rows: new Float32Array(n * k), bias: new Float64Array(n) };
  const fit = (gram: Gram, clip: typeof relu | undefined) =>
    fitWeights(start, gram, n, true, 'weights', by, () => {}, [1e-3], clip);

  it.each([
    ['alone', 0, 0.97],
    ['beside a residual', 1.5, 0.98],
  ])('errs less there than a fit to all of it: %s', async (_, scale, most) => {
    const gram = gramOf(rowsOf(3000, 1, scale), rowsOf(400, 2, scale));
    const unseen = rowsOf(3000, 3, scale);
    const linear = await fit(gram, undefined);
    const clipped = await fit(gram, relu);
    expect(errorOf(unseen, clipped.rows, clipped.bias)).toBeLessThan(most * errorOf(unseen, linear.rows, linear.bias));
    expect(clipped.after).toBeLessThan(clipped.before);
  });

  it('is the fit to all of it where the bounds are never met, and where no rows were kept', async () => {
    const gram = gramOf(rowsOf(3000, 1, 0), rowsOf(400, 2, 0));
    const linear = await fit(gram, undefined);
    const far = await fit(gram, { low: -1000, high: 1000 });
    for (const [i, w] of far.rows.entries()) expect(w).toBeCloseTo(linear.rows[i] as number, 3);
    const { kept: _, ...without } = gram;
    expect((await fit(without, relu)).rows).toEqual(linear.rows);
  });
});
