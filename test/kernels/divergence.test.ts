import { describe, expect, test } from 'vitest';
import { sumOfDivergences } from '../../src/kernels/divergence.ts';

describe('Kullback–Leibler divergence of class scores', () => {
  test('of probabilities: Σ p ln(p/q), row by row', () => {
    const p = [0.5, 0.5, 0.9, 0.1];
    const q = [0.25, 0.75, 0.9, 0.1];
    const expected = 0.5 * Math.log(2) + 0.5 * Math.log(2 / 3);
    expect(sumOfDivergences(p, q, 2)).toBeCloseTo(expected, 12);
  });

  test('of logits: through softmax, so that a shift of all scores changes nothing', () => {
    const logits = [2, -1, 0.5];
    expect(sumOfDivergences(logits, [12, 9, 10.5], 3)).toBeCloseTo(0, 12);
    const softmax = (row: number[]): number[] => {
      const sum = row.reduce((total, x) => total + Math.exp(x), 0);
      return row.map((x) => Math.exp(x) / sum);
    };
    const other = [1, 1, -4];
    const [p, q] = [softmax(logits), softmax(other)];
    const expected = p.reduce((sum, x, at) => sum + x * Math.log(x / (q[at] ?? 1)), 0);
    expect(sumOfDivergences(logits, other, 3)).toBeCloseTo(expected, 12);
  });

  test('a probability of 0 stays finite; numbers that are none do not', () => {
    expect(sumOfDivergences([1, 0], [0, 1], 2)).toBeCloseTo(-Math.log(1e-9), 6);
    expect(sumOfDivergences([1, 2], [Number.NaN, 0], 2)).toBe(Number.POSITIVE_INFINITY);
    expect(sumOfDivergences([Number.NaN, 2], [1, 0], 2)).toBe(0);
  });

  test('scores that sum to 1 by chance in one row are scores like those of the other rows', () => {
    const [scores, other] = [
      [3, -1, 0, 0.2, 0.8, 0],
      [3, -1, 0, 0.2, 0.6, 0.2],
    ];
    const exp = [0.2, 0.8, 0].map(Math.exp);
    const expOther = [0.2, 0.6, 0.2].map(Math.exp);
    const total = (list: number[]): number => list.reduce((a, b) => a + b, 0);
    const [z, zOther] = [total(exp), total(expOther)];
    const expected = exp.reduce((sum, e, at) => sum + (e / z) * Math.log(e / z / ((expOther[at] ?? 1) / zOther)), 0);
    expect(sumOfDivergences(scores, other, 3)).toBeCloseTo(expected, 12);
  });
});
