import { UserError } from '../errors.ts';
import { namedDim } from '../ir/dim.ts';
import type { DType } from '../ir/dtype.ts';
import type { Model, Value } from '../ir/graph.ts';
import { mergeObserved, type Observation } from '../ir/infer/observe.ts';
import type { Dim } from '../ir/types.ts';
import { requiredInputs } from './feed-shapes.ts';
import { randomFeeds, syntheticFeeds } from './feeds.ts';
import { observable, observe } from './observe.ts';
import { openModel } from './open-model.ts';

/** What is added to the open dimensions of the second run, so that each has an extent of its own; tried in order. */
const steps = [1, 2, 16, 32];

/**
 * Fills what shape inference left open by running the model twice on made-up inputs whose open dimensions differ: what
 * was the same both times is a number, what followed a symbol is that symbol, anything else stays open.
 * @returns how many inner values know more now; 0 as well when no second size runs.
 * @throws UserError when the model runs on no made-up input.
 */
export async function fillShapes(model: Model, options: { seed: number; signal?: AbortSignal }): Promise<number> {
  const session = await openModel(model, { graphOptimizationLevel: 'disabled' });
  try {
    const [first] = await syntheticFeeds(model, session, { seed: options.seed });
    if (!first) return 0;
    const shapes = new Map([...first.feeds].map(([name, tensor]) => [name, tensor.shape]));
    const observations = [await look(model, shapes, options)];
    for (const step of steps) {
      const other = changed(model, shapes, step);
      try {
        await session.run(randomFeeds(model, { seed: options.seed, shapes: other }));
      } catch (error) {
        // This size does not suit the model (a multiple of 32, say): the next one may.
        if (error instanceof UserError) continue;
        throw error;
      }
      observations.push(await look(model, other, options));
      return mergeObserved(model, observations);
    }
    return 0;
  } finally {
    await session.dispose();
  }
}

/** One run: extents of the symbols, and type and shape of every inner value. */
async function look(
  model: Model,
  shapes: ReadonlyMap<string, readonly number[]>,
  options: { seed: number; signal?: AbortSignal },
): Promise<Observation> {
  const bindings = new Map<string, number>();
  for (const input of requiredInputs(model)) {
    for (const [axis, extent] of (shapes.get(input.name) ?? []).entries()) {
      const symbol = plainSymbol(input.shape?.[axis]);
      if (symbol !== undefined) bindings.set(symbol, extent);
    }
  }
  const values = new Map<string, { dtype: DType; shape: readonly number[] }>();
  const feeds = randomFeeds(model, { seed: options.seed, shapes });
  const names = observable(inner(model)).map((value) => value.name);
  await observe(
    model,
    names,
    () => [{ feeds, size: 1 }],
    (name, { dtype, shape }) => void values.set(name, { dtype, shape }),
    { signal: options.signal },
  );
  return { bindings, values };
}

/** Every open dimension made larger; a symbol by the same amount wherever it stands, each symbol by another amount. */
function changed(model: Model, shapes: ReadonlyMap<string, readonly number[]>, step: number): Map<string, number[]> {
  const added = new Map<string, number>();
  const other = new Map<string, number[]>();
  for (const input of requiredInputs(model)) {
    const shape = (shapes.get(input.name) ?? []).map((extent, axis) => {
      const dim = input.shape?.[axis];
      if (typeof dim === 'number') return extent;
      const named = namedDim(dim);
      const key = typeof named === 'string' ? named : `${input.name} ${axis}`;
      const add = added.get(key) ?? step * (added.size + 1);
      added.set(key, add);
      return extent + add;
    });
    other.set(input.name, shape);
  }
  return other;
}

function plainSymbol(dim: Dim): string | undefined {
  const named = namedDim(dim);
  return typeof named === 'string' && /^\w+$/.test(named) ? named : undefined;
}

function* inner(model: Model): Generator<Value> {
  for (const node of model.graph.nodes) for (const value of node.outputs) if (value) yield value;
}
