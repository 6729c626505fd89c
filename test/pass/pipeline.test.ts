import { describe, expect, it } from 'vitest';
import { quantizeWeights } from '../../passes/quantize/quantize-weights.ts';
import { toFp16 } from '../../passes/quantize/to-fp16.ts';
import { simplify } from '../../passes/simplify/simplify.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import type { Model } from '../../src/ir/graph.ts';
import { type Tensor, tensorFrom, typedArray } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { addErrors, emptyErrorSums, sqnrDb } from '../../src/kernels/error.ts';
import type { MakeJudge } from '../../src/pass/judge.ts';
import { exact, lossy, type Numerics, type Pass, type Step } from '../../src/pass/pass.ts';
import { runSteps } from '../../src/pass/pipeline.ts';
import { TestContext } from '../support/context.ts';
import { runOrt } from '../support/ort.ts';

const twice = `
  <ir_version: 8, opset_import: ["" : 17]>
  main (float[1,32] x) => (float[1,32] y)
  <float[32,32] a = random(1), float[32,32] b = random(1)>
  { h = MatMul (x, a)  y = MatMul (h, b) }`;

const step = (run: Pass['run'], numerics: Numerics = exact): Step => ({
  pass: { id: 'test', summary: '', options: {}, rules: {}, numerics: () => numerics, run },
  options: {},
});

describe('runSteps', () => {
  it('ties equal weights before the first step', async () => {
    const model = parseModel(twice);
    const [trace] = await runSteps(model, [toFp16()], { context: new TestContext() });
    expect(model.graph.initializers.size).toBe(1);
    expect(trace?.applied['tied-initializer']).toBe(1);
  });

  it('ties what a step leaves twice, and counts that as a change', async () => {
    const model = parseModel(twice);
    const untie = step((one) => {
      const [a] = one.graph.initializers;
      const last = one.graph.lastNode;
      if (!a?.initializer || !last) return { changed: false };
      const copy = tensorFrom('float32', [32, 32], new Float32Array(a.initializer.bytes().slice().buffer));
      last.setInput(1, one.graph.addInitializer('copy', copy));
      return { changed: true };
    });
    const [trace] = await runSteps(model, [untie], { context: new TestContext() });
    expect(model.graph.initializers.size).toBe(1);
    expect(trace?.applied['tied-initializer']).toBe(2);
    const [nothing] = await runSteps(model, [step(() => ({ changed: false }))], { context: new TestContext() });
    expect(nothing?.changed).toBe(false);
  });

  it('judges what follows steps that lost something against the model before', async () => {
    const origins: (Model | undefined)[] = [];
    const judge: MakeJudge = (_, options) => {
      origins.push(options?.origin);
      return Promise.reject(new Error('not asked to judge'));
    };
    const asks: Pass['run'] = async (model, _, ctx) => {
      await ctx.judge?.(model).catch(() => undefined);
      model.graph.name += '+';
      return { changed: true };
    };
    const noChange: Pass['run'] = () => ({ changed: false });
    const context = Object.assign(new TestContext(), { judge });
    const steps = [step(noChange, lossy(10)), step(asks), step(asks, lossy(10)), step(asks), step(asks)];
    await runSteps(parseModel(twice), steps, { context });
    expect(origins.map((origin) => origin?.graph.name)).toEqual([undefined, undefined, 'main+', 'main+']);
  });

  it.each([4, 8] as const)(
    'a weight of several layers in %i bits keeps one copy of its codes in float16, and scales for each',
    async (bits) => {
      const shared = parseModel(`
      <ir_version: 8, opset_import: ["" : 17]>
      main (float[2,64] x) => (float[2,64] y)
      <float[64,64] a = random(1)>
      { h = MatMul (x, a)  i = Tanh (h)  j = MatMul (i, a)  k = Tanh (j)  y = MatMul (k, a) }`);
      const model = cloneModel(shared);
      const steps = [quantizeWeights({ bits, accuracyLevel: 4 }), toFp16(), simplify()];
      await runSteps(model, steps, { context: new TestContext() });
      const products = [...model.graph.nodes].filter((node) => node.op === 'MatMulNBits');
      expect(new Set(products.map((node) => node.input(1))).size).toBe(1);
      // What it has lost is memory that may still hold the numbers: the outputs alone do not tell.
      expect(new Set(products.map((node) => node.input(2))).size).toBe(3);
      const feeds = [
        new Map([
          [
            'x',
            tensorFrom(
              'float32',
              [2, 64],
              Float32Array.from({ length: 128 }, (_, i) => Math.sin(i)),
            ),
          ],
        ]),
      ];
      const [float, half] = await Promise.all([runOrt(shared, feeds), runOrt(model, feeds, 'all')]);
      const of = (results: typeof float) => typedArray(results[0]?.get('y') as Tensor, 'float32');
      expect(sqnrDb(addErrors(emptyErrorSums(), of(float), of(half)))).toBeGreaterThan(10);
    },
  );
});
