import { describe, expect, it } from 'vitest';
import { symmetricEigen } from '../../src/kernels/eigen.ts';
import { multiply } from '../../src/kernels/linear-algebra.ts';
import { normals } from '../support/synthetic-layer.ts';

function symmetric(n: number, seed: number, rank = n): Float64Array {
  const x = Float64Array.from({ length: n * rank }, normals(seed));
  const turned = new Float64Array(x.length);
  for (let i = 0; i < n; i++) for (let j = 0; j < rank; j++) turned[j * n + i] = x[i * rank + j] as number;
  return multiply(x, turned, n, rank, n, Float64Array);
}

function check(matrix: Float64Array, n: number): Float64Array {
  const eigen = symmetricEigen(matrix, n);
  if (!eigen) throw new Error('no eigenvalues');
  const { values, vectors } = eigen;
  const size = Math.max(1, ...values.map(Math.abs));
  for (let r = 0; r < n; r++) {
    if (r > 0) expect(values[r]).toBeLessThanOrEqual(values[r - 1] as number);
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += (matrix[i * n + j] as number) * (vectors[r * n + j] as number);
      expect(Math.abs(sum - (values[r] as number) * (vectors[r * n + i] as number))).toBeLessThan(1e-10 * size * n);
    }
    for (let q = 0; q <= r; q++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += (vectors[r * n + j] as number) * (vectors[q * n + j] as number);
      expect(sum).toBeCloseTo(q === r ? 1 : 0, 9);
    }
  }
  return values;
}

describe('eigenvalues of symmetric matrices', () => {
  it.each([1, 2, 3, 7, 40])('of %i rows', (n) => {
    check(symmetric(n, n), n);
  });

  it('of matrices of low rank, diagonal ones, zeros, negative ones and equal values', () => {
    const low = check(symmetric(20, 3, 4), 20);
    for (let i = 4; i < 20; i++) expect(Math.abs(low[i] as number)).toBeLessThan(1e-10 * (low[0] as number));
    expect(Array.from(check(Float64Array.of(1, 0, 0, 0, 5, 0, 0, 0, 3), 3))).toEqual([5, 3, 1]);
    check(new Float64Array(16), 4);
    expect(check(Float64Array.of(0, 2, 2, 0), 2)[1]).toBeCloseTo(-2, 12);
    check(
      Float64Array.from({ length: 25 }, (_, at) => (at % 6 === 0 ? 2 : 1)),
      5,
    );
  });

  it('gives up on what is not finite', () => {
    expect(symmetricEigen(new Float64Array(9).fill(Number.NaN), 3)).toBeUndefined();
  });
});
