import { graphsBelow, type Model } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { sortTopologically } from '../../../src/ir/sort.ts';
import { type Inlined, inlineFunctions } from '../../../src/rewrite/inline.ts';
import { isHeavy } from './unit.ts';

/**
 * Inlines the model's functions where something heavy stands in one, since only then can its values be observed; then puts everything in order
 * and types it.
 */
export function openFunctions(model: Model): Inlined {
  const heavy = model.functions.some(({ body }) =>
    [...graphsBelow(body)].some((graph) => [...graph.nodes].some((node) => isHeavy(node))),
  );
  const inlined: Inlined = heavy ? inlineFunctions(model) : { calls: new Map(), left: [] };
  for (const graph of model.graphs()) sortTopologically(graph);
  inferShapes(model);
  return inlined;
}
