import type { Model } from '../../src/ir/graph.ts';
import { opKey } from '../../src/rewrite/pattern.ts';

/** Operators by `domain.Op` (plain `Op` for ai.onnx), subgraphs included, with how often they stand in the model. */
export function countOps(model: Model): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const graph of model.graphs())
    for (const node of graph.nodes) counts[opKey(node)] = (counts[opKey(node)] ?? 0) + 1;
  return counts;
}
