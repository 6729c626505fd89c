import { describe, expect, it } from 'vitest';
import { Removal } from '../../../passes/prune/channels/removal.ts';
import type { Products } from '../../../passes/quantize/weight-only/product.ts';
import { multiply } from '../../../src/kernels/linear-algebra.ts';
import type { Gram } from '../../../src/pass/pass.ts';
import { normals } from '../../support/synthetic-layer.ts';

const products: Products = {
  float32: async (a, b, m, k, n) => multiply(a, b, m, k, n, Float32Array),
  float64: async (a, b, m, k, n) => multiply(a, b, m, k, n, Float64Array),
};

/** Solves h·x = b by elimination with pivots. @param h [k, k] @param b [k] */
function solved(h: readonly (readonly number[])[], b: readonly number[]): number[] {
  const rows = h.map((row, i) => [...row, b[i] as number]);
  const k = rows.length;
  for (let c = 0; c < k; c++) {
    let best = c;
    for (let r = c; r < k; r++) if (Math.abs(rows[r]?.[c] ?? 0) > Math.abs(rows[best]?.[c] ?? 0)) best = r;
    [rows[c], rows[best]] = [rows[best] as number[], rows[c] as number[]];
    const pivot = rows[c] as number[];
    for (const row of rows) {
      if (row === pivot) continue;
      const factor = (row[c] as number) / (pivot[c] as number);
      for (let j = c; j <= k; j++) row[j] = (row[j] as number) - factor * (pivot[j] as number);
    }
  }
  return rows.map((row, i) => (row[k] as number) / (row[i] as number));
}

describe('units of a reader that go', () => {
  it('cost what least squares on those left cannot make up for, one after the other and in blocks', async () => {
    const [units, taps, n, count] = [7, 2, 3, 200];
    const k = units * taps;
    const normal = normals(5);
    const mix = Array.from({ length: k * k }, normal);
    const x = Array.from({ length: count }, () => {
      const free = Array.from({ length: k }, normal);
      return Array.from({ length: k }, (_, i) => {
        let sum = 0.3 * (free[i] as number);
        for (let j = 0; j < 4; j++) sum += (mix[i * k + j] as number) * (free[j] as number);
        return sum;
      });
    });
    const sum = new Float32Array(k * k);
    const total = new Float64Array(k);
    for (const row of x)
      for (let i = 0; i < k; i++) {
        total[i] = (total[i] as number) + (row[i] as number);
        for (let j = 0; j < k; j++)
          sum[i * k + j] = (sum[i * k + j] as number) + (row[i] as number) * (row[j] as number);
      }
    const weights = Float32Array.from({ length: n * k }, normal);
    // Units are not in order in the layer's inputs.
    const columns = Array.from({ length: units }, (_, u) => [(3 * u) % units, ((3 * u) % units) + units]);
    const gram: Gram = { k, sum, total, rows: count, heldOut: new Float32Array(), heldOutRows: 0, nonFinite: 0 };
    const removal = (await Removal.of(weights, gram, columns, 10, products)) as Removal;

    // The same by definition: what is left is fitted to the outputs of all, with the same damping.
    const h = Array.from({ length: k }, (_, i) =>
      Array.from(
        { length: k },
        (_, j) => (sum[i * k + j] as number) - ((total[i] as number) * (total[j] as number)) / count,
      ),
    );
    const ridge = (1e-3 * h.reduce((t, row, i) => t + (row[i] as number), 0)) / k;
    for (const [i, row] of h.entries()) row[i] = (row[i] as number) + ridge;
    const lossWithout = (gone: readonly number[]): number => {
      const left = Array.from({ length: k }, (_, i) => i).filter((i) => !gone.includes(i));
      let loss = 0;
      for (let o = 0; o < n; o++) {
        const w = Array.from(weights.subarray(o * k, (o + 1) * k));
        const target = h.map((row) => row.reduce((t, value, j) => t + value * (w[j] as number), 0));
        const fitted = solved(
          left.map((i) => left.map((j) => h[i]?.[j] as number)),
          left.map((i) => target[i] as number),
        );
        const change = w.map((value, i) => (left.includes(i) ? (fitted[left.indexOf(i)] as number) : 0) - value);
        for (let i = 0; i < k; i++)
          for (let j = 0; j < k; j++) loss += (change[i] as number) * (h[i]?.[j] as number) * (change[j] as number);
      }
      return loss / (10 * count);
    };
    const gone: number[] = [];
    for (const block of [[2], [5], [0, 6], [1]]) {
      const before = lossWithout(gone);
      for (let unit = 0; unit < units; unit++) {
        const own = columns[unit] as number[];
        const want = gone.includes(own[0] as number) ? 0 : lossWithout([...gone, ...own]) - before;
        expect(Math.abs(removal.cost(unit) - want)).toBeLessThan(1e-6 * (1 + Math.abs(want)));
      }
      await removal.remove(block);
      gone.push(...block.flatMap((unit) => columns[unit] as number[]));
    }
  });
});
