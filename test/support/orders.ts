/** Passes that keep the numbers, one after the other in a random order: what none of them may break, whatever ran before. */
import { strict as assert } from 'node:assert';
import * as fc from 'fast-check';
import { fuse } from '../../passes/fuse/fuse.ts';
import { UserError } from '../../src/errors.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import type { Model } from '../../src/ir/graph.ts';
import { verify } from '../../src/ir/verify.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { reordered, type Step } from '../../src/pass/pass.ts';
import { runSteps } from '../../src/pass/pipeline.ts';
import { TestContext } from './context.ts';
import { violations } from './differential.ts';
import { signature } from './golden.ts';
import { faithfulSteps } from './holds.ts';
import { type Feeds, runOrt } from './ort.ts';

const steps: readonly Step[] = [
  ...faithfulSteps,
  fuse({ opset: 21 }),
  fuse({ level: 'runtime' }),
  fuse({ level: 'runtime', provider: 'web-wasm' }),
];

/** Three to six of them, drawn by the seed, some twice. */
export function orderOf(seed: number): Step[] {
  const [order = []] = fc.sample(fc.array(fc.constantFrom(...steps), { minLength: 3, maxLength: 6 }), {
    numRuns: 1,
    seed,
  });
  return order;
}

const said = ({ pass, options }: Step): string =>
  pass.id === 'fuse'
    ? `fuse:level=${options['level']},provider=${options['provider']},opset=${options['opset']}`
    : pass.id;

/**
 * @param expected what `before` gives for `feeds` with the runtime's optimizer off.
 * @throws AssertionError naming the order, where a step breaks the model, its signature or its numbers, or the runtime does not load the end with its own optimizations.
 */
export async function holdsInOrder(
  before: Model,
  order: readonly Step[],
  feeds: readonly Feeds[],
  expected: readonly Feeds[],
): Promise<void> {
  const model = cloneModel(before);
  try {
    for (const step of order) {
      try {
        await runSteps(model, [step], { context: new TestContext() });
      } catch (error) {
        // A step may refuse a model (an opset that it cannot be raised to); it must leave it as it was.
        if (!(error instanceof UserError)) throw error;
      }
      assert.deepEqual(verify(model), [], `problems after ${step.pass.id}`);
    }
    assert.equal(signature(model), signature(before));
    const bytes = encodeModel(model);
    const actual = await runOrt(bytes, feeds);
    assert.deepEqual(
      expected.flatMap((want, at) => violations(want, actual[at] as Feeds, reordered())),
      [],
    );
    await runOrt(bytes, feeds, 'all');
  } catch (error) {
    throw new Error(`${order.map(said).join(' ')}: ${(error as Error).message}`, { cause: error });
  }
}
