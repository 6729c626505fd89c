import { describe, expect, it } from 'vitest';
import { fuse } from '../../../passes/fuse/fuse.ts';
import { pruneWeights } from '../../../passes/prune/prune-weights.ts';
import { quantizeDynamic } from '../../../passes/quantize/quantize-dynamic.ts';
import { quantizeWeights } from '../../../passes/quantize/quantize-weights.ts';
import { toFp16 } from '../../../passes/quantize/to-fp16.ts';
import { simplify } from '../../../passes/simplify/simplify.ts';
import { openSession } from '../../../src/engine/session.ts';
import { verify } from '../../../src/ir/verify.ts';
import { encodeModel } from '../../../src/onnx/encode.ts';
import { loadModel } from '../../../src/onnx/load.ts';
import type { Step } from '../../../src/pass/pass.ts';
import { runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';
import { signature } from '../../support/golden.ts';
import { haveSharedModels, sharedModel, sharedModelFiles } from '../../support/shared-models.ts';

const variants: Readonly<Record<string, readonly Step[]>> = {
  'to-fp16': [toFp16()],
  'quantize-dynamic': [quantizeDynamic()],
  'quantize-weights': [quantizeWeights({ bits: 4, block: 32 })],
  'prune-weights': [pruneWeights()],
  'simplify, fuse, to-fp16': [simplify(), fuse(), toFp16()],
  'simplify, fuse, quantize-dynamic': [simplify(), fuse(), quantizeDynamic()],
};

/** What must be quantized after simplification: models of weights in MatMul, Gemm, LSTM, and how many of them. */
const expectedDynamic: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'clinc150-bert/onnx/model.onnx': { linear: 26, embedding: 2 },
  'stories260k-llama/model.onnx': { linear: 36, embedding: 1, retie: 1 },
  'silero-vad/model.onnx': { lstm: 2, stored: 10 },
  'wine-mlp/model.onnx': { linear: 2 },
};

describe.skipIf(!haveSharedModels)('shared models', () => {
  for (const [slug, file] of sharedModelFiles) {
    it.each(Object.entries(variants))(
      `${slug}/${file}: %s is valid, loads at every level and settles`,
      async (name, steps) => {
        const model = await loadModel(sharedModel(slug, file));
        const before = signature(model);
        const context = new TestContext();
        const traces = await runSteps(model, steps, { context });
        expect(verify(model)).toEqual([]);
        expect(signature(model)).toBe(before);
        if (name.endsWith('fuse, quantize-dynamic'))
          expect(traces.at(-1)?.applied).toEqual(expectedDynamic[`${slug}/${file}`] ?? traces.at(-1)?.applied);
        for (const [index, { applied, skipped }] of traces.entries()) {
          const rules = Object.keys(steps[index]?.pass.rules ?? {});
          for (const rule of [...Object.keys(applied), ...skipped.map((skip) => skip.rule)])
            expect(rules).toContain(rule);
        }
        const bytes = encodeModel(model);
        for (const graphOptimizationLevel of ['disabled', 'extended', 'all'] as const) {
          const session = await openSession(bytes, { graphOptimizationLevel, threads: 1 });
          await session.dispose();
        }
        const [again] = await runSteps(model, steps.slice(-1), { context });
        expect(again?.changed).toBe(false);
      },
    );
  }
});
