import { describe, expect, it } from 'vitest';
import { packScores, unpackScores } from '../../src/report/scores.ts';

describe('scores of single samples', () => {
  it('packs right and wrong into bits, others into floats, and back', () => {
    const right = [1, 0, 0, 1, 1, 1, 0, 1, 1, 0, 1];
    const bits = packScores(right, { higherIsBetter: true });
    // 1 0 0 1 1 1 0 1 from the lowest bit: 0xB9; 1 0 1: 0x05.
    expect(bits).toEqual({ form: 'right', higherIsBetter: true, count: 11, base64: 'uQU=' });
    expect([...unpackScores(bits!)]).toEqual(right);
    const floats = packScores([0.5, -3.25, 1e10], { higherIsBetter: false });
    expect(floats).toMatchObject({ form: 'float32', higherIsBetter: false, count: 3 });
    expect([...unpackScores(floats!)]).toEqual([0.5, -3.25, 1e10]);
    // Zeros and ones where less is better are errors, not right answers.
    expect(packScores([0, 1], { higherIsBetter: false })?.form).toBe('float32');
    expect(packScores([1, 1], { higherIsBetter: true, graded: true })?.form).toBe('float32');
  });

  it('gives none for what is not finite or too much, and unpacks nothing from text that is cut', () => {
    expect(packScores([1, Number.NaN], { higherIsBetter: true })).toBeUndefined();
    expect(
      packScores(
        Array.from({ length: 100_001 }, () => 0.5),
        { higherIsBetter: true },
      ),
    ).toBeUndefined();
    expect(
      packScores(
        Array.from({ length: 100_001 }, () => 1),
        { higherIsBetter: true },
      )?.count,
    ).toBe(100_001);
    expect(unpackScores({ form: 'right', higherIsBetter: true, count: 100, base64: 'uQU=' })).toHaveLength(0);
  });
});
