import { cloneModel } from '../../src/ir/clone.ts';
import type { Model } from '../../src/ir/graph.ts';
import { elementCount, type Tensor, tensorFrom, typedArray } from '../../src/ir/tensor.ts';
import { random } from './differential.ts';
import { type Feeds, runOrt } from './ort.ts';

/** One unit in the last place of a float32, relative. */
const ulp = 2 ** -23;

const draws = 4;

/**
 * How far a model's outputs move when its inputs and weights move by one unit in their last place: what rounding may do to it in any
 * order of sums. A norm over nearly equal numbers (attention that looks everywhere alike) makes 1e-7 of them 3e-5.
 * @returns for each set of feeds the largest move of any output, in units of its largest magnitude where that is above 1.
 */
export async function conditioning(model: Model, feeds: readonly Feeds[], seed: number): Promise<number[]> {
  const expected = await runOrt(model, feeds);
  const worst = feeds.map(() => 0);
  for (let draw = 0; draw < draws; draw++) {
    const next = random(seed * 101 + draw);
    const moved = cloneModel(model);
    for (const value of [...moved.graph.initializers]) {
      const tensor = value.initializer;
      // A single number may be an exponent or an axis of something: a hair more than 2 is no square.
      if (tensor?.dtype === 'float32' && elementCount(tensor.shape) > 1)
        moved.graph.setInitializer(value, nudged(tensor, next));
    }
    const inputs = feeds.map((feed) => new Map([...feed].map(([name, tensor]) => [name, nudged(tensor, next)])));
    for (const [at, actual] of (await runOrt(moved, inputs)).entries())
      worst[at] = Math.max(worst[at] as number, distance(expected[at] as Feeds, actual));
  }
  return worst;
}

function nudged(tensor: Tensor, next: () => number): Tensor {
  if (tensor.dtype !== 'float32') return tensor;
  const from = typedArray(tensor, 'float32');
  return tensorFrom(
    'float32',
    tensor.shape,
    from.map((number) => number * (1 + (next() < 0.5 ? -ulp : ulp))),
  );
}

function distance(expected: Feeds, actual: Feeds): number {
  let worst = 0;
  for (const [name, want] of expected) {
    const got = actual.get(name);
    if (want.dtype !== 'float32' || got?.dtype !== 'float32') continue;
    const [a, b] = [typedArray(want, 'float32'), typedArray(got, 'float32')];
    const largest = a.reduce((top, x) => (Number.isFinite(x) ? Math.max(top, Math.abs(x)) : top), 1);
    for (const [i, x] of a.entries()) {
      const difference = Math.abs(x - (b[i] as number));
      if (Number.isFinite(difference)) worst = Math.max(worst, difference / largest);
    }
  }
  return worst;
}
