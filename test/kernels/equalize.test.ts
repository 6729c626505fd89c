import { describe, expect, it } from 'vitest';
import { type ChannelGrid, equalizeFactors } from '../../src/kernels/equalize.ts';

/** A layer [outputs, inputs], or a depthwise one [channels]. */
function grid(rows: readonly (readonly number[])[], depthwise = false): ChannelGrid {
  const max = Float64Array.from(rows.flat(), Math.abs);
  return {
    a: rows.length,
    b: rows[0]?.length ?? 0,
    max,
    output: (a) => a,
    input: depthwise ? (a) => a : (_, b) => b,
  };
}

const pair = (first: ChannelGrid, second: ChannelGrid, channels: number) => ({
  first,
  second,
  channels,
  spread: 1,
  least: new Float64Array(channels),
  fixed: new Uint8Array(channels),
});

describe('equalizeFactors', () => {
  it('is √(r₁·r₂) / r₂ for a single pair', () => {
    const first = grid([
      [8, -4],
      [0.5, 0.25],
    ]);
    const second = grid([
      [1, 3],
      [-2, 4],
    ]);
    const { factors, turns } = equalizeFactors([pair(first, second, 2)]);
    // r₁ = (8, 0.5), r₂ = (2, 4)
    expect(factors[0]?.[0]).toBeCloseTo(Math.sqrt(8 * 2) / 2, 12);
    expect(factors[0]?.[1]).toBeCloseTo(Math.sqrt(0.5 * 4) / 4, 12);
    expect(turns).toBe(2);
  });

  it('gives a depthwise triple the cubic root of its three ranges everywhere', () => {
    const r = { first: [6, 0.5], depthwise: [1, 9], last: [0.2, 40] };
    const first = grid(r.first.map((x) => [x, x / 2]));
    const middle = grid(
      r.depthwise.map((x) => [x]),
      true,
    );
    const last = grid([r.last, r.last.map((x) => x / 3)]);
    const { factors } = equalizeFactors([pair(first, middle, 2), pair(middle, last, 2)]);
    for (const c of [0, 1]) {
      const [r1, rd, r2] = [r.first[c] as number, r.depthwise[c] as number, r.last[c] as number];
      const root = Math.cbrt(r1 * rd * r2);
      const [s, t] = [factors[0]?.[c] as number, factors[1]?.[c] as number];
      expect(r1 / s / root).toBeCloseTo(1, 3);
      expect((rd * s) / t / root).toBeCloseTo(1, 3);
      expect((r2 * t) / root).toBeCloseTo(1, 3);
    }
  });

  it('leaves channels without weights, fixed ones, and does not go below a bound', () => {
    const first = grid([[0], [16], [16], [1]]);
    const second = grid([[1, 1, 1, 16]]);
    const limited = pair(first, second, 4);
    limited.fixed[1] = 1;
    limited.least[3] = 0.5;
    expect([...(equalizeFactors([limited]).factors[0] ?? [])]).toEqual([1, 1, 4, 0.5]);
  });
});
