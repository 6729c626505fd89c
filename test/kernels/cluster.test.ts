import { describe, expect, it } from 'vitest';
import { fitPalette, nearestCodes } from '../../src/kernels/cluster.ts';
import { normals } from '../support/synthetic-layer.ts';

const error = (values: Float32Array, centers: Float32Array): number => {
  const codes = nearestCodes(values, centers);
  return values.reduce((sum, x, at) => sum + (x - (centers[codes[at] as number] as number)) ** 2, 0);
};

describe('palettes', () => {
  it('find clusters that are there, exactly', () => {
    const values = Float32Array.of(5, 1, 1, -3, 5, 1, -3, 5, 1.5, 1.5);
    const { centers, error: left } = fitPalette(values, 4);
    expect(Array.from(centers)).toEqual([-3, 1, 1.5, 5]);
    expect(left).toBe(0);
    expect(Array.from(nearestCodes(values, centers))).toEqual([3, 1, 1, 0, 3, 1, 0, 3, 2, 2]);
  });

  it('come near the best that is known for normal numbers, and beat an even grid', () => {
    const values = Float32Array.from({ length: 40_000 }, normals(3));
    // Max (1960): mean squared error of the optimal quantizer of a normal source.
    for (const [count, best] of [
      [4, 0.1175],
      [8, 0.03454],
      [16, 0.009497],
    ] as const) {
      const { centers } = fitPalette(values, count);
      expect(error(values, centers) / values.length).toBeLessThan(best * 1.05);
    }
  });

  it('assign each value to its nearest centre', () => {
    const values = Float32Array.from({ length: 1000 }, normals(4));
    const { centers } = fitPalette(values, 16);
    for (const [at, code] of nearestCodes(values, centers).entries()) {
      const nearest = centers.reduce((a, b) => Math.min(a, Math.abs(b - (values[at] as number))), 9);
      expect(Math.abs((centers[code] as number) - (values[at] as number))).toBe(nearest);
    }
  });

  it('keep a centre at zero where asked to, and weigh values where told how', () => {
    const values = Float32Array.from({ length: 1000 }, normals(5)).map((x, at) => (at % 2 ? 0 : x + 0.3));
    const { centers } = fitPalette(values, 8, { zero: true });
    expect(centers).toContain(0);
    const codes = nearestCodes(values, centers);
    for (let at = 1; at < 1000; at += 2) expect(centers[codes[at] as number]).toBe(0);
    const few = Float32Array.of(0, 1, 2, 10);
    const importance = Float32Array.of(1, 1, 1e6, 1);
    expect(Array.from(fitPalette(few, 2, { importance }).centers)[0]).toBeCloseTo(2, 3);
  });

  it('do with nothing, with one value, and with more centres than values', () => {
    expect(fitPalette(new Float32Array(0), 4).error).toBe(0);
    expect(fitPalette(new Float32Array(9).fill(2), 4).error).toBe(0);
    expect(error(Float32Array.of(1, 2), fitPalette(Float32Array.of(1, 2), 8).centers)).toBe(0);
  });
});
