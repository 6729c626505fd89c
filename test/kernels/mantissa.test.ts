import { describe, expect, it } from 'vitest';
import { hasFewValues, roundMantissa } from '../../src/kernels/mantissa.ts';
import { randomNumbers } from '../../src/kernels/random.ts';

describe('roundMantissa', () => {
  it('rounds to the nearest, ties to even, and keeps signs, zeros and what is not finite', () => {
    const given = [
      1,
      -1,
      0,
      -0,
      1.25,
      1.375,
      1.125,
      -1.375,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
    ];
    const made = [...roundMantissa(Float32Array.from(given), 2)];
    expect(made).toEqual([
      1,
      -1,
      0,
      -0,
      1.25,
      1.5,
      1,
      -1.5,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
    ]);
    // The next would be infinity.
    expect(Number.isFinite(roundMantissa(Float32Array.of(3.4028234663852886e38), 4)[0])).toBe(true);
  });

  it.each([1, 7, 10, 22])('errs by at most half a step with %i bits', (bits) => {
    const next = randomNumbers(bits);
    const data = Float32Array.from({ length: 2000 }, () => (next() - 0.5) * 2 ** Math.floor(40 * (next() - 0.5)));
    const made = roundMantissa(data, bits);
    for (const [i, x] of data.entries())
      expect(Math.abs((made[i] as number) - x)).toBeLessThanOrEqual(Math.abs(x) * 2 ** -(bits + 1));
    expect(new Set(new Uint32Array(made.buffer).map((word) => word & (2 ** (23 - bits) - 1)))).toEqual(new Set([0]));
  });

  it('leaves 23 bits alone', () => {
    const data = Float32Array.of(0.1, Math.PI);
    expect(roundMantissa(data, 23)).toEqual(data);
  });
});

it('counts different values up to a number', () => {
  expect(hasFewValues(Float32Array.of(1, 2, 1, 2), 2)).toBe(true);
  expect(hasFewValues(Float32Array.of(1, 2, 3), 2)).toBe(false);
});
