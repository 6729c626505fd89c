import { describe, expect, it } from 'vitest';
import { metricInterval, pairAccuracy } from '../../src/cli/optimize/paired.ts';
import type { Scored } from '../../src/cli/optimize/scored.ts';
import { makeMetric } from '../../src/data/metrics/registry.ts';
import { randomNumbers } from '../../src/kernels/random.ts';

const options = { seed: 1, maxDrop: 0.01 };

const made = new Map(
  await Promise.all(
    ['top1', 'mae', 'rmse', 'cosine', 'ssim', 'psnr'].map(async (id) => [id, await makeMetric(id)] as const),
  ),
);

function scored(metric: string, scores: readonly number[]): Scored {
  const { higherIsBetter, fold, ofMean, graded } = made.get(metric)!;
  return {
    metric,
    higherIsBetter,
    value: fold(scores)(),
    samples: scores.length,
    scores,
    ofMean,
    ...(graded && { graded }),
  };
}

/** Scores of base and candidate: base is right on 90 %, each sample is then lost or gained with the shares given. */
function planted(samples: number, lost: number, gained: number, seed: number): [number[], number[]] {
  const random = randomNumbers(seed);
  const base: number[] = [];
  const candidate: number[] = [];
  for (let sample = 0; sample < samples; sample++) {
    const before = random() < 0.9 ? 1 : 0;
    base.push(before);
    candidate.push(random() < (before === 1 ? lost / 0.9 : gained / 0.1) ? 1 - before : before);
  }
  return [base, candidate];
}

