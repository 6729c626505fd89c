/** What every faithful pass must keep, on one model: used by the property tests and by the nightly command (test/bench/nightly.mjs). */
import { strict as assert } from 'node:assert';
import { fuse } from '../../passes/fuse/fuse.ts';
import { passes } from '../../passes/index.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import type { Model } from '../../src/ir/graph.ts';
import { printModel } from '../../src/ir/text/print.ts';
import { verify } from '../../src/ir/verify.ts';
import type { Pass, Step } from '../../src/pass/pass.ts';
import { runSteps } from '../../src/pass/pipeline.ts';
import { conditioning } from './conditioning.ts';
import { TestContext } from './context.ts';
import { calmFillings, type Dims, edgeFeeds, violations } from './differential.ts';
import { signature } from './golden.ts';
import { type Feeds, runOrt } from './ort.ts';

const text = (model: Model): string => printModel(model, { elements: Number.POSITIVE_INFINITY });

const defaults = (pass: Pass): Step => ({
  pass,
  options: Object.fromEntries(Object.entries(pass.options).map(([name, option]) => [name, option.default])),
});

/** Passes that promise the same numbers, with their default options. */
export const faithfulSteps: readonly Step[] = passes
  .map(defaults)
  .filter(({ pass, options }) => pass.numerics(options as never).kind !== 'lossy');

/** The same, and ONNX Runtime's own operators. */
export const networkSteps: readonly Step[] = [...faithfulSteps, fuse({ level: 'runtime' })];

/** Both levels of fuse, and another provider's operators. */
export const fuseSteps: readonly Step[] = [
  fuse(),
  fuse({ level: 'runtime' }),
  fuse({ level: 'runtime', provider: 'cuda' }),
];

/** Where a contract is missed: as many roundings as this in the last place of inputs and weights are granted, if they move the source as far. */
const roundings = 8;

/**
 * Each step alone on a clone: signature, validity, numbers, the same text twice, and nothing more the second time.
 * @param fired collects `pass/rule` of what was applied. @throws AssertionError with what broke, and the model.
 */
export async function holds(
  before: Model,
  seed: number,
  steps: readonly Step[],
  fired = new Set<string>(),
  dims: Dims = {},
): Promise<void> {
  const changed = async (model: Model, step: Step): Promise<boolean> => {
    const [trace] = await runSteps(model, [step], { context: new TestContext() });
    for (const rule of Object.keys(trace?.applied ?? {})) fired.add(`${step.pass.id}/${rule}`);
    return trace?.changed ?? false;
  };
  const source = text(before);
  try {
    assert.deepEqual(verify(before), [], 'problems before');
    const feeds = edgeFeeds(before, seed, dims, {}, calmFillings);
    const expected = await runOrt(before, feeds);
    for (const step of steps) {
      const { id } = step.pass;
      const model = cloneModel(before);
      const hasChanged = await changed(model, step);
      assert.equal(text(before), source, `${id} changed what the clone shares`);
      assert.deepEqual(verify(model), [], `problems after ${id}`);
      assert.equal(signature(model), signature(before), `signature after ${id}`);
      const once = text(model);
      if (!hasChanged) {
        assert.equal(once, source, `${id} says it changed nothing`);
        continue;
      }
      const twin = cloneModel(before);
      await changed(twin, step);
      assert.equal(text(twin), once, `${id} is not deterministic`);
      const actual = await runOrt(model, feeds);
      const numerics = step.pass.numerics(step.options as never);
      let found = expected.flatMap((want, i) => violations(want, actual[i] as Feeds, numerics));
      if (found.length > 0 && numerics.kind === 'reordered') {
        const noise = await conditioning(before, feeds, seed);
        found = expected.flatMap((want, i) => {
          const { rtol, atol } = numerics;
          return violations(want, actual[i] as Feeds, { ...numerics, rtol, atol: atol + roundings * (noise[i] ?? 0) });
        });
      }
      assert.deepEqual(found, [], `numbers after ${id}: ${found.join('; ')}`);
      assert.equal(await changed(model, step), false, `${id} changes more the second time`);
      assert.equal(text(model), once, `${id} changes more the second time`);
    }
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${printModel(before, { elements: 4 })}`, { cause: error });
  }
}

/** For models that ONNX Runtime does not run: no step ends in an error or leaves what is not valid. @throws Error with what broke, and the model. */
export async function survives(before: Model, steps: readonly Step[]): Promise<void> {
  try {
    assert.deepEqual(verify(before), [], 'problems before');
    for (const step of steps) {
      const model = cloneModel(before);
      await runSteps(model, [step], { context: new TestContext() });
      assert.deepEqual(verify(model), [], `problems after ${step.pass.id}`);
    }
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${printModel(before, { elements: 4 })}`, { cause: error });
  }
}
