import { describe, expect, it } from 'vitest';
import { type Grid, gridError, gridSearch, plainSearch } from '../../src/kernels/grid-search.ts';
import { normals } from '../support/synthetic-layer.ts';

const normal = normals(5);
const block = (length: number, shift = 0) => Float64Array.from({ length }, () => Math.fround(normal() + shift));
const positive = (length: number) => block(length).map(Math.abs);

describe('the vectorized search of grids', () => {
  const search = gridSearch();

  it('is there: V8 has had the instructions since Node 16', () => {
    expect(search).not.toBe(plainSearch);
  });

  it.each([1, 2, 7, 16, 32, 33, 128, 1024, 1500])('chooses as the plain loops do, blocks of %d', (length) => {
    for (const [zero, scale] of [
      [8, 0.3],
      [0, -0.2],
      [7.25, 0.1],
      [15, 0],
    ] as const) {
      const x = block(length, 0.2);
      const grids: Grid[] = Array.from({ length: 20 }, (_, n) => ({ scale: scale * (1 + 0.03 * n), zero }));
      for (const importance of [undefined, positive(length)]) {
        const chosen = search.best(x, importance, grids, 16);
        const expected = plainSearch.best(x, importance, grids, 16);
        const [one, other] = [chosen, expected].map((grid) => gridError(x, importance, grid, 16));
        expect(one).toBeCloseTo(other as number, 9);
      }
    }
  });

  it.each([1, 5, 32, 1024, 1500])('sums along lines as the plain loops do, blocks of %d', (length) => {
    const [x, weights] = [block(length), positive(length)];
    const scales = Float64Array.of(0.05, -0.1, 0.3, 1e-30, 1e30);
    for (const codes of [
      { from: 0, low: -8, high: 7 },
      { from: -2.5, low: 0, high: 15 },
    ]) {
      const found = search.lines(x, weights, scales, codes);
      plainSearch.lines(x, weights, scales, codes).forEach((sum, n) => {
        expect(found[n]).toBeCloseTo(sum, 9 - Math.log10(length));
      });
    }
  });

  it('keeps nothing of the block before', () => {
    search.best(block(64), undefined, [{ scale: 1, zero: 8 }], 16);
    const x = block(3);
    const grids = [0.2, 0.3, 0.4].map((scale) => ({ scale, zero: 8 }));
    expect(search.best(x, positive(3).fill(1), grids, 16)).toEqual(plainSearch.best(x, undefined, grids, 16));
  });
});
