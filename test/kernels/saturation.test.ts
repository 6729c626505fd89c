import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addSaturation, pairPeaks, saturationFreeScale } from '../../src/kernels/saturation.ts';

/** Two output channels over K = 4: rows of the weights in the order of K. */
const rows = { channels: 2, channelStride: 4, taps: 1, tapStride: 0, inner: 4, innerStride: 1, perGroup: 2 };

describe('pairs of u8·s8 products in 16 bits', () => {
  it('counts what vpmaddubsw would cut off', () => {
    const sums = { pairs: 0, saturated: 0, signal: 0, noise: 0 };
    const weights = Int8Array.of(127, 127, 1, -1, -128, -128, 127, -127);
    addSaturation(sums, Uint8Array.of(255, 255, 10, 20), 0, weights, rows, [0.5], 0, 2);
    // 255·254 = 64770 → 32767; −65280 → −32768; the other pairs fit.
    const exact = [64770 - 10, -65280 + 127 * (10 - 20)];
    expect(sums).toEqual({
      pairs: 4,
      saturated: 2,
      signal: exact.reduce((sum, value) => sum + (value * 0.5) ** 2, 0),
      noise: ((64770 - 32767) * 0.5) ** 2 + ((-65280 + 32768) * 0.5) ** 2,
    });
  });

  it('measures the exact sums about the zero point', () => {
    const sums = { pairs: 0, saturated: 0, signal: 0, noise: 0 };
    addSaturation(
      sums,
      Uint8Array.of(130, 128, 128, 128),
      128,
      Int8Array.of(3, 9, 9, 9, 0, 0, 0, 0),
      rows,
      [1, 1],
      0,
      1,
    );
    expect(sums).toEqual({ pairs: 2, saturated: 0, signal: 36, noise: 0 });
  });

  it('pairs input channels tap by tap, and each group with its own inputs', () => {
    // [2 output channels, 2 inputs, 2 taps], two groups of one output each: k order is tap 0 (c0, c1), tap 1 (c0, c1).
    const conv = { channels: 2, channelStride: 4, taps: 2, tapStride: 1, inner: 2, innerStride: 2, perGroup: 1 };
    const weights = Float32Array.of(1, 10, 2, -20, 3, 0, 4, 0);
    expect([...pairPeaks(weights, conv, [1])]).toEqual([3, 7]);
    expect([...pairPeaks(weights, conv, [1, 0, 2, 1])]).toEqual([0, 10]);
  });

  it('never saturates at the scale it names, whatever the codes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -4, max: 4, noNaN: true }), { minLength: 8, maxLength: 8 }),
        fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 }),
        fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 }),
        (numbers, largest, drawn) => {
          const weights = Float32Array.from(numbers);
          const peaks = pairPeaks(weights, rows, largest);
          const codes = new Int8Array(8);
          for (let n = 0; n < 2; n++) {
            const most = Math.max(...weights.subarray(4 * n, 4 * n + 4).map(Math.abs));
            const scale = Math.max(saturationFreeScale(peaks[n] as number), most / 127) || 1;
            // Each code up to one step from its exact value, as balanced rounding may leave it.
            for (let k = 4 * n; k < 4 * n + 4; k++) {
              const exact = (weights[k] as number) / scale;
              codes[k] = Math.max(-127, Math.min(127, exact > 0 ? Math.ceil(exact) : Math.floor(exact)));
            }
          }
          const sums = { pairs: 0, saturated: 0, signal: 0, noise: 0 };
          const row = Uint8Array.from(drawn, (code, k) => Math.min(code, largest[k] as number));
          addSaturation(sums, row, 0, codes, rows, [1], 0, 2);
          expect(sums.saturated).toBe(0);
        },
      ),
    );
  });
});
