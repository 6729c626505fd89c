import { describe, expect, it } from 'vitest';
import { tensorOfNumbers } from '../../src/data/cast.ts';
import { makeMetric } from '../../src/data/metrics/registry.ts';
import { BlindAnswers } from '../../src/engine/blind.ts';
import { randomNumbers } from '../../src/kernels/random.ts';

const random = randomNumbers(3);
const rows = (shape: readonly number[], values: readonly number[], dtype: 'float32' | 'int64' = 'float32') =>
  tensorOfNumbers(dtype, shape, Float64Array.from(values));

/** What blind answers reach on these targets, which came in two batches. */
async function ofTargets(
  name: string,
  values: readonly number[],
  options: { readonly width?: number; readonly dtype?: 'float32' | 'int64'; readonly scores?: number } = {},
) {
  const { width = 1, dtype = 'float32', scores = 3 } = options;
  const blind = new BlindAnswers(await makeMetric(name));
  const output = rows(
    [1, width, scores],
    Array.from({ length: width * scores }, () => 0),
  );
  const half = values.length / 2;
  for (const part of [values.slice(0, half), values.slice(half)]) {
    const size = part.length / width;
    blind.add({ output, size, targets: rows([size, width], part, dtype), labels: undefined, reference: undefined });
  }
  return blind.result([]);
}

async function ofLabels(name: string, labels: readonly number[], settings: Record<string, unknown> = {}) {
  return new BlindAnswers(await makeMetric({ name, settings })).result(labels);
}

describe('what answers reach that know nothing of the inputs', () => {
  /** 30 samples: 15 of class 0, 9 of class 1, 6 of class 2. */
  const labels = Array.from({ length: 30 }, (_, at) => (at < 15 ? 0 : at < 24 ? 1 : 2));

  it('names the best single class by the metric’s own formula (scikit-learn: f1_score(y, zeros, average=…))', async () => {
    expect(await ofLabels('f1', labels)).toMatchObject({ answer: 'always answering class 0 (0.2222)' });
    expect((await ofLabels('f1', labels, { average: 'weighted' }))?.value).toBeCloseTo(1 / 3, 10);
    expect((await ofLabels('f1', labels, { average: 'micro' }))?.value).toBeCloseTo(0.5, 10);
    expect((await ofLabels('precision', labels))?.value).toBeCloseTo(0.5 / 3, 10);
    expect((await ofLabels('recall', labels))?.value).toBeCloseTo(1 / 3, 10);
    // The rare class is the one that is looked for: naming it always has f1 2p/(1 + p).
    expect((await ofLabels('f1', labels, { average: 'binary', positive: 2 }))?.value).toBeCloseTo(0.4 / 1.2, 10);
    // All of a class is found by naming everything so, whatever the model is worth.
    expect(await ofLabels('recall', labels, { average: 'binary' })).toBeUndefined();
    expect(await ofLabels('f1', labels.slice(0, 10))).toBeUndefined();
  });

  it.each([
    ['roc-auc', 0.5],
    ['mcc', 0],
    ['spearman', 0],
    ['map', 0],
    ['wer', 1],
  ])('knows the figure of %s whatever the data', async (name, value) => {
    expect(await ofLabels(name, [])).toMatchObject({ value });
  });

  it('answers the middle of the other half of the targets, so that few samples are not fitted', async () => {
    const targets = Array.from({ length: 2000 }, () => 100 + 10 * (random() + random() + random() - 1.5) * 2);
    const rmse = await ofTargets('rmse', targets);
    expect(rmse?.value).toBeGreaterThan(9);
    expect(rmse?.value).toBeLessThan(11);
    expect(rmse?.answer).toMatch(/^always answering the mean of the targets/);
    const mae = await ofTargets('mae', targets);
    expect(mae?.value).toBeGreaterThan(7);
    expect(mae?.value).toBeLessThan(9);
    // As many numbers a sample as samples: a mean over all of them would be nearer than it can know.
    const wide = await ofTargets('rmse', targets, { width: 50 });
    expect(wide?.value).toBeGreaterThan(9);
    expect(await ofTargets('rmse', targets.slice(0, 10))).toBeUndefined();
  });

  it('answers the most frequent class of positions, those that do not count aside', async () => {
    const tags = Array.from({ length: 120 }, (_, at) => (at % 2 === 0 ? -100 : at % 3 === 0 ? 1 : 4));
    const found = await ofTargets('token-accuracy', tags, { width: 4, dtype: 'int64' });
    expect(found?.value).toBeCloseTo(40 / 60, 10);
    expect(found?.answer).toBe('always answering 4 (0.6667)');
  });

  it('gives every token the same chance', async () => {
    expect(await ofTargets('perplexity', [], { scores: 512 })).toMatchObject({ value: 512 });
    expect(await ofTargets('next-token', [], { scores: 512 })).toMatchObject({ value: 1 / 512 });
  });
});
