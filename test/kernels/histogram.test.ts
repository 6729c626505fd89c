import { describe, expect, it } from 'vitest';
import {
  chooseRange,
  entropyRange,
  hasMaskGap,
  mseRange,
  percentileRange,
  squaredError,
} from '../../src/kernels/calibrate.ts';
import { entropyThreshold } from '../../src/kernels/entropy.ts';
import { FloatCounter } from '../../src/kernels/float-counter.ts';
import { binsPerSide, Histogram } from '../../src/kernels/histogram.ts';
import { affineParams, intRanges } from '../../src/kernels/quantize.ts';
import { roundHalfEven } from '../../src/kernels/round.ts';
import { random } from '../support/differential.ts';

function of(...parts: ArrayLike<number>[]): Histogram {
  const histogram = new Histogram();
  for (const part of parts) histogram.add(part);
  return histogram;
}

function normal(count: number, seed: number, sigma = 1): Float32Array {
  const next = random(seed);
  return Float32Array.from(
    { length: count },
    () => sigma * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  );
}

const u8 = { range: intRanges.uint8.asymmetric, symmetric: false };
const s8 = { range: intRanges.int8.symmetric, symmetric: true };

/** Kullback–Leibler divergence as its definition has it, for the first `cut` bins merged to 128 levels. */
function divergenceBinByBin(counts: Float64Array, cut: number): number {
  const sum = (from: number, to: number): number => counts.subarray(from, to).reduce((a, b) => a + b, 0);
  const [total, kept] = [sum(0, counts.length), sum(0, cut)];
  let divergence = 0;
  for (let level = 0; level < 128; level++) {
    const [from, to] = [Math.floor((level * cut) / 128), Math.floor(((level + 1) * cut) / 128)];
    const spread = sum(from, to) / Math.max(1, counts.subarray(from, to).filter((count) => count > 0).length);
    for (let bin = from; bin < to; bin++) {
      const own = counts[bin] ?? 0;
      const p = (own + (bin === cut - 1 ? total - kept : 0)) / total;
      const q = (own > 0 ? spread : 1e-4) / kept;
      if (p > 0) divergence += p * Math.log(p / q);
    }
  }
  return divergence;
}

