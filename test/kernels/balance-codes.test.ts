import { expect, it } from 'vitest';
import { balanceCodes } from '../../src/kernels/balance-codes.ts';
import { fitPalette, nearestCodes } from '../../src/kernels/cluster.ts';
import { normals } from '../support/synthetic-layer.ts';

const window = 9;

/** Σe² + (Σe)² of each window, and |Σe|. */
function errorsOf(data: Float32Array, codes: Uint8Array, centers: Float32Array): { cost: number[]; sums: number[] } {
  const [cost, sums]: [number[], number[]] = [[], []];
  for (let from = 0; from < data.length; from += window) {
    let [squares, sum] = [0, 0];
    for (let at = from; at < from + window; at++) {
      const error = (centers[codes[at] as number] as number) - (data[at] as number);
      squares += error * error;
      sum += error;
    }
    cost.push(squares + sum * sum);
    sums.push(Math.abs(sum));
  }
  return { cost, sums };
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

it.each([4, 16, 64])('lets the errors of a window cancel, on a palette of %d', (count) => {
  const draw = normals(count);
  const data = Float32Array.from({ length: 400 * window }, () => draw());
  const { centers } = fitPalette(data, count);
  const codes = nearestCodes(data, centers);
  const before = errorsOf(data, codes, centers);
  const first = codes.slice();
  balanceCodes(data, codes, centers, window);
  const after = errorsOf(data, codes, centers);
  for (const [at, cost] of after.cost.entries()) expect(cost).toBeLessThanOrEqual((before.cost[at] as number) + 1e-9);
  expect(mean(after.sums)).toBeLessThan(0.5 * mean(before.sums));
  expect(Math.max(...codes)).toBeLessThan(count);
  const settled = codes.slice();
  balanceCodes(data, codes, centers, window);
  expect(codes).toEqual(settled);
  expect(codes).not.toEqual(first);
});

it('leaves exact zeros, and weights that stand alone', () => {
  const centers = Float32Array.of(-1, 0, 1);
  const data = Float32Array.of(0.45, 0, 0.45, 0, 0.45, 0, 0, 0, 0);
  const codes = nearestCodes(data, centers);
  balanceCodes(data, codes, centers, 1);
  expect([...codes]).toEqual(Array(9).fill(1));
  balanceCodes(data, codes, centers, window);
  // 1.35 were missing: one weight takes the value above, and no zero does.
  expect([...codes].map((code) => code - 1)).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0]);
});
