import { describe, expect, it } from 'vitest';
import { metricInterval, pairAccuracy } from '../../src/cli/optimize/paired.ts';
import type { Scored } from '../../src/cli/optimize/scored.ts';
import { makeMetric } from '../../src/data/metrics/registry.ts';
import { tensorOf } from '../../src/ir/tensor.ts';
import { holm, normalTail } from '../../src/kernels/proportions.ts';
import { randomNumbers } from '../../src/kernels/random.ts';
import type { ClassResult } from '../../src/report/evidence.ts';
import { gate } from '../../src/report/gate/gate.ts';
import { sampleReport } from '../reports/sample.ts';

const options = { seed: 1, maxDrop: 0.01 };

/** Judged as `evaluate` does: predicted classes of labelled samples. */
async function judged(name: string, labels: readonly number[], predicted: readonly number[]): Promise<Scored> {
  const metric = await makeMetric(name);
  const output = tensorOf('int64', [predicted.length], predicted);
  const records = metric.score({ output, size: predicted.length, labels, targets: undefined, reference: undefined });
  const fold = metric.fold(records);
  return {
    metric: name,
    higherIsBetter: true,
    value: fold(),
    samples: records.length,
    scores: records.map((record) => metric.sample(record)),
    ofMean: metric.ofMean && ((mean) => metric.ofMean!(mean)),
    resampled: metric.ofMean ? undefined : fold,
    classes: metric.classes?.(records),
    labels,
    labelNames: ['a', 'b', 'c', 'd'],
  };
}

/** Predictions right on a share `right` of the samples, else the next class; `worse` lets one class lose some more. */
function predictions(
  labels: readonly number[],
  right: number,
  seed: number,
  worse?: [id: number, loss: number],
): number[] {
  const random = randomNumbers(seed);
  const extra = randomNumbers(seed + 5000);
  return labels.map((label) => {
    const isRight = random() < right && !(worse?.[0] === label && extra() < worse[1]);
    return isRight ? label : (label + 1) % 4;
  });
}

const worse = (classes: readonly ClassResult[] | undefined): string[] =>
  (classes ?? []).filter(({ p }) => p! < 0.05).map(({ name }) => name);

const labels = Array.from({ length: 2000 }, (_, at) => at % 4);

describe('who got worse', () => {
  it.each(['top1', 'f1'])('%s names the class that lost, and no other', async (name) => {
    const base = await judged(name, labels, predictions(labels, 0.9, 1));
    const candidate = await judged(name, labels, predictions(labels, 0.9, 1, [2, 0.1]));
    const { classes } = pairAccuracy(base, candidate, options);
    expect(classes).toHaveLength(4);
    const [first, ...others] = classes ?? [];
    expect(first).toMatchObject({ name: 'c', samples: 500 });
    expect(first?.p).toBeLessThan(0.001);
    expect(first?.dropCi?.[0]).toBeGreaterThan(0);
    expect(first?.value).toBeLessThan(first!.base! - 0.03);
    // Taken for class d, the lost samples of c cost it some precision: f1 sees that, recall does not.
    expect(worse(classes)).toEqual(name === 'f1' ? ['c', 'd'] : ['c']);
    if (name === 'top1') expect(others.every(({ base, value, p }) => base === value && p === 1)).toBe(true);
  });

  it('cries no wolf over classes that differ by chance', async () => {
    let alarms = 0;
    for (let seed = 0; seed < 200; seed++) {
      const base = await judged('top1', labels, predictions(labels, 0.9, seed));
      const candidate = await judged('top1', labels, predictions(labels, 0.9, 1000 + seed));
      if (worse(pairAccuracy(base, candidate, options).classes).length > 0) alarms++;
    }
    // 5 % of 200 at most, and what chance adds to it.
    expect(alarms).toBeLessThanOrEqual(14);
  });

  it('keeps a large class that surely lost among many of one sample that lost all, so that the gate sees it', async () => {
    const large = Array.from({ length: 200 }, (_, at) => at % 2);
    const tiny = Array.from({ length: 300 }, (_, at) => at + 2);
    const all = [...large, ...tiny];
    const base = await judged('top1', all, all);
    // A third of class 1 is lost, and 60 of the 300 samples that are each the only one of their class.
    const predicted = all.map((label, at) =>
      label === 1 ? (at % 3 === 0 ? 0 : 1) : label >= 2 && label < 62 ? 0 : label,
    );
    const accuracy = pairAccuracy(base, await judged('top1', all, predicted), options);
    const found = accuracy.classes?.find(({ name }) => name === 'b');
    expect(found).toMatchObject({ samples: 100, lost: 33 });
    expect(found?.p).toBeLessThan(1e-6);
    expect(accuracy.classes?.length).toBeLessThanOrEqual(100);
    const drops = accuracy.classes?.map(({ base: before, value }) => before! - value!) ?? [];
    expect(drops).toEqual(drops.toSorted((a, b) => b - a));
    const variant = { ...sampleReport.variants.find(({ name }) => name === 'int8')!, accuracy };
    const report = {
      ...sampleReport,
      variants: sampleReport.variants.map((one) => (one.name === 'int8' ? variant : one)),
    };
    const { findings } = gate(report, {
      verdict: 'off',
      accuracy: 'off',
      'accuracy.classes': { maxDrop: 0.1, minSamples: 20 },
    });
    expect(findings).toEqual([expect.objectContaining({ status: 'failed', fails: true })]);
  });

  it('has nothing to say where there is one class, and for base itself', async () => {
    const one = await judged('top1', [1, 1, 1], [1, 1, 0]);
    expect(pairAccuracy(one, await judged('top1', [1, 1, 1], [1, 0, 0]), options).classes).toBeUndefined();
    const base = await judged('top1', labels, labels);
    expect(pairAccuracy(base, base, options).classes).toBeUndefined();
  });
});