describe('pairAccuracy', () => {
  it('counts samples lost and gained, with their interval and test', () => {
    const base = scored('top1', [1, 1, 1, 1, 0, 0, 1, 0]);
    const candidate = scored('top1', [1, 0, 0, 0, 1, 0, 1, 0]);
    const accuracy = pairAccuracy(base, candidate, options);
    expect(accuracy).toMatchObject({ metric: 'top1', value: 3 / 8, base: 5 / 8, drop: 0.25, samples: 8 });
    // 3 lost, 1 gained: (4 + 1) / 16.
    expect(accuracy.discordant).toEqual({ lost: 3, gained: 1, p: expect.closeTo(5 / 16, 12) as number });
    expect(accuracy.dropCi?.[0]).toBeLessThan(0.25);
    expect(accuracy.dropCi?.[1]).toBeGreaterThan(0.25);
    // 7.849 · 0.5 / 0.01²
    expect(accuracy.neededSamples).toBe(39_245);
  });

  it('takes measures for measures, also where all are exactly 0 or 1', () => {
    const ones = Array.from({ length: 100 }, () => 1);
    for (const metric of ['cosine', 'ssim', 'psnr']) {
      const accuracy = pairAccuracy(scored(metric, ones), scored(metric, ones), options);
      expect(accuracy, metric).toMatchObject({ drop: 0, dropCi: [0, 0] });
      expect(accuracy).not.toHaveProperty('discordant');
      expect(accuracy).not.toHaveProperty('neededSamples');
      expect(metricInterval(scored(metric, ones), 1)).toEqual([1, 1]);
    }
  });

  it('says nothing of an interval for base beside itself, and of samples where there are enough', () => {
    const [base, candidate] = planted(10_000, 0.01, 0.01, 5).map((scores) => scored('top1', scores));
    expect(pairAccuracy(base!, base!, options)).toEqual({
      metric: 'top1',
      value: base!.value,
      base: base!.value,
      drop: 0,
      higherIsBetter: true,
      samples: 10_000,
    });
    expect(pairAccuracy(base!, candidate!, options)).not.toHaveProperty('neededSamples');
    expect(pairAccuracy(base!, candidate!, { ...options, maxDrop: 0.001 }).neededSamples).toBeGreaterThan(100_000);
    expect(pairAccuracy(base!, candidate!, { ...options, maxDrop: 0 })).not.toHaveProperty('neededSamples');
  });

  it('turns the sign where less is better, and draws pairs for other scores', () => {
    const random = randomNumbers(9);
    const errors = Array.from({ length: 400 }, () => random());
    const worse = errors.map((error) => error + 0.1 + 0.02 * (random() - 0.5));
    const { drop, dropCi, discordant } = pairAccuracy(scored('mae', errors), scored('mae', worse), options);
    expect(drop).toBeCloseTo(0.1, 2);
    // Paired: the spread of the differences counts (0.0058 / √400), not that of the errors (0.29 / √400).
    expect(dropCi![1] - dropCi![0]).toBeCloseTo((2 * 1.96 * 0.02) / Math.sqrt(12 * 400), 4);
    expect(dropCi![0]).toBeGreaterThan(0.098);
    expect(discordant).toBeUndefined();
    // 7.849 · 0.02²/12 / 0.001² = 261.6; the 400 at hand suffice, and would not for a tenth of it.
    const needed = (maxDrop: number): number | undefined =>
      pairAccuracy(scored('mae', errors), scored('mae', worse), { seed: 1, maxDrop }).neededSamples;
    expect(needed(0.001)).toBeUndefined();
    expect(needed(0.0001)! / 26_163).toBeCloseTo(1, 0.7);
    // mae of exactly 0 and 1 is no right and wrong: a score that falls is better there.
    const zeros = scored('mae', [0, 0, 0, 0]);
    const ones = scored('mae', [1, 1, 1, 1]);
    expect(pairAccuracy(zeros, ones, options)).toMatchObject({ drop: 1, dropCi: [1, 1] });
  });

  it('judges rmse by its root, not by the mean square', () => {
    const random = randomNumbers(10);
    const squares = Array.from({ length: 500 }, () => 4 + random());
    const worse = squares.map((square) => 2.25 * square);
    const { drop, dropCi } = pairAccuracy(scored('rmse', squares), scored('rmse', worse), options);
    expect(drop).toBeCloseTo(0.5 * Math.sqrt(4.5), 2);
    expect(dropCi![0]).toBeLessThan(drop!);
    expect(dropCi![1]).toBeGreaterThan(drop!);
    expect(dropCi![1] - dropCi![0]).toBeLessThan(0.02);
  });

  it('has no number for outputs with NaN, and keeps the samples in step', () => {
    const accuracy = pairAccuracy(scored('mae', [1, 2]), scored('mae', [1, Number.NaN]), options);
    expect(accuracy).toEqual({ metric: 'mae', value: null, base: 1.5, drop: null, samples: 2, higherIsBetter: false });
    expect(() => pairAccuracy(scored('mae', [1, 2]), scored('mae', [1]), options)).toThrow(RangeError);
    expect(() => pairAccuracy(scored('mae', [1]), scored('rmse', [1]), options)).toThrow(RangeError);
  });

  it('catches a planted drop of one point on 10,000 samples, and leaves an unchanged model alone', () => {
    for (const [noise, least] of [
      [0.005, 100],
      [0.015, 99],
      [0.03, 95],
    ] as const) {
      let caught = 0;
      let alarms = 0;
      for (let trial = 0; trial < 100; trial++) {
        const [base, worse] = planted(10_000, noise + 0.01, noise, 100 + trial);
        const ci = pairAccuracy(scored('top1', base), scored('top1', worse), options).dropCi!;
        if (ci[0] > 0) caught++;
        const [same, equal] = planted(10_000, noise, noise, 900 + trial);
        if (pairAccuracy(scored('top1', same), scored('top1', equal), options).dropCi![0] > 0) alarms++;
      }
      expect(caught, `caught at ${noise}`).toBeGreaterThanOrEqual(least);
      expect(alarms, `false alarms at ${noise}`).toBeLessThanOrEqual(5);
    }
  });
});

describe('metricInterval', () => {
  it('is Wilson’s for right and wrong, drawn for other scores', () => {
    const right = Array.from({ length: 263 }, (_, sample) => (sample < 81 ? 1 : 0));
    // scipy.stats.binomtest(81, 263).proportion_ci(method='wilson')
    const [low, high] = metricInterval(scored('top1', right), 0)!;
    expect(low).toBeCloseTo(0.2552885198782742, 12);
    expect(high).toBeCloseTo(0.36620957698280004, 12);
    const random = randomNumbers(4);
    const errors = Array.from({ length: 1200 }, () => random());
    const drawn = metricInterval(scored('mae', errors), 0)!;
    expect(drawn[1] - drawn[0]).toBeCloseTo((2 * 1.96) / Math.sqrt(12 * 1200), 2);
    expect(metricInterval(scored('mae', [1, Number.NaN]), 0)).toBeUndefined();
    expect(metricInterval(scored('top1', []), 0)).toBeUndefined();
  });
});
