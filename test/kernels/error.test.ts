import { describe, expect, it } from 'vitest';
import { addErrors, cosine, emptyErrorSums, sqnrDb, toleranceUsed } from '../../src/kernels/error.ts';

const sums = (a: number[], b: number[]) => addErrors(emptyErrorSums(), a, b);

describe('error measures', () => {
  it('gives SQNR, cosine and the largest difference', () => {
    const s = sums([3, 4], [3, 4.5]);
    expect(sqnrDb(s)).toBeCloseTo(20, 12);
    expect(cosine(s)).toBeCloseTo(27 / (5 * Math.hypot(3, 4.5)), 12);
    expect(s.maxAbs).toBe(0.5);
  });
  it('adds up over parts', () => {
    const parts = addErrors(addErrors(emptyErrorSums(), [1, 2], [1, 2.5]), [3], [2]);
    expect(parts).toEqual(sums([1, 2, 3], [1, 2.5, 2]));
  });
  it('says what equal, empty, zero and broken tensors give', () => {
    expect(sqnrDb(sums([1, 2], [1, 2]))).toBe(Infinity);
    expect(sqnrDb(sums([], []))).toBe(Infinity);
    expect(sqnrDb(sums([0, 0], [1, 0]))).toBe(-Infinity);
    expect(cosine(sums([0], [0]))).toBe(1);
    expect(cosine(sums([0], [2]))).toBe(0);
    expect(sqnrDb(sums([Infinity, NaN, 1], [Infinity, NaN, 1]))).toBe(Infinity);
    for (const [a, b] of [
      [1, NaN],
      [NaN, 1],
      [Infinity, -Infinity],
      [1, Infinity],
    ] as const) {
      const s = sums([1, a], [1, b]);
      expect(sqnrDb(s)).toBe(-Infinity);
      expect(s.maxAbs).toBe(Infinity);
      expect(cosine(s)).toBeNaN();
    }
  });
  it('keeps float64 sums: a million small errors do not vanish', () => {
    const n = 1_000_000;
    const s = addErrors(emptyErrorSums(), new Float32Array(n).fill(1), new Float32Array(n).fill(1 + 2 ** -20));
    expect(sqnrDb(s)).toBeCloseTo(20 * Math.log10(2 ** 20), 6);
  });
  it('refuses tensors of different length', () => {
    expect(() => sums([1], [1, 2])).toThrow(RangeError);
  });
});

describe('toleranceUsed', () => {
  const tolerance = { rtol: 0.25, atol: 0.5 };
  it('is the largest error as a share of atol·max(1, max|reference|) + rtol·|reference|', () => {
    expect(toleranceUsed([0, 0.5], [0.25, 0.5], tolerance)).toBe(0.5);
    // Granted at 0: 0.5 · 8; at 8: 0.5 · 8 + 0.25 · 8.
    expect(toleranceUsed([0, 8], [4, 8], tolerance)).toBe(1);
    expect(toleranceUsed([0, 8], [0, 14], tolerance)).toBe(1);
    expect(toleranceUsed([0, 8], [0, 15.5], tolerance)).toBe(1.25);
  });
  it('takes equal NaN and infinities as equal, and nothing else', () => {
    expect(toleranceUsed([NaN, Infinity, -0], [NaN, Infinity, 0], { rtol: 0, atol: 0 })).toBe(0);
    expect(toleranceUsed([1], [NaN], tolerance)).toBe(Infinity);
    expect(toleranceUsed([Infinity], [1], tolerance)).toBe(Infinity);
    expect(toleranceUsed([1], [1.5], { rtol: 0, atol: 0 })).toBe(Infinity);
  });
});
