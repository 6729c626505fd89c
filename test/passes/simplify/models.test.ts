import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { simplify } from '../../../passes/simplify/simplify.ts';
import { verify } from '../../../src/ir/verify.ts';
import { encodeModel } from '../../../src/onnx/encode.ts';
import { loadModel } from '../../../src/onnx/load.ts';
import { countNodes, runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';
import { signature } from '../../support/golden.ts';
import { runOrt } from '../../support/ort.ts';
import { haveSharedModels, sharedModel, sharedModelFiles } from '../../support/shared-models.ts';
import { differences, runPlain } from './exact.ts';
import { sharedFeeds } from './feeds.ts';

/** Nodes that are left at most: what was reached once must not be lost. */
const reached: Readonly<Record<string, number>> = {
  'cifar10-resnet20/model.onnx': 73,
  'clinc150-bert/onnx/model.onnx': 226,
  'fastestdet/model.onnx': 211,
  'gtcrn/model.onnx': 415,
  'gtcrn/model_unsimplified.onnx': 415,
  'imagenet-mobilenetv1-050/model.onnx': 58,
  'imagenet-mobilenetv1-050/model_qdq.onnx': 146,
  'mnist-cntk/model.onnx': 11,
  'silero-vad/model.onnx': 138,
  'stories260k-llama/model.onnx': 397,
  'supres/model.onnx': 10,
  'wine-gbdt/model.onnx': 4,
  'wine-mlp/model.onnx': 17,
  'yunet-face/model.onnx': 115,
};

describe.skipIf(!haveSharedModels)('simplify on real models', () => {
  for (const [slug, file] of sharedModelFiles) {
    it(`keeps every bit of ${slug}/${file}`, async () => {
      const path = sharedModel(slug, file);
      const model = await loadModel(path);
      const callers = signature(model);
      const before = countNodes(model);
      const [first] = await runSteps(model, [simplify()], { context: new TestContext() });
      const after = countNodes(model);
      process.stdout.write(`${slug}/${file}: ${before} → ${after} nodes in ${first?.ms.toFixed(0)} ms\n`);
      expect(verify(model)).toEqual([]);
      expect(signature(model)).toBe(callers);
      expect(after).toBeLessThanOrEqual(reached[`${slug}/${file}`] ?? 0);

      const feeds = sharedFeeds(slug, 3);
      const expected = await runPlain(readFileSync(path), feeds);
      const actual = await runPlain(encodeModel(model), feeds);
      expect(expected.flatMap((want, i) => differences(want, actual[i] ?? new Map()))).toEqual([]);
      await runOrt(model, feeds, 'all');
      const [second] = await runSteps(model, [simplify()], { context: new TestContext() });
      expect(second?.applied, 'a second run does something').toEqual({});
    });
  }
});
