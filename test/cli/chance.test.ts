import { describe, expect, it } from 'vitest';
import { whyNoSkill } from '../../src/cli/chance.ts';

const labels = [0, 0, 0, 0, 1, 1, 2, 2, 3, 4];
const judged = (value: number, metric = 'top1'): Parameters<typeof whyNoSkill>[0] => ({
  metric,
  value,
  labels,
  labelNames: ['cat', 'dog', 'cow', 'owl', 'eel'],
});

describe('whyNoSkill', () => {
  it('names the answer that is as good', () => {
    expect(whyNoSkill(judged(0.4))).toMatch(
      /^the model itself is right in 40\.0 % of the samples, no more than always answering "cat" would be \(40\.0 %\): /,
    );
    expect(whyNoSkill(judged(0.1))).toMatch(/right in 10\.0 %.*\(40\.0 %\)/);
    expect(whyNoSkill(judged(0.5))).toBeUndefined();
  });

  it.each([
    ['roc-auc', 0.5, 0.51],
    ['mcc', -0.02, 0.01],
    ['spearman', 0, 0.3],
  ])('knows what blind scores reach in %s', (metric, blind, better) => {
    expect(whyNoSkill({ ...judged(blind, metric), labels: undefined })).toMatch(
      new RegExp(`^the model itself reaches ${metric} ${blind}, where scores that know nothing`),
    );
    expect(whyNoSkill(judged(better, metric))).toBeUndefined();
  });

  it('says nothing of metrics that are no shares of right answers, of missing labels, and of a faultless model', () => {
    expect(whyNoSkill(judged(0.1, 'f1'))).toBeUndefined();
    expect(whyNoSkill({ ...judged(0.1), labels: undefined })).toBeUndefined();
    expect(whyNoSkill({ ...judged(1), labels: [1, 1, 1] })).toBeUndefined();
    expect(whyNoSkill({ ...judged(1, 'top5') })).toBeUndefined();
    expect(whyNoSkill({ ...judged(0.9, 'top5'), labels: [...labels, 5, 6, 7] })).toBeUndefined();
    expect(whyNoSkill({ ...judged(0.6, 'top5'), labels: [...labels, 5, 6, 7] })).toMatch(/right in 60\.0 % /);
  });
});
