import { describe, expect, it } from 'vitest';
import { toFp16 } from '../../passes/quantize/to-fp16.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { exact, type Pass, type Step } from '../../src/pass/pass.ts';
import { runSteps } from '../../src/pass/pipeline.ts';
import { TestContext } from '../support/context.ts';

const twice = `
  <ir_version: 8, opset_import: ["" : 17]>
  main (float[1,32] x) => (float[1,32] y)
  <float[32,32] a = random(1), float[32,32] b = random(1)>
  { h = MatMul (x, a)  y = MatMul (h, b) }`;

const step = (run: Pass['run']): Step => ({
  pass: { id: 'test', summary: '', options: {}, rules: {}, numerics: () => exact, run },
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
});
