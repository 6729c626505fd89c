import type { Model } from '../../../src/ir/graph.ts';
import type { Judge } from '../../../src/pass/judge.ts';

/**
 * What the names of dimensions stand for in one sample of the search: lengths of texts and waves, sizes of pictures. Counted at 1 a text of 96 tokens
 * is a 96th of its work, and of a wave nothing is left behind the first strides.
 */
export async function extentsOf(model: Model, judge: Judge): Promise<ReadonlyMap<string, number>> {
  const [sample] = await judge.some(1, 1);
  const extents = new Map<string, number>();
  for (const { name, shape } of model.graph.inputs) {
    const seen = sample?.feeds.get(name)?.shape ?? [];
    for (const [axis, dim] of (shape ?? []).entries()) {
      const extent = seen[axis];
      if (typeof dim === 'string' && extent !== undefined) extents.set(dim, extent);
    }
  }
  return extents;
}
