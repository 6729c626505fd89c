import { type OptimizationLevel, openSession } from '../../src/engine/session.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import type { Model } from '../../src/ir/graph.ts';
import type { Tensor } from '../../src/ir/tensor.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { defineBiasSoftmax } from './bias-softmax.ts';

export type Feeds = ReadonlyMap<string, Tensor>;

/**
 * Runs a model on each set of feeds, on the CPU, its optimizer off unless told otherwise; then without prepacking too, since
 * a product with a packed constant weight is summed in another order than one with a computed weight of the same bits.
 */
export async function runOrt(
  model: Model | Uint8Array,
  feeds: readonly Feeds[],
  level: OptimizationLevel = 'disabled',
  provider = 'cpu',
): Promise<ReadonlyMap<string, Tensor>[]> {
  const bytes = model instanceof Uint8Array ? model : encodeModel(withDefinitions(model));
  const session = await openSession(bytes, {
    provider,
    graphOptimizationLevel: level,
    threads: 1,
    ...(level === 'disabled' && { extra: { 'session.disable_prepacking': '1' } }),
  });
  try {
    const results = [];
    for (const one of feeds) results.push(await session.run(one));
    return results;
  } finally {
    await session.dispose();
  }
}

/** What has no kernel on the CPU, in operators that have. */
function withDefinitions(model: Model): Model {
  const nodes = [...model.graphs()].flatMap((graph) => [...graph.nodes]);
  if (!nodes.some((node) => node.op === 'BiasSoftmax')) return model;
  const copy = cloneModel(model);
  defineBiasSoftmax(copy);
  return copy;
}
