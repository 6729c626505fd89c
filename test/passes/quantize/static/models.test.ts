import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { presets } from '../../../../passes/presets.ts';
import { quantizeStatic } from '../../../../passes/quantize/quantize-static.ts';
import { openDataset } from '../../../../src/data/open-dataset.ts';
import { createActivations } from '../../../../src/engine/activations.ts';
import { auditModel } from '../../../../src/engine/audit.ts';
import { evaluate } from '../../../../src/engine/evaluate.ts';
import { openModel } from '../../../../src/engine/open-model.ts';
import { openSession } from '../../../../src/engine/session.ts';
import { verify } from '../../../../src/ir/verify.ts';
import { loadModel } from '../../../../src/onnx/load.ts';
import { runSteps } from '../../../../src/pass/pipeline.ts';
import { TestContext } from '../../../support/context.ts';
import { convertTask } from '../../../support/convert-task.ts';
import { haveSharedModels, sharedModel } from '../../../support/shared-models.ts';

/** The preset on a trained model with its data, everything quantized that can be or what pays: score of the original and of the result, and what the runtime made of it. */
async function judge(path: string, dir: string, samples: number, place: 'all' | 'pays' = 'all') {
  const base = await openSession(path, { threads: 1 });
  const dataset = await openDataset(dir, base.inputs);
  try {
    const model = await loadModel(path);
    const context = Object.assign(new TestContext(), { activations: createActivations(dataset, { seed: 0 }) });
    const traces = await runSteps(model, [...(presets.fp32 ?? []), quantizeStatic({ place })], { context });
    expect(verify(model)).toEqual([]);
    const session = await openModel(model, { threads: 1 });
    const before = await evaluate(base, dataset, { samples });
    const after = await evaluate(session, dataset, { samples });
    await session.dispose();
    const audit = await auditModel(model);
    expect(audit.findings.filter(({ op }) => /Conv|Gemm|MatMul/.test(op))).toEqual([]);
    if (place === 'all') expect(audit.findings).toEqual([]);
    return { ratio: after.value / before.value, audit, applied: traces.at(-1)?.applied ?? {} };
  } finally {
    await dataset.close();
    await base.dispose();
  }
}

const own = (file: string): string => fileURLToPath(new URL(`../../../../models/${file}`, import.meta.url));

describe('trained models under the preset int8-static', () => {
  it('digits: every layer fuses', async () => {
    const { ratio, audit } = await judge(own('digits/model.onnx'), own('digits/eval'), 500);
    expect(ratio).toBeGreaterThanOrEqual(0.99);
    expect(audit).toMatchObject({ floatNodes: 0, leftoverQdq: 0 });
  });

  it('intents: attention stays in float, its projections and the feed-forward layers do not', async () => {
    const { ratio, audit, applied } = await judge(own('intents/onnx/model.onnx'), own('intents/eval'), 400);
    expect(ratio).toBeGreaterThanOrEqual(0.99);
    expect(applied.weighted).toBe(14);
    // The runtime's own fusions around them still happen.
    expect(audit.fusedOps).toMatchObject({ MatMulIntegerToFloat: 12, BiasGelu: 2, SkipLayerNormalization: 4 });
  });

  it.skipIf(!haveSharedModels)('cifar10-resnet20: what pays is as accurate', async () => {
    const task = await convertTask('cifar10-resnet20');
    try {
      const { ratio, audit } = await judge(sharedModel('cifar10-resnet20'), task.dir, 400, 'pays');
      expect(ratio).toBeGreaterThanOrEqual(0.99);
      expect(audit.fusedOps.QLinearConv).toBeGreaterThanOrEqual(17);
    } finally {
      await task.remove();
    }
  });

  it.skipIf(!haveSharedModels).each([
    ['cifar10-resnet20', 400, { QLinearConv: 19, QLinearAdd: 9, QGemm: 1 }, 0.98],
    ['mnist-cntk', 500, { QLinearConv: 2, QGemm: 1 }, 0.99],
    ['wine-mlp', 1497, { QGemm: 3 }, 0.99],
    ['imagenet-mobilenetv1-050', 150, { QLinearConv: 27, QGemm: 1 }, 0.98],
  ] as const)('%s', async (slug, samples, fusedOps, floor) => {
    const task = await convertTask(slug);
    try {
      const { ratio, audit } = await judge(sharedModel(slug), task.dir, samples);
      expect(ratio).toBeGreaterThanOrEqual(floor);
      expect(audit.fusedOps).toMatchObject(fusedOps);
      expect(audit.floatNodes).toBe(0);
    } finally {
      await task.remove();
    }
  });
});
