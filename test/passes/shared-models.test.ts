import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { passes } from '../../passes/index.ts';
import { presets } from '../../passes/presets.ts';
import { syntheticFeeds } from '../../src/engine/feeds.ts';
import { openSession } from '../../src/engine/session.ts';
import { printModel } from '../../src/ir/text/print.ts';
import { verify } from '../../src/ir/verify.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { loadModel } from '../../src/onnx/load.ts';
import { type Pass, reordered } from '../../src/pass/pass.ts';
import { runSteps } from '../../src/pass/pipeline.ts';
import { TestContext } from '../support/context.ts';
import { violations } from '../support/differential.ts';
import { signature } from '../support/golden.ts';
import { holdsInOrder, orderOf } from '../support/orders.ts';
import { type Feeds, runOrt } from '../support/ort.ts';
import { haveSharedModels, sharedModel, sharedModelFiles } from '../support/shared-models.ts';

function defaults(pass: Pass): Record<string, unknown> {
  return Object.fromEntries(Object.entries(pass.options).map(([name, option]) => [name, option.default]));
}

const faithful = passes.filter((pass) => pass.numerics(defaults(pass) as never).kind !== 'lossy');

describe.skipIf(!haveSharedModels)('shared models under every faithful pass', () => {
  for (const [slug, file] of sharedModelFiles) {
    describe(`${slug}/${file}`, () => {
      let feeds: Feeds[];
      let expected: readonly Feeds[];

      beforeAll(async () => {
        const model = await loadModel(sharedModel(slug, file));
        const session = await openSession(sharedModel(slug, file), { graphOptimizationLevel: 'disabled', threads: 1 });
        feeds = (await syntheticFeeds(model, session, { seed: 3, count: 2 })).map((batch) => new Map(batch.feeds));
        await session.dispose();
        expected = await runOrt(encodeModel(model), feeds);
      });
      afterAll(() => {
        feeds = [];
        expected = [];
      });

      for (const pass of faithful) {
        it(pass.id, async () => {
          const options = defaults(pass);
          const model = await loadModel(sharedModel(slug, file));
          const before = signature(model);
          const [trace] = await runSteps(model, [{ pass, options }], { context: new TestContext() });
          expect(verify(model)).toEqual([]);
          expect(signature(model)).toBe(before);
          const bytes = encodeModel(model);
          const actual = await runOrt(bytes, feeds);
          const numerics = pass.numerics(options as never);
          expect(expected.flatMap((want, i) => violations(want, actual[i] as Feeds, numerics))).toEqual([]);
          await runOrt(bytes, feeds, 'all');

          const once = printModel(model);
          const [second] = await runSteps(model, [{ pass, options }], { context: new TestContext() });
          expect(second?.applied).toEqual({});
          expect(printModel(model)).toBe(once);
          expect(trace?.changed).toBe(Object.keys(trace?.applied ?? {}).length > 0);
        });
      }

      it('two random orders of passes', async () => {
        const model = await loadModel(sharedModel(slug, file));
        for (const seed of [1, 2])
          await holdsInOrder(model, orderOf(seed * 1000 + file.length + slug.length), feeds, expected);
      });

      it('preset fp32', async () => {
        const model = await loadModel(sharedModel(slug, file));
        const before = signature(model);
        await runSteps(model, presets['fp32'] ?? [], { context: new TestContext() });
        expect(verify(model)).toEqual([]);
        expect(signature(model)).toBe(before);
        const actual = await runOrt(encodeModel(model), feeds);
        expect(expected.flatMap((want, i) => violations(want, actual[i] as Feeds, reordered()))).toEqual([]);
        const once = printModel(model);
        await runSteps(model, presets['fp32'] ?? [], { context: new TestContext() });
        expect(printModel(model)).toBe(once);
      });
    });
  }

  it('fuses what is known to be there', async () => {
    const count = async (slug: string, file: string): Promise<Record<string, number>> => {
      const model = await loadModel(sharedModel(slug, file));
      const pass = passes.find((candidate) => candidate.id === 'fuse') as Pass;
      const [trace] = await runSteps(model, [{ pass, options: defaults(pass) }], { context: new TestContext() });
      return { ...trace?.applied };
    };
    expect(await count('cifar10-resnet20', 'model.onnx')).toMatchObject({ 'conv-bn': 19 });
    expect(await count('gtcrn', 'model_unsimplified.onnx')).toMatchObject({ 'conv-bn': 11 });
    expect(await count('mnist-cntk', 'model.onnx')).toMatchObject({ 'conv-add': 2, 'matmul-add': 1 });
    expect(await count('wine-mlp', 'model.onnx')).toMatchObject({ 'gemm-bn': 2 });
    expect(await count('fastestdet', 'model.onnx')).toMatchObject({ 'pad-pool': 1 });
  });
});
