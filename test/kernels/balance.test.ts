import { expect, it } from 'vitest';
import { balanceWindows } from '../../src/kernels/balance.ts';
import { roundHalfEven } from '../../src/kernels/round.ts';
import { random } from '../support/differential.ts';

const range = { min: -64, max: 64 };

function rounded(data: Float32Array, scales: Float32Array): Uint8Array {
  const per = data.length / scales.length;
  return Uint8Array.from(data, (x, i) => roundHalfEven(x / (scales[Math.floor(i / per)] as number)));
}

it('leaves errors of at most half a step in every window, and of less than one in every weight', () => {
  const next = random(3);
  const scales = Float32Array.of(0.01, 0.02, 0.005);
  const data = Float32Array.from({ length: 3 * 4 * 25 }, () => (next() - 0.4) * 0.5);
  const codes = rounded(data, scales).map((code) => code);
  // A range wide enough that nothing is clipped.
  balanceWindows(data, codes, scales, 25, { min: -128, max: 127 });
  const before = rounded(data, scales);
  const signed = new Int8Array(codes.buffer);
  let worst = 0;
  for (let from = 0; from < data.length; from += 25) {
    let sum = 0;
    let nearest = 0;
    for (let j = from; j < from + 25; j++) {
      const exact = (data[j] as number) / (scales[Math.floor(j / 100)] as number);
      const error = (signed[j] as number) - exact;
      expect(Math.abs(error)).toBeLessThan(1);
      sum += error;
      nearest += (((before[j] as number) << 24) >> 24) - exact;
    }
    expect(Math.abs(sum)).toBeLessThanOrEqual(0.5 + 1e-9);
    worst = Math.max(worst, Math.abs(nearest));
  }
  expect(worst, 'nearest rounding would have done as well').toBeGreaterThan(1);
});

it('moves the weights that were rounded furthest, and none beyond the range', () => {
  const scales = Float32Array.of(1);
  const data = Float32Array.of(64.4, 0.45, 0.4, 0.35);
  const codes = rounded(data, scales);
  balanceWindows(data, codes, scales, 4, range);
  // The sum was 1.6 too low: two go up, but not the one at the limit.
  expect([...codes]).toEqual([64, 1, 1, 0]);
});

it('leaves single weights alone', () => {
  const scales = Float32Array.of(1);
  const codes = Uint8Array.of(1, 2);
  balanceWindows(Float32Array.of(1.4, 2.4), codes, scales, 1, range);
  expect([...codes]).toEqual([1, 2]);
});
