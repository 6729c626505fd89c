import { describe, expect, it } from 'vitest';
import { bootstrap } from '../../src/kernels/bootstrap.ts';
import { randomNumbers } from '../../src/kernels/random.ts';

const first = (mean: number): number => mean;

/** Standard normal numbers (Box and Muller). */
function normals(count: number, random: () => number): number[] {
  return Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
}

describe('bootstrap', () => {
  it('gives all resamples of two values their share: quarters and a half', () => {
    // Means of two draws from {0, 1}: 0, ½, ½, 1. The row of zero is the one that is not drawn.
    const counts = new Map<number, number>();
    const count = (mean: number): number => {
      counts.set(mean, (counts.get(mean) ?? 0) + 1);
      return mean;
    };
    bootstrap([[0, 1]], count, { random: randomNumbers(1), resamples: 40_000 });
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual([0, 0.5, 1]);
    expect(counts.get(0)! / 40_000).toBeCloseTo(0.25, 1.9);
    expect(counts.get(0.5)! / 40_000).toBeCloseTo(0.5, 1.9);
    expect(counts.get(1)! / 40_000).toBeCloseTo(0.25, 1.9);
  });

  it('has the standard error of the mean, σ/√n, with zeros among the values and without', () => {
    const random = randomNumbers(2);
    for (const values of [normals(400, random), [...normals(40, random), ...Array.from({ length: 360 }, () => 0)]]) {
      const mean = values.reduce((sum, value) => sum + value, 0) / 400;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 400;
      const { standardError, interval } = bootstrap([values], first, { random });
      expect(standardError / Math.sqrt(variance / 400)).toBeCloseTo(1, 1.3);
      expect(interval[0]).toBeLessThan(mean);
      expect(interval[1]).toBeGreaterThan(mean);
      expect((interval[1] - interval[0]) / (2 * 1.96 * standardError)).toBeCloseTo(1, 1.3);
    }
  });

  it('covers the true mean in about 95 of 100 sets', () => {
    const random = randomNumbers(7);
    let covered = 0;
    for (let trial = 0; trial < 400; trial++) {
      const { interval } = bootstrap([normals(100, random)], first, { random, resamples: 1000 });
      if (interval[0] <= 0 && interval[1] >= 0) covered++;
    }
    expect(covered / 400).toBeGreaterThan(0.915);
    expect(covered / 400).toBeLessThan(0.98);
  });

  it('draws pairs whole: equal columns never differ', () => {
    const values = normals(50, randomNumbers(4));
    const difference = (a: number, b: number): number => a - b;
    const { interval, standardError } = bootstrap([values, values], difference, { random: randomNumbers(5) });
    expect(interval).toEqual([0, 0]);
    expect(standardError).toBe(0);
  });

  it('is the same for the same seed, and not for another', () => {
    const values = normals(50, randomNumbers(4));
    const run = (seed: number): unknown => bootstrap([values], first, { random: randomNumbers(seed) });
    expect(run(1)).toEqual(run(1));
    expect(run(1)).not.toEqual(run(2));
  });

  it('judges 10,000 differences of right and wrong in well under a second, and of a hundred thousand others at all', () => {
    const random = randomNumbers(8);
    const scores = Array.from({ length: 10_000 }, () => (random() < 0.04 ? (random() < 0.5 ? 1 : -1) : 0));
    const started = performance.now();
    bootstrap([scores], first, { random });
    expect(performance.now() - started).toBeLessThan(5000);
    const { standardError } = bootstrap([Float64Array.from({ length: 100_000 }, random)], first, {
      random,
      resamples: 20,
    });
    expect(standardError).toBeGreaterThan(0);
  });

  it('refuses columns of different length, and no rows', () => {
    const options = { random: randomNumbers(1) };
    expect(() => bootstrap([[1, 2], [1]], first, options)).toThrow(RangeError);
    expect(() => bootstrap([[]], first, options)).toThrow(RangeError);
  });
});
