import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pruneWeights } from '../../../passes/prune/prune-weights.ts';
import { quantizeDynamic } from '../../../passes/quantize/quantize-dynamic.ts';
import { quantizeWeights } from '../../../passes/quantize/quantize-weights.ts';
import { toFp16 } from '../../../passes/quantize/to-fp16.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import { printModel } from '../../../src/ir/text/print.ts';
import { verify } from '../../../src/ir/verify.ts';
import type { Step } from '../../../src/pass/pass.ts';
import { runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';
import { calmFillings, edgeFeeds } from '../../support/differential.ts';
import { signature } from '../../support/golden.ts';
import { runOrt } from '../../support/ort.ts';
import { buildProgram, type Program, programs } from '../../support/random-graph.ts';

const steps: readonly Step[] = [
  toFp16(),
  toFp16({ keep: ['Add', 'Relu', 'Transpose', 'If'] }),
  toFp16({ keepIoTypes: false }),
  quantizeDynamic({ minElements: 0 }),
  quantizeWeights({ minElements: 0, block: 16 }),
  pruneWeights({ minElements: 0, scope: 'global' }),
];

async function holds(program: Program): Promise<void> {
  const before = buildProgram(program);
  const source = printModel(before, { elements: Number.POSITIVE_INFINITY });
  for (const step of steps) {
    const name = `${step.pass.id} ${JSON.stringify(step.options)}`;
    const run = async (model: typeof before) => (await runSteps(model, [step], { context: new TestContext() }))[0];
    const model = cloneModel(before);
    const trace = await run(model);
    const text = printModel(model, { elements: Number.POSITIVE_INFINITY });
    expect(printModel(before, { elements: Number.POSITIVE_INFINITY }), `${name} changed what the clone shares`).toBe(
      source,
    );
    expect(verify(model), name).toEqual([]);
    if (!trace?.changed) expect(text, name).toBe(source);
    if (step.options.keepIoTypes !== false) expect(signature(model), name).toBe(signature(before));
    const twin = cloneModel(before);
    await run(twin);
    expect(printModel(twin, { elements: Number.POSITIVE_INFINITY }), `${name} is not deterministic`).toBe(text);
    if (trace?.changed) {
      const feeds = edgeFeeds(model, program.seed, {}, {}, calmFillings.slice(0, 1));
      await runOrt(model, feeds);
      await runOrt(model, feeds, 'all');
      expect((await run(model))?.changed, `${name} changes more the second time`).toBe(false);
    }
  }
}

describe('random graphs', () => {
  it('stay valid, loadable and settled under every lossy pass', { timeout: 120_000 }, async () => {
    const property = fc.asyncProperty(programs, async (program) => {
      try {
        await holds(program);
      } catch (error) {
        const model = printModel(buildProgram(program), { elements: 4 });
        throw new Error(`${(error as Error).message}\n${model}`, { cause: error });
      }
    });
    await fc.assert(property, { numRuns: Number(process.env.RUNS ?? 100), seed: 20_261 });
  });
});
