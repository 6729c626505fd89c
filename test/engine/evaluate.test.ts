import { describe, expect, test } from 'vitest';
import { openDataset } from '../../src/data/open-dataset.ts';
import { evaluate } from '../../src/engine/evaluate.ts';
import { openSession } from '../../src/engine/session.ts';
import { convertTask } from '../support/convert-task.ts';
import { haveSharedModels, sharedModel } from '../support/shared-models.ts';

/** FP32 results of CATALOGUE.md: model, metric, value, samples, allowed difference. */
const expected: readonly (readonly [string, string, number, number, number])[] = [
  ['cifar10-resnet20', 'top1', 0.888, 1000, 0],
  ['clinc150-bert', 'top1', 0.9313, 1500, 0],
  ['mnist-cntk', 'top1', 0.984, 2000, 0],
  ['wine-gbdt', 'top1', 0.7929, 1497, 0],
  ['wine-mlp', 'top1', 0.7749, 1497, 0],
  ['imagenet-mobilenetv1-050', 'top1', 0.6567, 300, 0.003],
  ['supres', 'psnr', 29.61, 5, 0.005],
  ['stories260k-llama', 'perplexity', 4.509, 17, 0.0005],
  ['stories260k-llama', 'next-token', 0.6205, 17, 0.00005],
  ['gtcrn', 'si-snr', 20.92, 500, 0.005],
  ['silero-vad', 'accuracy', 1, 600, 0],
  ['fastestdet', 'cosine', 1, 7, 1e-6],
  ['yunet-face', 'cosine', 1, 6, 1e-6],
];

describe.skipIf(!haveSharedModels)('evaluation gives the known results of the shared models', () => {
  test.each(expected)('%s %s = %f', async (slug, metric, value, samples, tolerance) => {
    const { dir, remove } = await convertTask(slug);
    const session = await openSession(sharedModel(slug));
    const dataset = await openDataset(dir);
    try {
      const reference = metric === 'cosine' ? session : undefined;
      const named = metric === dataset.metric ? undefined : metric;
      const result = await evaluate(session, dataset, {
        ...(named !== undefined && { metric: named }),
        ...(reference && { reference }),
      });
      expect(result.samples).toBe(samples);
      expect(result.scores).toHaveLength(samples);
      expect(result.nonFinite).toBe(0);
      if (tolerance === 0) expect(Number(result.value.toFixed(4))).toBe(value);
      else expect(Math.abs(result.value - value)).toBeLessThanOrEqual(tolerance);
    } finally {
      await dataset.close();
      await session.dispose();
      await remove();
    }
  });
});
