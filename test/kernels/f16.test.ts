import { describe, expect, it } from 'vitest';
import { bf16ToF32, f32ToBf16 } from '../../src/kernels/bf16.ts';
import { type F16Fit, f16Fit, f16ToF32, f32ToF16, fromHalf, toHalf } from '../../src/kernels/f16.ts';

/** The definition, slowly: the nearest of all halves, ties to the one with an even pattern. */
function nearestHalf(x: number, halves: readonly number[]): number {
  // `halves[h]` for h = 0 … 0x7c00 rises; infinity stands for 65536 when rounding.
  let low = 0;
  let high = 0x7c00;
  const abs = Math.abs(x);
  const value = (h: number): number => (h === 0x7c00 ? 65536 : (halves[h] as number));
  if (abs >= 65536) return (x < 0 ? 0x8000 : 0) | 0x7c00;
  while (high - low > 1) {
    const mid = (low + high) >> 1;
    if (value(mid) <= abs) low = mid;
    else high = mid;
  }
  const down = abs - value(low);
  const up = value(high) - abs;
  const half = down < up ? low : up < down ? high : low % 2 === 0 ? low : high;
  return (x < 0 || Object.is(x, -0) ? 0x8000 : 0) | half;
}

const all = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
const values = f16ToF32(all);
const positive = Array.from(values.subarray(0, 0x7c01));

