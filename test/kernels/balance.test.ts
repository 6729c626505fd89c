import { expect, it } from 'vitest';
import { balanceChannels, balanceWindows } from '../../src/kernels/balance.ts';
import { axisView } from '../../src/kernels/quantize.ts';
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

it.each([
  ['rows', 'int8', axisView([6, 200], 0), 1],
  ['columns', 'int8', axisView([200, 6], 1), 1],
  ['unsigned columns', 'uint8', axisView([200, 6], 1), 1],
  ['kernels', 'int8', axisView([6, 198], 0), 9],
] as const)(
  '%s: the errors of a channel add up to half a step at most, and none to a whole one',
  (_, type, view, window) => {
    const { outer, channels, inner } = view;
    const next = random(5);
    const middle = type === 'int8' ? 0 : 128;
    const limits = { min: middle - 127, max: middle + 127 };
    const scales = Float32Array.from({ length: channels }, (_, c) => 0.004 + 0.001 * c);
    const channelOf = (at: number): number => Math.floor(at / inner) % channels;
    const data = Float32Array.from({ length: outer * channels * inner }, () => (next() - 0.4) * 0.5);
    // Pruned weights stay zero.
    for (let at = 0; at < data.length; at += 7) data[at] = 0;
    const exact = Array.from(data, (x, at) => x / (scales[channelOf(at)] as number) + middle);
    const codes = Uint8Array.from(exact, (x) => roundHalfEven(x));
    const read = (): ArrayLike<number> => (type === 'int8' ? new Int8Array(codes.buffer) : codes);
    const sums = (): number[] => {
      const found = Array<number>(channels).fill(0);
      for (let at = 0; at < data.length; at++)
        found[channelOf(at)] = (found[channelOf(at)] as number) + (read()[at] as number) - (exact[at] as number);
      return found.map(Math.abs);
    };
    expect(Math.max(...sums()), 'nearest rounding would have done as well').toBeGreaterThan(1);
    if (window > 1) balanceWindows(data, codes, scales, window, limits);
    balanceChannels(data, codes, view, { scales, zeroPoints: new Uint8Array(channels).fill(middle) }, limits, window);
    for (const sum of sums()) expect(sum).toBeLessThanOrEqual(0.5 + 1e-4);
    for (let at = 0; at < data.length; at++) {
      expect(Math.abs((read()[at] as number) - (exact[at] as number))).toBeLessThan(1);
      if (data[at] === 0) expect(read()[at]).toBe(middle);
    }
    if (window > 1)
      for (let from = 0; from < data.length; from += window) {
        let sum = 0;
        for (let at = from; at < from + window; at++) sum += (read()[at] as number) - (exact[at] as number);
        expect(Math.abs(sum)).toBeLessThan(1);
      }
  },
);

it('channels: what the range cuts off is not made up for by the others, and no code leaves the range', () => {
  const data = Float32Array.of(90, 64.4, 0.45, 0.4, 0.35, 0.4);
  const codes = Uint8Array.of(64, 64, 0, 0, 0, 0);
  balanceChannels(data, codes, axisView([1, 6], 0), { scales: Float32Array.of(1), zeroPoints: [0] }, range);
  // Two too low without the first; the second, at the limit, cannot go up.
  expect([...codes]).toEqual([64, 64, 1, 1, 0, 0]);
});
