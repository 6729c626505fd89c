import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { MetricBatch } from '../../src/data/metrics/metric.ts';
import { makeMetric, metricKinds } from '../../src/data/metrics/registry.ts';
import { argmaxRows, competingScores } from '../../src/data/metrics/rows.ts';
import type { MetricSpec } from '../../src/data/specs.ts';
import { stringTensor, type Tensor, tensorFrom, tensorOf } from '../../src/ir/tensor.ts';
import { randomNumbers } from '../../src/kernels/random.ts';

function floats(shape: number[], values: number[]): Tensor {
  return tensorFrom('float32', shape, Float32Array.from(values));
}

async function value(
  spec: string | MetricSpec,
  batch: Partial<MetricBatch> & { output: Tensor; size: number },
): Promise<number> {
  const metric = await makeMetric(spec);
  return metric.fold(metric.score({ labels: undefined, targets: undefined, reference: undefined, ...batch }))();
}

describe('metrics, by hand', () => {
  const scores = floats([3, 3], [0.1, 0.7, 0.2, 0.5, 0.3, 0.2, 0.2, 0.2, 0.6]);

  test('top1', async () => {
    expect(await value('top1', { output: scores, size: 3, labels: [1, 1, 2] })).toBeCloseTo(2 / 3, 12);
  });

  test('top1 breaks ties toward the lower class, as argmax does, and NaN never wins', async () => {
    const output = floats([3, 2], [1, 1, Number.NaN, 0, Number.NaN, Number.NaN]);
    const metric = await makeMetric('top1');
    expect(metric.score({ output, size: 3, labels: [0, 1, 0], targets: undefined, reference: undefined })).toEqual([
      1, 1, 0,
    ]);
    expect(await value('top1', { output, size: 1, labels: [1] })).toBe(0);
  });

  test('top1 takes class numbers too', async () => {
    expect(await value('top1', { output: tensorOf('int64', [3], [4, 5, 6]), size: 3, labels: [4, 0, 6] })).toBeCloseTo(
      2 / 3,
      12,
    );
  });

  test('top5', async () => {
    const output = floats([2, 7], [7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1]);
    expect(await value('top5', { output, size: 2, labels: [4, 5] })).toBe(0.5);
  });

  test('roc-auc of logits on a grid: ties stay ties behind softmax, and a row that sums to 1 by chance is no other kind than the rest', async () => {
    const random = randomNumbers(7);
    const rows = Array.from({ length: 40 }, () => Array.from({ length: 4 }, () => Math.floor(4 * random())));
    rows[0] = [0, 1, 0, 0];
    const labels = rows.map((_, at) => at % 4);
    // 1 / p of a class, the terms from the smallest on: equal where the distances to the other logits are.
    const odds = (row: number[], id: number): number =>
      row
        .map((x) => x - (row[id] as number))
        .sort((a, b) => a - b)
        .reduce((sum, x) => sum + Math.exp(x), 0);
    const areas = [0, 1, 2, 3].map((id) => {
      const [mine, others] = [true, false].map((own) =>
        rows.filter((_, at) => (labels[at] === id) === own).map((row) => odds(row, id)),
      );
      const wins = mine!.flatMap((a) => others!.map((b) => (a < b ? 1 : a === b ? 0.5 : 0)));
      return wins.reduce<number>((sum, x) => sum + x, 0) / wins.length;
    });
    const output = floats([40, 4], rows.flat());
    expect(await value('roc-auc', { output, size: 40, labels })).toBeCloseTo(areas.reduce((a, b) => a + b) / 4, 12);
  });

  test('rows that only fill the batch are left out', async () => {
    expect(await value('top1', { output: scores, size: 1, labels: [1] })).toBe(1);
  });

  test('NaN has no rank and is near to nothing', async () => {
    const nan = floats([4, 2], Array(8).fill(Number.NaN));
    expect(
      await value('spearman', { output: floats([3], [1, Number.NaN, 2]), size: 3, targets: floats([3], [1, 2, 3]) }),
    ).toBeNaN();
    expect(await value({ name: 'recall-at-k', settings: { pairs: true } }, { output: nan, size: 2 })).toBe(0);
    expect(await value('recall-at-k', { output: nan, size: 4, labels: [0, 0, 1, 1] })).toBe(0);
  });

  test('map counts recalls as NumPy does, and 100 boxes of each class of a picture', async () => {
    const geometry = [
      { width: 9999, height: 99, scaleX: 1, scaleY: 1, left: 0, top: 0, fedWidth: 9999, fedHeight: 99 },
    ];
    const box = (at: number): [number, number, number, number] => [40 * at, 0, 40 * at + 20, 20];
    const mapOf = (truths: number, found: readonly [at: number, of: number][]) =>
      value(
        { name: 'map', settings: { decode: 'end-to-end' } },
        {
          output: floats(
            [1, found.length, 6],
            found.flatMap(([at, of], place) => [...box(at), 0.9 - place / 999, of]),
          ),
          size: 1,
          geometry,
          truths: [Array.from({ length: truths }, (_, at) => ({ class: 0, box: box(at), isCrowd: false }))],
        },
      );
    // pycocotools says 0.34653: 7 of 20 is 0.35, linspace(0, 1, 101)[35] a little more.
    expect(
      await mapOf(
        20,
        Array.from({ length: 7 }, (_, at) => [at, 0]),
      ),
    ).toBeCloseTo(35 / 101, 12);
    const others = Array.from({ length: 150 }, (_, at): [number, number] => [at, 1]);
    expect(await mapOf(1, [...others, [0, 0]])).toBeCloseTo(1, 12);
    expect(await mapOf(1, [...others.map(([at]): [number, number] => [at + 1, 0]), [0, 0]])).toBe(0);
  });

  test('miou of one probability a pixel', async () => {
    const targets = tensorOf('int64', [1, 2, 2], [1, 1, 0, 0]);
    const batch = { output: floats([1, 1, 2, 2], [0.9, 0.6, 0.1, 0.2]), size: 1, targets };
    expect(await value('miou', batch)).toBe(1);
    expect(await value({ name: 'miou', settings: { threshold: 0.7 } }, batch)).toBeCloseTo((1 / 2 + 2 / 3) / 2, 12);
    expect(await value('miou', { ...batch, output: floats([1, 2, 2], [1, 1, 0, 2]) })).toBeCloseTo(0.5, 12);
  });

  test('mae, rmse and psnr', async () => {
    const output = floats([2, 2], [0.5, 1.5, 0, 1]);
    const targets = floats([2, 2], [0.25, 1, 0, 0.5]);
    // |d| = 0.25 0.5 | 0 0.5 ; d² = 1/16 1/4 | 0 1/4 ; psnr clips 1.5 to 1: d² = 1/16 0 | 0 1/4
    expect(await value('mae', { output, size: 2, targets })).toBeCloseTo((0.375 + 0.25) / 2, 12);
    expect(await value('rmse', { output, size: 2, targets })).toBeCloseTo(Math.sqrt((5 / 32 + 1 / 8) / 2), 12);
    expect(await value('psnr', { output, size: 2, targets })).toBeCloseTo(
      (-10 * Math.log10(1 / 32) - 10 * Math.log10(1 / 8)) / 2,
      10,
    );
  });

  test('f1 of each class and their mean', async () => {
    // Classes 0 0 1 1 2 taken for 0 1 1 1 0: tp 1 2 0, fp 1 1 0, fn 1 0 1.
    const output = tensorOf('int64', [5], [0, 1, 1, 1, 0]);
    const metric = await makeMetric('f1');
    const records = metric.score({
      output,
      size: 5,
      labels: [0, 0, 1, 1, 2],
      targets: undefined,
      reference: undefined,
    });
    expect(metric.classes?.(records)).toMatchObject({ ids: [0, 1, 2], counts: [2, 2, 1] });
    expect(Array.from(metric.classes!(records).values())).toEqual([0.5, 0.8, 0]);
    expect(metric.fold(records)()).toBeCloseTo(1.3 / 3, 12);
    // Only class 1 was drawn: the others have no part in the mean.
    expect(metric.fold(records)([0, 0, 1, 1, 0])).toBe(1);
    expect(Array.from(metric.classes!(records).values([0, 0, 1, 1, 0]))).toEqual([Number.NaN, 1, Number.NaN]);
  });

  test('perplexity, next token and token agreement of a causal model', async () => {
    const output = floats([1, 4, 2], [Math.log(3), 0, 0, 0, 0, Math.log(4), 9, 9]);
    const feeds = new Map([
      ['input_ids', tensorOf('int64', [1, 4], [1, 0, 1, 1])],
      ['attention_mask', tensorOf('int64', [1, 4], [1, 1, 1, 0])],
    ]);
    // Tokens 0 (p = 3/4) and 1 (p = 1/2); the last is padding.
    expect(await value('perplexity', { output, size: 1, feeds })).toBeCloseTo(
      Math.exp(-(Math.log(0.75) + Math.log(0.5)) / 2),
      6,
    );
    expect(await value('next-token', { output, size: 1, feeds })).toBe(0.5);
    const reference = floats([1, 4, 2], [1, 0, 0, 1, 0, 1, 1, 0]);
    expect(await value('token-agreement', { output, reference, size: 1, feeds })).toBeCloseTo(2 / 3, 12);
  });

  test('positions that are ignored do not count in tagging', async () => {
    const output = floats([2, 2, 2], [1, 0, 0, 1, 1, 0, 1, 0]);
    const targets = tensorOf('int64', [2, 2], [0, 1, 1, -100]);
    expect(await value('token-accuracy', { output, targets, size: 2 })).toBeCloseTo(2 / 3, 12);
    const untrimmed = tensorOf('int64', [2, 3], [0, 1, -100, 1, -100, -100]);
    await expect(value('token-accuracy', { output, targets: untrimmed, size: 2 })).rejects.toThrow(
      'the output has 2 positions a sample, the targets have 3; where the inputs of dataset.json are trimmed, "targets" have to be as well',
    );
    expect(await value('exact-match', { output, targets, size: 2 })).toBe(0.5);
  });

  test('start and end of an answer', async () => {
    const outputs = new Map([
      ['start', floats([2, 3], [0, 1, 0, 1, 0, 0])],
      ['end', floats([2, 3], [0, 0, 1, 0, 1, 0])],
    ]);
    const spec = { name: 'exact-match', settings: { outputs: ['start', 'end'] } };
    const targets = tensorOf('int64', [2, 2], [1, 2, 0, 2]);
    expect(await value(spec, { output: outputs.get('start')!, outputs, targets, size: 2 })).toBe(0.5);
  });

  test('word and character errors are summed before they are divided', async () => {
    const output = stringTensor(
      [2],
      ['the  cat sat', 'a dog'].map((text) => new TextEncoder().encode(text)),
    );
    const truths = ['the cat sat down', 'a dig'];
    expect(await value('wer', { output, truths, size: 2 })).toBeCloseTo((1 + 1) / 6, 12);
    expect(await value('cer', { output, truths, size: 2 })).toBeCloseTo((5 + 1) / (16 + 5), 12);
  });

  test('scale-invariant SNR over frames', async () => {
    // x = 2t + e, e ⟂ t: (Σ(2t)²) / Σe² = 8 / 2 over both frames together.
    const output = floats([2, 2], [3, 1, 2, 2]);
    const targets = floats([2, 2], [1, 1, 0, 0]);
    const both = 10 * Math.log10(8 / (18 - 8));
    expect(await value('si-snr', { output, targets, size: 2 })).toBeCloseTo(both, 6);
  });

  test('recall among the nearest, by label and by pair', async () => {
    const output = floats([4, 2], [1, 0, 1, 0.1, 0, 1, 1, 0.2]);
    // Nearest by angle: 0 → 1, 1 → 3, 2 → 3, 3 → 1; the second nearest of 1 is 0.
    expect(await value('recall-at-k', { output, size: 4, labels: [0, 0, 1, 1] })).toBe(0.5);
    const at2 = { name: 'recall-at-k', settings: { k: 2 } };
    expect(await value(at2, { output, size: 4, labels: [0, 0, 1, 1] })).toBe(0.75);
    const pairs = { name: 'recall-at-k', settings: { pairs: true } };
    // Queries (1, 0) and (1, 0.1), documents (0, 1) and (1, 0.2): both find the second.
    expect(await value(pairs, { output, size: 2 })).toBe(0.5);
  });

  test('cosines of pooled embeddings correlate with targets', async () => {
    // Pairs of one position of width 2: cosines 1, 0, and 1/√2; the mask drops the second position.
    const rows = [1, 0, 9, 9, 1, 0, 9, 9, 1, 0, 9, 9, 2, 0, 9, 9, 0, 1, 9, 9, 1, 1, 9, 9];
    const output = floats([6, 2, 2], rows);
    const feeds = new Map([['attention_mask', tensorOf('int64', [6, 2], [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0])]]);
    const spec = { name: 'spearman', settings: { pairs: true } };
    expect(await value(spec, { output, feeds, size: 3, targets: floats([3], [5, 1, 4]) })).toBeCloseTo(1, 12);
    expect(await value(spec, { output, feeds, size: 3, targets: floats([3], [5, 4, 1]) })).toBeCloseTo(0.5, 12);
  });

  test('agreement with a base model', async () => {
    const reference = floats([3, 3], [0, 1, 0, 0, 1, 0, 0, 0, 1]);
    expect(await value('agreement', { output: scores, size: 3, reference })).toBeCloseTo(2 / 3, 12);
    // Boxes of a detector with its own suppression: 3 found in one picture.
    const feeds = new Map([
      [
        'images',
        floats(
          [1, 1, 8, 8],
          Array.from({ length: 64 }, () => 0),
        ),
      ],
    ]);
    const boxes = floats([3, 4], [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]);
    await expect(value('agreement', { output: boxes, size: 1, reference: boxes, feeds })).rejects.toThrow(
      'The output [3, 4] has no row for each sample',
    );
    const padded = new Map([['x', floats([3, 1], [0, 0, 0])]]);
    expect(await value('agreement', { output: boxes, size: 1, reference: boxes, feeds: padded })).toBe(1);
  });

  test.each([
    ['top1', { output: floats([2, 1], [0, 1]), size: 2, labels: [0, 1] }, 'needs one score for each class'],
    ['top1', { output: floats([1, 2], [0, 1]), size: 1, labels: [2] }, 'labelled 2, but the output has only 2 classes'],
    [
      'top1',
      { output: floats([1, 2], [0, 1]), size: 2, labels: [0, 1] },
      'does not have one row for each of the 2 samples',
    ],
    [
      'mae',
      { output: floats([1, 2], [0, 1]), size: 1, targets: floats([1, 3], [1, 2, 3]) },
      'The output has 2 numbers a sample, the targets have 3',
    ],
    ['mae', { output: floats([1, 2], [0, 1]), size: 1 }, 'needs targets'],
    ['agreement', { output: floats([1, 2], [0, 1]), size: 1 }, 'needs the outputs of a base model'],
  ] as const)('%s refuses what it cannot judge', async (id, batch, message) => {
    await expect(value(id, batch as never)).rejects.toThrow(message);
  });

  test('an unknown metric names the nearest, an unknown setting too', async () => {
    await expect(makeMetric('top-1')).rejects.toThrow('no metric "top-1" (did you mean "top1"?)');
    await expect(makeMetric({ name: 'f1', settings: { averege: 'micro' } })).rejects.toThrow(
      'metric f1 has an unknown key "averege" (did you mean "average"?)',
    );
    expect(new Set(metricKinds.map(({ id }) => id)).size).toBe(metricKinds.length);
  });
});