describe('half precision', () => {
  it('reads all 65,536 patterns as IEEE 754 defines them', () => {
    for (let h = 0; h < 0x10000; h++) {
      const exponent = (h >> 10) & 31;
      const fraction = h & 1023;
      const magnitude =
        exponent === 31
          ? fraction
            ? Number.NaN
            : Number.POSITIVE_INFINITY
          : exponent === 0
            ? fraction * 2 ** -24
            : (1024 + fraction) * 2 ** (exponent - 25);
      expect(Object.is(values[h], h & 0x8000 ? -magnitude : magnitude) || Number.isNaN(magnitude)).toBe(true);
    }
  });

  it('gives every half back', () => {
    const back = f32ToF16(values);
    for (let h = 0; h < 0x10000; h++) {
      if (Number.isNaN(values[h])) expect((back[h] as number) & 0x7e00).toBe(0x7e00);
      else expect(back[h]).toBe(h);
    }
  });

  it('rounds midpoints, their neighbours and everything between to the nearest, ties to even', () => {
    const samples: number[] = [0, -0, 65519.996, 65520, 65520.004, 65535.996, 65536, 1e10, 3.4e38, 2 ** -25, 2 ** -26];
    const bits = new Uint32Array(1);
    const float = new Float32Array(bits.buffer);
    for (let h = 0; h < 0x7c00; h++) {
      const middle = ((positive[h] as number) + (h === 0x7bff ? 65536 : (positive[h + 1] as number))) / 2;
      float[0] = middle;
      for (const step of [-1, 0, 1]) {
        const was = bits[0] as number;
        bits[0] = was + step;
        samples.push(float[0], -float[0]);
        bits[0] = was;
      }
    }
    let state = 1;
    for (let i = 0; i < 50_000; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      bits[0] = state;
      if (Number.isFinite(float[0])) samples.push(float[0] as number);
    }
    const source = Float32Array.from(samples);
    const halves = f32ToF16(source);
    for (let i = 0; i < source.length; i++) {
      if (halves[i] !== nearestHalf(source[i] as number, positive)) {
        expect.fail(`${source[i]} became ${halves[i]}, not ${nearestHalf(source[i] as number, positive)}`);
      }
      if (toHalf(source[i] as number) !== halves[i]) expect.fail(`toHalf differs at ${source[i]}`);
    }
  });

  it('clamps finite numbers only, and only when asked', () => {
    const source = Float32Array.of(1e6, -1e6, 65520, 1e-9, -1e-9, 0, -0, Infinity, -Infinity, NaN, 2 ** -25, 65504);
    expect(Array.from(f16ToF32(f32ToF16(source, true)))).toEqual([
      65504,
      -65504,
      65504,
      2 ** -24,
      -(2 ** -24),
      0,
      -0,
      Infinity,
      -Infinity,
      NaN,
      2 ** -24,
      65504,
    ]);
    expect(Array.from(f16ToF32(f32ToF16(source)))).toEqual([
      Infinity,
      -Infinity,
      Infinity,
      0,
      -0,
      0,
      -0,
      Infinity,
      -Infinity,
      NaN,
      0,
      65504,
    ]);
    expect(f16Fit(source)).toEqual({ overBelow: 1, overAbove: 2, vanish: 3, nan: 1, infinite: 2 });
  });

  it('counts exactly what rounds away', () => {
    for (const x of [65519.99, 65520, 2 ** -25, 2 ** -25 * 1.0001, 2 ** -24]) {
      const source = Float32Array.of(x);
      const fit = f16Fit(source);
      const half = fromHalf(toHalf(x));
      expect(fit.overAbove).toBe(half === Infinity ? 1 : 0);
      expect(fit.vanish).toBe(half === 0 ? 1 : 0);
    }
  });

  it('gives the same four at a time as one by one, near every border and anywhere', () => {
    const borders = [0, 0x1ff, 0x33000000, 0x33000001, 0x387fe000, 0x387ff000, 0x387fffff, 0x38800000, 0x477fefff];
    const near = borders.flatMap((border) => Array.from({ length: 64 }, (_, i) => Math.max(0, border - 32 + i)));
    let state = 1;
    const random = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
    const some = Array.from({ length: 20_001 }, () => random() % 0x477ff000);
    const small = Array.from({ length: 20_003 }, () => 0x32000000 + (random() % 0x07000000));
    for (const magnitudes of [near.concat(some), small]) {
      const bits = Uint32Array.from(magnitudes, (abs, i) => (i % 3 === 0 ? abs | 0x80000000 : abs) >>> 0);
      const numbers = new Float32Array(bits.buffer).filter((x) => Math.abs(x) < 65520);
      for (const clamp of [false, true]) {
        const alone = Uint16Array.from(numbers, (_, i) => f32ToF16(numbers.subarray(i, i + 1), clamp)[0] as number);
        expect(f32ToF16(numbers, clamp)).toEqual(alone);
        // One that overflows sends what is left of its share, and all behind it, through the plain loop.
        const spoilt = numbers.slice();
        spoilt[17_000] = clamp ? 1e6 : Number.NaN;
        alone[17_000] = clamp ? 0x7bff : 0x7e00;
        expect(f32ToF16(spoilt, clamp)).toEqual(alone);
      }
      const one = (x: number): F16Fit => f16Fit(Float32Array.of(x));
      const vanish = numbers.reduce((sum, x) => sum + one(x).vanish, 0);
      expect(f16Fit(numbers)).toEqual({ overBelow: 0, overAbove: 0, vanish, nan: 0, infinite: 0 });
      const fitting = numbers.filter((x) => one(x).vanish === 0);
      expect(f16Fit(fitting)).toEqual({ overBelow: 0, overAbove: 0, vanish: 0, nan: 0, infinite: 0 });
      expect(f16Fit(Float32Array.of(...fitting.subarray(0, 5000), -65520))).toMatchObject({ overBelow: 1 });
    }
  });

  it('refuses a target that is too short', () => {
    expect(() => f32ToF16(new Float32Array(3), false, new Uint16Array(2))).toThrow(RangeError);
    expect(() => f16ToF32(new Uint16Array(3), new Float32Array(2))).toThrow(RangeError);
  });
});

describe('bfloat16', () => {
  it('gives every pattern back and rounds ties to even', () => {
    const floats = bf16ToF32(all);
    const back = f32ToBf16(floats);
    for (let h = 0; h < 0x10000; h++) {
      if (Number.isNaN(floats[h])) expect((back[h] as number) & 0x7fff).toBeGreaterThan(0x7f80);
      else expect(back[h]).toBe(h);
    }
    const bits = Uint32Array.of(0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x7f7fffff, 0xff7fffff);
    expect(Array.from(f32ToBf16(new Float32Array(bits.buffer)))).toEqual([
      0x3f80, 0x3f82, 0x3f81, 0x3f80, 0x7f80, 0xff80,
    ]);
  });
});
