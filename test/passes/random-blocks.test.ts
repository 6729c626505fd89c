import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fuse } from '../../passes/fuse/fuse.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import type { Model } from '../../src/ir/graph.ts';
import { printModel } from '../../src/ir/text/print.ts';
import { verify } from '../../src/ir/verify.ts';
import { runSteps } from '../../src/pass/pipeline.ts';
import { TestContext } from '../support/context.ts';
import { calmFillings, edgeFeeds, violations } from '../support/differential.ts';
import { signature } from '../support/golden.ts';
import { type Feeds, runOrt } from '../support/ort.ts';
import { type BlockProgram, blockPrograms, buildBlocks } from '../support/random-blocks.ts';
import { linearRules } from '../support/rules.ts';

const steps = [fuse(), fuse({ level: 'runtime' }), fuse({ level: 'runtime', provider: 'cuda' })];
const fired = new Set<string>();

async function changed(model: Model, step: (typeof steps)[number]): Promise<boolean> {
  const [trace] = await runSteps(model, [step], { context: new TestContext() });
  for (const rule of Object.keys(trace?.applied ?? {})) fired.add(rule);
  return trace?.changed ?? false;
}

async function holds(program: BlockProgram): Promise<void> {
  const before = buildBlocks(program);
  expect(verify(before), 'problems before').toEqual([]);
  const feeds = edgeFeeds(before, program.seed, {}, {}, calmFillings);
  const expected = await runOrt(before, feeds);
  for (const step of steps) {
    const model = cloneModel(before);
    if (!(await changed(model, step))) continue;
    expect(verify(model), 'problems after').toEqual([]);
    expect(signature(model), 'signature').toBe(signature(before));
    const once = printModel(model);
    const actual = await runOrt(model, feeds);
    const numerics = step.pass.numerics(step.options as never);
    expect(expected.flatMap((want, i) => violations(want, actual[i] as Feeds, numerics))).toEqual([]);
    expect(await changed(model, step), 'changes more the second time').toBe(false);
    expect(printModel(model)).toBe(once);
  }
}

describe('random transformer blocks', () => {
  it('keep signature, validity and numbers at both levels of fuse', { timeout: 120_000 }, async () => {
    const property = fc.asyncProperty(blockPrograms, async (program) => {
      try {
        await holds(program);
      } catch (error) {
        const model = printModel(buildBlocks(program), { elements: 4 });
        throw new Error(`${(error as Error).message}\n${model}`, { cause: error });
      }
    });
    await fc.assert(property, { numRuns: 300, seed: 11 });
    const missing = Object.keys(fuse.rules).filter((rule) => !fired.has(rule) && !linearRules.has(rule));
    expect(missing, 'rules that no graph made fire: the generator is too narrow').toEqual([]);
  });
});
