import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { passes } from '../../passes/index.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import type { Model } from '../../src/ir/graph.ts';
import { printModel } from '../../src/ir/text/print.ts';
import { verify } from '../../src/ir/verify.ts';
import type { Pass } from '../../src/pass/pass.ts';
import { runSteps } from '../../src/pass/pipeline.ts';
import { TestContext } from '../support/context.ts';
import { calmFillings, edgeFeeds, violations } from '../support/differential.ts';
import { signature } from '../support/golden.ts';
import { type Feeds, runOrt } from '../support/ort.ts';
import { buildProgram, type Program, programs } from '../support/random-graph.ts';
import { linearRules } from '../support/rules.ts';

const text = (model: Model): string => printModel(model, { elements: Number.POSITIVE_INFINITY });

/** Passes that promise the same numbers, with their default options. */
const faithful = passes
  .map((pass) => ({ pass, options: defaults(pass) }))
  .map((step) => ({ ...step, numerics: step.pass.numerics(step.options as never) }))
  .filter(({ numerics }) => numerics.kind !== 'lossy');

function defaults(pass: Pass): Record<string, unknown> {
  return Object.fromEntries(Object.entries(pass.options).map(([name, option]) => [name, option.default]));
}

/** Rules that fired, over all graphs. */
const fired = new Set<string>();

async function changed(model: Model, pass: Pass, options: Record<string, unknown>): Promise<boolean> {
  const [trace] = await runSteps(model, [{ pass, options }], { context: new TestContext() });
  for (const rule of Object.keys(trace?.applied ?? {})) fired.add(`${pass.id}/${rule}`);
  return trace?.changed ?? false;
}

async function holds(program: Program): Promise<void> {
  const before = buildProgram(program);
  expect(verify(before), 'problems before').toEqual([]);
  const feeds = edgeFeeds(before, program.seed, {}, {}, calmFillings);
  const expected = await runOrt(before, feeds);
  const source = text(before);
  for (const { pass, options, numerics } of faithful) {
    const model = cloneModel(before);
    const hasChanged = await changed(model, pass, options);
    expect(text(before), `${pass.id} changed what the clone shares`).toBe(source);
    expect(verify(model), `problems after ${pass.id}`).toEqual([]);
    expect(signature(model), `signature after ${pass.id}`).toBe(signature(before));
    const once = text(model);
    if (!hasChanged) {
      expect(once, `${pass.id} says it changed nothing`).toBe(source);
      continue;
    }
    const twin = cloneModel(before);
    await changed(twin, pass, options);
    expect(text(twin), `${pass.id} is not deterministic`).toBe(once);
    const actual = await runOrt(model, feeds);
    const found = expected.flatMap((want, i) => violations(want, actual[i] as Feeds, numerics));
    expect(found, `numbers after ${pass.id}`).toEqual([]);
    expect(await changed(model, pass, options), `${pass.id} changes more the second time`).toBe(false);
    expect(text(model), `${pass.id} changes more the second time`).toBe(once);
  }
}

describe('random graphs', () => {
  it('keep signature, validity, numbers and text under every faithful pass', { timeout: 180_000 }, async () => {
    const property = fc.asyncProperty(programs, async (program) => {
      try {
        await holds(program);
      } catch (error) {
        const model = printModel(buildProgram(program), { elements: 4 });
        throw new Error(`${(error as Error).message}\n${model}`, { cause: error });
      }
    });
    await fc.assert(property, {
      numRuns: 500,
      seed: 20_260,
      interruptAfterTimeLimit: 150_000,
      markInterruptAsFailure: true,
    });
    const missing = [...linearRules].filter((rule) => !fired.has(`fuse/${rule}`));
    expect(missing, 'rules of fuse that no graph made fire: the generator is too narrow').toEqual([]);
  });
});