describe('Histogram', () => {
  it('keeps extremes, zeros and what is not finite apart', () => {
    const histogram = of([1, -2, 0, -0, Number.NaN], [Number.NEGATIVE_INFINITY, 4]);
    const { min, max, zeros, nan, inf, count, limit, absMax } = histogram;
    expect({ min, max, zeros, nan, inf, count, limit, absMax }).toEqual({
      min: -2,
      max: 4,
      zeros: 2,
      nan: 1,
      inf: 1,
      count: 5,
      limit: 4,
      absMax: 4,
    });
    expect([...histogram.bins().masses]).toEqual([1, 1, 1]);
  });

  it('is the same whatever the order and size of the parts: growing merges bins exactly', () => {
    const parts = [normal(1000, 1, 0.01), normal(1000, 2, 3), normal(1000, 3, 500), normal(1000, 4, 1e-6)];
    const [first, ...rest] = [
      of(...parts),
      of(...parts.toReversed()),
      of(Float32Array.from(parts.flatMap((part) => [...part]))),
    ];
    for (const other of rest) {
      expect(other.limit).toBe(first?.limit);
      expect(other.bins()).toEqual(first?.bins());
    }
    expect(first?.bins().masses.reduce((a, b) => a + b, 0)).toBe(4000);
  });

  it('counts in pieces, four floats at a time, what it counts one by one', () => {
    const counter = FloatCounter.create();
    // Old processors lack the instructions; those of today have them.
    expect(counter).toBeInstanceOf(FloatCounter);
    const rows = [
      normal(50_007, 21),
      normal(70_000, 22, 1e-3).map((x) => Math.max(0, x)),
      Float32Array.from(normal(40_000, 23), (x, i) =>
        i === 20_001 ? Number.NaN : i % 9_001 === 5 ? Number.POSITIVE_INFINITY : x,
      ),
      // Grows within a row, also at its very end, behind the last whole piece.
      normal(33_003, 24).map((x, i) => x * (1 + i / 1000) * (i === 33_002 ? 100 : 1)),
      new Float32Array(20_000).fill(-0),
      new Float32Array(20_000).map((_, i) => (i % 2 ? 4 : -4)),
      normal(17_000, 25, 1e30),
      normal(17_000, 26, 1e-40),
      new Float32Array(0),
    ];
    // Beside 1e30, what is 1e-40 falls beside zero on either side: there is no smaller number that would say on which.
    const together = rows.filter((row) => Math.abs(row[0] ?? 1) > 1e-30);
    for (const parts of [...rows.map((row) => [row]), together, together.toReversed()])
      for (const extremesOnly of [false, true]) {
        const [plain, fast] = [new Histogram(), new Histogram()];
        plain.extremesOnly = extremesOnly;
        fast.extremesOnly = extremesOnly;
        for (const part of parts) plain.addSamples(part, [part.length], 1);
        for (const part of parts) fast.addSamples(part, [part.length], 1, counter);
        // As an extreme −0 is as good as 0.
        if (!extremesOnly) expect(fast.pack().map((x) => x + 0)).toEqual(plain.pack().map((x) => x + 0));
        const { min, max, count, nan, inf, limit } = plain;
        expect(fast).toMatchObject({ min, max, count, nan, inf, limit });
      }
  });

  it('finds extremes of channels the same in pieces', () => {
    const counter = FloatCounter.create();
    for (const [shape, axis] of [
      [[3, 5, 20, 21], 1],
      [[4, 2, 70, 300], 1],
      [[300, 64], -1],
    ] as const) {
      const values = normal(
        shape.reduce((a, b) => a * b, 1),
        31,
      );
      const [plain, fast] = [undefined, counter].map((given) => {
        const histogram = new Histogram();
        histogram.channels = { axis, low: new Float32Array(0), high: new Float32Array(0) };
        histogram.addSamples(values, shape, 1, given);
        return histogram.channels;
      });
      expect(fast).toEqual(plain);
    }
  });

  it('has at least 2048 bins within the largest magnitude, also for the range of half precision and of float32', () => {
    for (const scale of [6e-8, 1, 3.4e38]) {
      const histogram = of(Float32Array.of(scale, -scale / 3));
      expect(histogram.absMax / (histogram.limit / binsPerSide)).toBeGreaterThanOrEqual(2048);
      const [low, high] = histogram.bins().centers;
      expect((high ?? 0) / scale).toBeCloseTo(1, 3);
      expect((low ?? 0) / (scale / -3)).toBeCloseTo(1, 2);
    }
  });

  it('holds nothing but zeros, or nothing at all', () => {
    expect(of([0, 0]).bins().masses).toHaveLength(0);
    expect(new Histogram().absMax).toBe(0);
    expect(chooseRange(of([0, 0]), 'mse', u8, { percentile: 99.9 })).toEqual({ low: 0, high: 0 });
  });
});