describe('argmax', () => {
  test('runs along the last axis, with axes of extent 1 aside', () => {
    expect(argmaxRows(floats([1, 2, 2], [0, 1, 3, 2]), 1)).toEqual([[1, 0]]);
    expect(argmaxRows(floats([2, 2, 1, 1], [0, 1, 3, 2]), 2)).toEqual([[1], [0]]);
  });

  test('means nothing for maps, single numbers and integers', () => {
    expect(competingScores(floats([1, 2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]))).toBeUndefined();
    expect(competingScores(floats([2, 1], [1, 2]))).toBeUndefined();
    expect(competingScores(tensorOf('int64', [1, 2], [1, 2]))).toBeUndefined();
    expect(
      competingScores(
        floats(
          [1, 200, 4],
          Array.from({ length: 800 }, (_, at) => at),
        ),
      ),
    ).toBeUndefined();
    expect(competingScores(floats([1, 5], [1, 2, 3, 4, 5]))).toBe(5);
  });
});

const reference = JSON.parse(readFileSync(new URL('metrics.reference.json', import.meta.url), 'utf8'));

/** Made by reference-metrics.py. */
describe('metrics equal scikit-learn, SciPy and NumPy', () => {
  const { multi, binary, numbers, weights, segments, pictures } = reference;
  const scored = { output: floats([60, 5], multi.logits.flat()), size: 60, labels: multi.labels };
  const single = { output: floats([60, 1], binary.scores), size: 60, labels: binary.labels };
  const points = { output: floats([60, 1], numbers.outputs), size: 60, targets: floats([60], numbers.targets) };

  test.each(Object.entries<number>(multi.expected).filter(([key]) => key !== 'f1-classes'))(
    '%s of five classes',
    async (key, expected) => {
      const [, name = '', average] = /^(.*?)(?:-(macro|micro|weighted))?$/.exec(key) ?? [];
      const spec = { name, settings: average ? { average } : {} };
      expect(await value(spec, scored)).toBeCloseTo(expected, 6);
    },
  );

  test.each(Object.entries<number>(binary.expected))('%s of two classes', async (name, expected) => {
    const settings = ['precision', 'recall', 'f1'].includes(name) ? { average: 'binary' } : {};
    expect(await value({ name, settings }, single)).toBeCloseTo(expected, 6);
  });

  test.each(Object.entries<number>(numbers.expected))('%s of numbers', async (name, expected) => {
    expect(await value(name, points)).toBeCloseTo(expected, 6);
  });

  test.each(Object.entries<number>(weights.expected))('%s of samples drawn several times', async (name, expected) => {
    const metric = await makeMetric(name);
    const batch = { f1: scored, mcc: scored, 'roc-auc': single, spearman: points, pearson: points }[name]!;
    const records = metric.score({ labels: undefined, targets: undefined, reference: undefined, ...batch });
    expect(metric.fold(records)(weights.weights)).toBeCloseTo(expected, 6);
  });

  test('f1 of each class', async () => {
    const metric = await makeMetric('f1');
    const records = metric.score({ targets: undefined, reference: undefined, ...scored });
    for (const [at, figure] of Array.from(metric.classes!(records).values()).entries())
      expect(figure).toBeCloseTo(multi.expected['f1-classes'][at], 6);
  });

  test('miou, as a whole and of each class, from class numbers and from scores', async () => {
    const targets = tensorOf('int64', [3, 8, 8], segments.targets.flat(2));
    const ids: number[] = segments.outputs.flat(2);
    const metric = await makeMetric('miou');
    const batch = { targets, size: 3, labels: undefined, reference: undefined };
    const records = metric.score({ ...batch, output: tensorOf('int64', [3, 8, 8], ids) });
    expect(metric.fold(records)()).toBeCloseTo(segments.expected.miou, 6);
    for (const [at, figure] of Array.from(metric.classes!(records).values()).entries())
      expect(figure).toBeCloseTo(segments.expected.classes[at], 6);
    const scores = new Float32Array(3 * 4 * 64);
    for (const [at, id] of ids.entries()) scores[(Math.floor(at / 64) * 4 + id) * 64 + (at % 64)] = 1;
    expect(metric.fold(metric.score({ ...batch, output: tensorFrom('float32', [3, 4, 8, 8], scores) }))()).toBeCloseTo(
      segments.expected.miou,
      6,
    );
  });

  test.each(Object.entries<number>(pictures.expected))('%s of a picture', async (name, expected) => {
    const shape = [1, 1, 16, 18];
    const batch = {
      output: floats(shape, pictures.outputs.flat()),
      targets: floats(shape, pictures.targets.flat()),
      size: 1,
    };
    expect(await value(name, batch)).toBeCloseTo(expected, 6);
  });
});
