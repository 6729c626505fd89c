import { describe, expect, it } from 'vitest';
import { inverseFactorBlocked, inverseOf } from '../../src/kernels/blocked-factor.ts';
import {
  addGram,
  choleskyUpper,
  inverseFactor,
  invertUpper,
  multiply,
  subtractTransposed,
} from '../../src/kernels/linear-algebra.ts';
import type { Product64 } from '../../src/kernels/matrix-blocks.ts';
import { normals } from '../support/synthetic-layer.ts';

/** xᵀx of more rows than inputs: positive definite. */
function randomHessian(k: number): Float64Array {
  const normal = normals(k);
  const sum = new Float64Array(k * k);
  addGram(sum, Float64Array.from({ length: 3 * k * k }, normal), 3 * k, k);
  return sum;
}

describe('linear algebra', () => {
  it('adds xᵀx to what is there', () => {
    const sum = Float64Array.of(1, 0, 0, 1);
    addGram(sum, [1, 2, 3, 4], 2, 2);
    expect(Array.from(sum)).toEqual([11, 14, 14, 21]);
  });

  it('multiplies', () => {
    expect(
      Array.from(multiply(Float32Array.of(1, 2, 3, 4, 5, 6), Float32Array.of(1, 0, 0, 1, 1, 1), 2, 3, 2, Float32Array)),
    ).toEqual([4, 5, 10, 11]);
  });

  // Panels are 256 wide, strips of columns behind them 1024.
  it.each([600, 1300])('factors %i inputs panel by panel as at once', async (size) => {
    const sums = Float64Array.from({ length: size * size }, (_, at) => {
      const apart = Math.abs(Math.floor(at / size) - (at % size));
      return Math.exp(-apart / 9) + (apart === 0 ? 0.1 : 0);
    });
    const [whole, panels] = [sums.slice(), sums.slice()];
    const product: Product64 = async (a, b, m, k, n) => multiply(a, b, m, k, n, Float64Array);
    expect(inverseFactor(whole, size)).toBe(true);
    expect(await inverseFactorBlocked(panels, size, product)).toBe(true);
    let worst = 0;
    for (const [at, want] of whole.entries()) worst = Math.max(worst, Math.abs((panels[at] as number) - want));
    expect(worst).toBeLessThan(1e-10);
    sums[0] = -1;
    expect(await inverseFactorBlocked(sums, size, product)).toBe(false);
  });

  it('makes the inverse of its factor, panel by panel', async () => {
    const size = 300;
    const sums = randomHessian(size);
    const product: Product64 = async (a, b, m, k, n) => multiply(a, b, m, k, n, Float64Array);
    const factor = sums.slice();
    inverseFactor(factor, size);
    const unit = multiply(sums, await inverseOf(factor, size, product), size, size, size, Float64Array);
    let worst = 0;
    for (const [at, value] of unit.entries())
      worst = Math.max(worst, Math.abs(value - (Math.floor(at / size) === at % size ? 1 : 0)));
    expect(worst).toBeLessThan(1e-9);
  });

  it('subtracts aᵀ·b from the rows asked for', () => {
    const normal = normals(3);
    const [k, n, rank, first] = [9, 5, 6, 2];
    const c = Float32Array.from({ length: k * n }, normal);
    const a = Float64Array.from({ length: k * k }, normal);
    const b = Float32Array.from({ length: rank * n }, normal);
    const want = Float64Array.from(c);
    for (let j = first + 1; j < k; j++)
      for (let x = 0; x < n; x++)
        for (let i = 0; i < rank; i++)
          want[j * n + x] = (want[j * n + x] as number) - (a[(first + i) * k + j] as number) * (b[i * n + x] as number);
    subtractTransposed(c, first + 1, k - first - 1, n, a, first, k, b, rank);
    for (let i = 0; i < c.length; i++) expect(c[i]).toBeCloseTo(want[i] as number, 5);
  });

  it('factors h = R·Rᵀ with R upper triangular, and turns R around', () => {
    const h = Float64Array.of(5, 2, 2, 4);
    expect(choleskyUpper(h, 2)).toBe(true);
    expect(Array.from(h)).toEqual([2, 1, 0, 2]);
    invertUpper(h, 2);
    expect(Array.from(h)).toEqual([0.5, -0.25, 0, 0.5]);
  });

  it('says when h is not positive definite', () => {
    expect(choleskyUpper(Float64Array.of(1, 2, 2, 1), 2)).toBe(false);
    expect(choleskyUpper(Float64Array.of(0, 0, 0, 0), 2)).toBe(false);
    expect(choleskyUpper(Float64Array.of(Number.NaN, 0, 0, 1), 2)).toBe(false);
    expect(inverseFactor(Float64Array.of(1, 1, 1, 1), 2)).toBe(false);
  });

  it.each([1, 2, 7, 40])('gives the factor of the inverse: Uᵀ·U·h = 1 (k = %i)', (k) => {
    const h = randomHessian(k);
    const u = h.slice();
    expect(inverseFactor(u, k)).toBe(true);
    for (let i = 0; i < k; i++) {
      for (let j = 0; j < i; j++) expect(u[i * k + j]).toBe(0);
      for (let j = 0; j < k; j++) {
        let sum = 0;
        for (let a = 0; a < k; a++)
          for (let b = 0; b <= Math.min(i, a); b++)
            sum += (u[b * k + i] as number) * (u[b * k + a] as number) * (h[a * k + j] as number);
        expect(sum).toBeCloseTo(i === j ? 1 : 0, 9);
      }
    }
  });
});
