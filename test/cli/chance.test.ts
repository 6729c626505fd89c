import { describe, expect, it } from 'vitest';
import { whyNoSkill } from '../../src/cli/chance.ts';

const labels = [0, 0, 0, 0, 1, 1, 2, 2, 3, 4];
const judged = (value: number, metric = 'top1'): Parameters<typeof whyNoSkill>[0] => ({
  metric,
  value,
  labels,
  labelNames: ['cat', 'dog', 'cow', 'owl', 'eel'],
  higherIsBetter: true,
  blind: () => undefined,
});

describe('whyNoSkill', () => {
  it('names the answer that is as good', () => {
    expect(whyNoSkill(judged(0.4))).toMatch(
      /^the model itself is right in 40\.0 % of the samples, no more than always answering "cat" would be \(40\.0 %\): /,
    );
    expect(whyNoSkill(judged(0.1))).toMatch(/right in 10\.0 %.*\(40\.0 %\)/);
    expect(whyNoSkill(judged(0.5))).toBeUndefined();
  });

  it('holds the figure against that of the best blind answer, whichever way is better', () => {
    const blind = () => ({ value: 4, answer: 'always answering the median of the targets (4)' });
    const error = { ...judged(4.2, 'mae'), higherIsBetter: false, blind };
    expect(whyNoSkill(error)).toMatch(
      /^the model itself reaches mae 4\.2, no better than always answering the median of the targets \(4\): labels or targets/,
    );
    expect(whyNoSkill({ ...error, value: 3.9 })).toBeUndefined();
    expect(whyNoSkill({ ...error, metric: 'psnr', higherIsBetter: true, value: 3.9 })).toMatch(/psnr 3\.9, no better/);
  });

  it('says where the samples are of too few classes to tell a faultless model from a ruined one', () => {
    expect(whyNoSkill({ ...judged(1), labels: [1, 1, 1] })).toMatch(
      /^the samples are of one class alone \("dog"\), so an answer that names it whatever the input is right in 100 %, too/,
    );
    expect(whyNoSkill(judged(1, 'top5'))).toMatch(/^the samples are of 5 classes alone \("cat", /);
    expect(whyNoSkill(judged(1))).toBeUndefined();
  });

  it('says nothing of metrics that are no shares of right answers, of missing labels, and of a faultless model', () => {
    expect(whyNoSkill(judged(0.1, 'f1'))).toBeUndefined();
    expect(whyNoSkill({ ...judged(0.1), labels: undefined })).toBeUndefined();
    expect(whyNoSkill({ ...judged(0.9, 'top5'), labels: [...labels, 5, 6, 7] })).toBeUndefined();
    expect(whyNoSkill({ ...judged(0.6, 'top5'), labels: [...labels, 5, 6, 7] })).toMatch(/right in 60\.0 % /);
  });
});