describe('metrics that fold all samples', () => {
  it('have an interval around their figure, also where most classes are small', async () => {
    const small = Array.from({ length: 200 }, (_, at) => Math.floor(at / 2));
    const output = tensorOf(
      'int64',
      [200],
      small.map((label, at) => (at % 11 === 0 ? 0 : label)),
    );
    const metric = await makeMetric('f1');
    const records = metric.score({ output, size: 200, labels: small, targets: undefined, reference: undefined });
    const fold = metric.fold(records);
    const scores = records.map((record) => metric.sample(record));
    const found = { metric: 'f1', higherIsBetter: true, value: fold(), samples: 200, scores, resampled: fold };
    const [low, high] = metricInterval(found, 1)!;
    expect(low).toBeLessThan(fold());
    expect(high).toBeGreaterThan(fold());
  });

  it('catch a planted drop of a point on 10,000 samples, and leave an unchanged model alone', async () => {
    const many = Array.from({ length: 10_000 }, (_, at) => at % 4);
    let caught = 0;
    let alarms = 0;
    for (let trial = 0; trial < 10; trial++) {
      const base = await judged('mcc', many, predictions(many, 0.9, trial));
      // Scattered changes in both directions, and one sample in 100 lost on top.
      const flips = randomNumbers(trial + 77);
      const change = (loss: number): number[] =>
        predictions(many, 0.9, trial).map((guess, at) => {
          const draw = flips();
          if (draw < 0.005) return many[at]!;
          return draw < 0.005 + loss ? (many[at]! + 1) % 4 : guess;
        });
      // Gains 0.005 · 0.1, losses 0.9 · loss.
      const [worse, same] = [change(0.0005 / 0.9 + 0.01 / 0.9), change(0.0005 / 0.9)];
      if (pairAccuracy(base, await judged('mcc', many, worse), options).dropCi![0] > 0) caught++;
      if (pairAccuracy(base, await judged('mcc', many, same), options).dropCi![0] > 0) alarms++;
    }
    expect(caught).toBe(10);
    expect(alarms).toBeLessThanOrEqual(1);
  });

  it('have an interval that contains the figure of repeated samples', async () => {
    const base = await judged('mcc', labels, predictions(labels, 0.9, 3));
    const accuracy = pairAccuracy(base, await judged('mcc', labels, predictions(labels, 0.88, 3)), options);
    expect(accuracy.dropCi![0]).toBeLessThan(accuracy.drop!);
    expect(accuracy.dropCi![1]).toBeGreaterThan(accuracy.drop!);
    // mcc of four even classes is (4·accuracy − 1) / 3; the accuracy of the difference varies by √(p_d / n).
    const spread = 2 * 1.96 * (4 / 3) * Math.sqrt(0.02 / 2000);
    expect((accuracy.dropCi![1] - accuracy.dropCi![0]) / spread).toBeCloseTo(1, 0);
  });
});

it('adjusts p-values by Holm, and knows the normal tail', () => {
  // statsmodels multipletests(method='holm')
  expect(holm([0.01, 0.04, 0.03, 0.005]).map((p) => Number(p.toFixed(10)))).toEqual([0.03, 0.06, 0.06, 0.02]);
  expect(holm([0.6, 0.7])).toEqual([1, 1]);
  expect(normalTail(1.959963984540054)).toBeCloseTo(0.025, 6);
  expect(normalTail(-1)).toBeCloseTo(0.8413447460685429, 6);
});
