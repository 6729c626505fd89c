import { describe, expect, it } from 'vitest';
import { dampedHessian, factorInOrder } from '../../src/kernels/gptq.ts';
import { addGram, multiply } from '../../src/kernels/linear-algebra.ts';
import { countZeros, keepNofM, smallest } from '../../src/kernels/mask.ts';
import { refitKept, removeSecondOrder } from '../../src/kernels/second-order.ts';
import { syntheticLayer } from '../support/synthetic-layer.ts';

const float64 = (a: Float64Array, b: Float64Array, m: number, k: number, n: number) =>
  Promise.resolve(multiply(a, b, m, k, n, Float64Array));
const float32 = (a: Float32Array, b: Float32Array, m: number, k: number, n: number) =>
  Promise.resolve(multiply(a, b, m, k, n, Float32Array));

function setUp(k: number, n: number) {
  const layer = syntheticLayer(k, n);
  const sum = new Float64Array(k * k);
  addGram(sum, layer.rows(4 * k, 3), 4 * k, k);
  const rows = new Float32Array(n * k);
  for (let r = 0; r < n; r++) for (let i = 0; i < k; i++) rows[r * k + i] = layer.weights[i * n + r] as number;
  return { sum, rows };
}

const singles = (k: number): number[][] => Array.from({ length: k }, (_, i) => [i]);

/** tr((w − ŵ)·H·(w − ŵ)ᵀ) */
function errorOf(rows: Float32Array, pruned: Float32Array, h: ArrayLike<number>, k: number): number {
  let sum = 0;
  for (let r = 0; r < rows.length / k; r++)
    for (let i = 0; i < k; i++)
      for (let j = 0; j < k; j++) {
        const [at, to] = [r * k + i, r * k + j];
        const [a, b] = [(rows[at] as number) - (pruned[at] as number), (rows[to] as number) - (pruned[to] as number)];
        sum += a * (h[i * k + j] as number) * b;
      }
  return sum;
}

describe('second-order removal', () => {
  const [k, n] = [40, 12];
  const { sum, rows } = setUp(k, n);
  const order = Int32Array.from({ length: k }, (_, i) => i);

  it.each([0, 1, 100, 240, 479])(
    'removes exactly %i of 480, and loses less than the smallest magnitudes would',
    async (drop) => {
      const factor = await factorInOrder(sum, k, order, 1e-6, float64);
      if (!factor) throw new Error('no factor');
      const pruned = await removeSecondOrder(rows, n, factor, singles(k), { kind: 'share', drop }, float32);
      expect(countZeros(pruned)).toBe(drop);
      const gone = smallest(rows, drop);
      const magnitude = rows.map((w, at) => (gone[at] === 1 ? 0 : w));
      if (drop === 0) expect(pruned).toEqual(rows);
      else expect(errorOf(rows, pruned, sum, k)).toBeLessThan(errorOf(rows, magnitude, sum, k));
    },
  );

  it('removes a single weight as the closed form of optimal brain surgeon has it', async () => {
    const one = new Float32Array(rows.subarray(0, k));
    // The cheapest by w² / U_ii² in this order is removed; those behind it move by −w / [H⁻¹]_ii · H⁻¹ of the inputs still to come.
    const factor = await factorInOrder(sum, k, order, 1e-9, float64);
    if (!factor) throw new Error('no factor');
    const pruned = await removeSecondOrder(one, 1, factor, singles(k), { kind: 'share', drop: 1 }, float32);
    const at = pruned.indexOf(0);
    for (let i = 0; i < at; i++) expect(pruned[i]).toBe(one[i]);
    const fitted = await refitKept(one, pruned, 1, k, dampedHessian(sum, k, 1e-9), 200, float32);
    // Among all that differ from `one` only behind `at`, none is nearer: moving any of those changes nothing for the better.
    const h = sum;
    for (let j = at + 1; j < k; j++) {
      let slope = 0;
      for (let i = 0; i < k; i++) slope += ((one[i] as number) - (pruned[i] as number)) * (h[i * k + j] as number);
      expect(Math.abs(slope) / (h[j * k + j] as number)).toBeLessThan(1e-4);
    }
    expect(errorOf(one, fitted, h, k)).toBeLessThanOrEqual(errorOf(one, pruned, h, k) * (1 + 1e-4));
  });

  it('keeps n of m of each group of inputs, and whole groups where they go together', async () => {
    const groups = Array.from({ length: k / 4 }, (_, g) => [0, 1, 2, 3].map((i) => 4 * g + i)).reverse();
    const factor = await factorInOrder(sum, k, Int32Array.from(groups.flat()), 1e-6, float64);
    if (!factor) throw new Error('no factor');
    const pattern = await removeSecondOrder(rows, n, factor, groups, { kind: 'n-of-m', n: 2, m: 4 }, float32);
    expect(countZeros(pattern)).toBe((n * k) / 2);
    for (let g = 0; g < pattern.length; g += 4) expect(countZeros(pattern.subarray(g, g + 4))).toBe(2);
    const plain = keepNofM(rows, { outer: n, length: k, inner: 1 }, 2, 4);
    expect(errorOf(rows, pattern, sum, k)).toBeLessThan(errorOf(rows, plain, sum, k));
    const whole = await removeSecondOrder(rows, n, factor, groups, { kind: 'groups', drop: 30 }, float32);
    expect(countZeros(whole)).toBe(120);
    let empty = 0;
    for (let g = 0; g < whole.length; g += 4) if (countZeros(whole.subarray(g, g + 4)) === 4) empty++;
    expect(empty).toBe(30);
  });

  it('refits what is kept to the least squares solution, zeros staying zero', async () => {
    const gone = smallest(rows, 240);
    const masked = rows.map((w, at) => (gone[at] === 1 ? 0 : w));
    const fitted = await refitKept(rows, masked, n, k, Float32Array.from(sum), 60, float32);
    for (let at = 0; at < fitted.length; at++) if (masked[at] === 0) expect(fitted[at]).toBe(0);
    expect(errorOf(rows, fitted, sum, k)).toBeLessThan(errorOf(rows, masked, sum, k));
    // The gradient vanishes where weights may move.
    for (let r = 0; r < n; r++)
      for (let j = 0; j < k; j++) {
        if (masked[r * k + j] === 0) continue;
        let slope = 0;
        for (let i = 0; i < k; i++)
          slope += ((rows[r * k + i] as number) - (fitted[r * k + i] as number)) * (sum[i * k + j] as number);
        expect(Math.abs(slope) / (sum[j * k + j] as number)).toBeLessThan(1e-4);
      }
  });
});