describe('calibrators', () => {
  const outlier = of(normal(100_000, 5), Float32Array.of(100));

  it('minmax takes the extremes, the outlier too', () => {
    expect(chooseRange(outlier, 'minmax', u8, { percentile: 99.999 }).high).toBe(100);
  });

  it('percentile cuts no more than its share from either end', () => {
    const values = normal(100_000, 6);
    const { low, high } = percentileRange(of(values), 99);
    const below = values.filter((x) => x < low).length;
    const above = values.filter((x) => x > high).length;
    expect(below).toBeGreaterThan(450);
    expect(below).toBeLessThanOrEqual(500);
    expect(above).toBeGreaterThan(450);
    expect(above).toBeLessThanOrEqual(500);
  });

  it('percentile counts zeros, and never cuts across zero', () => {
    const rare = (count: number): Histogram =>
      of(Float32Array.from({ length: 10_000 }, (_, i) => (i < count ? i + 1 : 0)));
    expect(percentileRange(rare(100), 99)).toEqual({ low: 0, high: expect.closeTo(50, 0) as number });
    // All that is not zero is within the share: then nothing is cut.
    expect(percentileRange(rare(10), 99)).toEqual({ low: 0, high: 10 });
  });

  it('entropy drops the outlier that 128 bins would keep', () => {
    const { high } = entropyRange(outlier, s8);
    expect(high).toBeGreaterThan(2.5);
    expect(high).toBeLessThan(12);
  });

  it('entropy finds the cut of least divergence, counted bin by bin for every candidate', () => {
    for (const values of [
      normal(30_000, 11),
      normal(30_000, 12).map((x) => Math.max(0, x)),
      normal(30_000, 13).map((x) => x ** 5),
      normal(300, 14),
    ]) {
      const histogram = of(values);
      const counts = histogram.magnitudes();
      const width = histogram.limit / counts.length;
      const used = Math.min(counts.length, Math.ceil(histogram.absMax / width));
      const cuts = Array.from({ length: Math.floor((used - 128) / 8) + 1 }, (_, step) => used - 8 * step);
      const divergences = cuts.map((cut) => divergenceBinByBin(counts, cut));
      const found = entropyThreshold(histogram);
      const cut = found === histogram.absMax ? used : Math.round(found / width);
      expect(divergences[cuts.indexOf(cut)]).toBeLessThan(Math.min(...divergences) + 2e-9);
    }
  });

  it('entropy cuts nothing where no cut is better', () => {
    expect(entropyThreshold(of(Float32Array.from({ length: 5000 }, (_, i) => (i % 7) + 1)))).toBe(7);
  });

  it('mse finds the least squared error of all ranges, by exhaustive search', () => {
    for (const [values, grid] of [
      [normal(20_000, 7), u8],
      [normal(20_000, 8).map((x) => Math.max(0, x) ** 3), u8],
      [normal(20_000, 9).map((x) => x ** 3), s8],
    ] as const) {
      const histogram = of(values);
      const bins = histogram.bins();
      const { low, high } = mseRange(histogram, grid);
      const found = squaredError(bins, low, high, grid);
      let least = Number.POSITIVE_INFINITY;
      const { min, max } = histogram;
      const whole = Math.max(-min, max);
      for (let a = 1; a <= 50; a++)
        for (let b = grid.symmetric ? a : 1; b <= (grid.symmetric ? a : 50); b++) {
          const [lo, hi] = grid.symmetric ? [(-whole * a) / 50, (whole * b) / 50] : [(min * a) / 50, (max * b) / 50];
          least = Math.min(least, squaredError(bins, lo, hi, grid));
        }
      expect(found).toBeLessThan(least * 1.03);
      // The error on the bins is the error on the values.
      const { scale, zeroPoint } = affineParams(low, high, grid.range, grid.symmetric);
      let exact = 0;
      for (const x of values) {
        const code = roundHalfEven(x / scale) + zeroPoint;
        const q = Math.min(grid.range.max, Math.max(grid.range.min, code));
        // What is clipped counts eight times.
        exact += (x - (q - zeroPoint) * scale) ** 2 * (q === code ? 1 : 8);
      }
      expect(found / exact).toBeGreaterThan(0.95);
      expect(found / exact).toBeLessThan(1.05);
    }
  });

  it('comes back from its packed form as it went', () => {
    const histogram = new Histogram();
    histogram.channels = { axis: 1, low: new Float32Array(0), high: new Float32Array(0) };
    histogram.averaged = true;
    histogram.addSamples(normal(600, 12, 3), [2, 3, 100], 2);
    const packed = histogram.pack();
    const { histogram: back, next } = Histogram.unpack(Float64Array.of(7, ...packed), 1);
    expect(next).toBe(1 + packed.length);
    expect(back.pack()).toEqual(packed);
    expect(back.bins()).toEqual(histogram.bins());
    expect(percentileRange(back, 99)).toEqual(percentileRange(histogram, 99));
  });

  it('tells masks from outliers', () => {
    const live = normal(1000, 10, 3);
    expect(hasMaskGap(of(live, new Float32Array(500).fill(-10000)))).toBe(true);
    expect(
      hasMaskGap(
        of(
          live.map((x) => x - 10000),
          live,
        ),
      ),
    ).toBe(true);
    expect(hasMaskGap(of(live, new Float32Array(500).fill(-3.4e38)))).toBe(true);
    expect(hasMaskGap(of(normal(10_000, 11, 400)))).toBe(false);
    expect(hasMaskGap(of(live, Float32Array.of(60)))).toBe(false);
    expect(hasMaskGap(of(new Float32Array(10).fill(5000)))).toBe(false);
  });
});
