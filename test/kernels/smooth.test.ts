import { describe, expect, it } from 'vitest';
import { intRanges } from '../../src/kernels/quantize.ts';
import { fakeQuantizeRows, fakeQuantizeWeights, smoothFactors } from '../../src/kernels/smooth.ts';

describe('smooth', () => {
  it('factors are max|X|^α / max|W|^(1−α), up to one common factor', () => {
    const [x, w] = [
      [8, 2, 0, 5],
      [0.5, 4, 1, 0],
    ];
    for (const alpha of [0, 0.35, 1]) {
      const factors = smoothFactors(x, w, alpha);
      const raw = [0, 1].map((j) => (x[j] as number) ** alpha / (w[j] as number) ** (1 - alpha));
      expect((factors[0] as number) / (factors[1] as number)).toBeCloseTo((raw[0] as number) / (raw[1] as number), 10);
      expect((factors[0] as number) * (factors[1] as number)).toBeCloseTo(1, 10);
      // Channels without values or weights stay as they are.
      expect([...factors.subarray(2)]).toEqual([1, 1]);
    }
  });

  it('fake quantization is that of QuantizeLinear: u8 with zero exact, symmetric weights per column or in one', () => {
    // Behind the factors the range is [−1, 2.75] / 1: scale 3.75 / 255, zero point 68.
    const rows = fakeQuantizeRows(Float32Array.of(0, 2.75, -2, 0.1), 2, [-2, 0], [0, 2.75], Float64Array.of(2, 1));
    const scale = Math.fround(3.75 / 255);
    expect([...rows]).toEqual([0, 187, -68, 7].map((code) => Math.fround(code * scale)));
    const weights = Float32Array.of(1, -64, 0.5, 32);
    const identity = Float64Array.of(1, 2);
    const range = intRanges.int8.reduced;
    expect([...fakeQuantizeWeights(weights, 2, 2, identity, range, true)]).toEqual([1, -64, 1, 64]);
    expect([...fakeQuantizeWeights(Float32Array.of(1.3, -64, 0.2, 32), 2, 2, identity, range, false)]).toEqual([
      1, -64, 0, 64,
    ]);
  });
});
