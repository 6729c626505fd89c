import { describe, expect, test } from 'vitest';
import { argmaxRows, competingScores, type MetricBatch, metricById, metrics } from '../../src/data/metrics.ts';
import { type Tensor, tensorFrom, tensorOf } from '../../src/ir/tensor.ts';

function floats(shape: number[], values: number[]): Tensor {
  return tensorFrom('float32', shape, Float32Array.from(values));
}

function value(id: string, batch: Partial<MetricBatch> & { output: Tensor; size: number }): number {
  const metric = metricById(id);
  return metric.value(metric.score({ labels: undefined, targets: undefined, reference: undefined, ...batch }));
}

describe('metrics, by hand', () => {
  const scores = floats([3, 3], [0.1, 0.7, 0.2, 0.5, 0.3, 0.2, 0.2, 0.2, 0.6]);

  test('top1', () => {
    expect(value('top1', { output: scores, size: 3, labels: [1, 1, 2] })).toBeCloseTo(2 / 3, 12);
  });

  test('top1 breaks ties toward the lower class, as argmax does, and NaN never wins', () => {
    const output = floats([3, 2], [1, 1, Number.NaN, 0, Number.NaN, Number.NaN]);
    expect(
      metricById('top1').score({ output, size: 3, labels: [0, 1, 0], targets: undefined, reference: undefined }),
    ).toEqual([1, 1, 0]);
    expect(value('top1', { output, size: 1, labels: [1] })).toBe(0);
  });

  test('top1 takes class numbers too', () => {
    expect(value('top1', { output: tensorOf('int64', [3], [4, 5, 6]), size: 3, labels: [4, 0, 6] })).toBeCloseTo(
      2 / 3,
      12,
    );
  });

  test('top5', () => {
    const output = floats([2, 7], [7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1]);
    expect(value('top5', { output, size: 2, labels: [4, 5] })).toBe(0.5);
  });

  test('rows that only fill the batch are left out', () => {
    expect(value('top1', { output: scores, size: 1, labels: [1] })).toBe(1);
  });

  test('mae, rmse and psnr', () => {
    const output = floats([2, 2], [0.5, 1.5, 0, 1]);
    const targets = floats([2, 2], [0.25, 1, 0, 0.5]);
    // |d| = 0.25 0.5 | 0 0.5 ; d² = 1/16 1/4 | 0 1/4 ; psnr clips 1.5 to 1: d² = 1/16 0 | 0 1/4
    expect(value('mae', { output, size: 2, targets })).toBeCloseTo((0.375 + 0.25) / 2, 12);
    expect(value('rmse', { output, size: 2, targets })).toBeCloseTo(Math.sqrt((5 / 32 + 1 / 8) / 2), 12);
    expect(value('psnr', { output, size: 2, targets })).toBeCloseTo(
      (-10 * Math.log10(1 / 32) - 10 * Math.log10(1 / 8)) / 2,
      10,
    );
  });

  test('agreement with a base model', () => {
    const reference = floats([3, 3], [0, 1, 0, 0, 1, 0, 0, 0, 1]);
    expect(value('agreement', { output: scores, size: 3, reference })).toBeCloseTo(2 / 3, 12);
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
  ] as const)('%s refuses what it cannot judge', (id, batch, message) => {
    expect(() => value(id, batch as never)).toThrow(message);
  });

  test('an unknown metric names the nearest', () => {
    expect(() => metricById('top-1')).toThrow('no metric "top-1" (did you mean "top1"?)');
    expect(new Set(metrics.map((metric) => metric.id)).size).toBe(metrics.length);
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
    expect(competingScores(floats([1, 5], [1, 2, 3, 4, 5]))).toBe(5);
  });
});
