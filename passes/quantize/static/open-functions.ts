import { graphsBelow, type Model, type Node } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { sortTopologically } from '../../../src/ir/sort.ts';
import type { PassContext } from '../../../src/pass/pass.ts';
import { type Inlined, inlineFunctions } from '../../../src/rewrite/inline.ts';
import { isHeavy } from './unit.ts';

/** The rule of passes that open functions (see `openLayers`). */
export const inlineRule =
  "Calls of the model's own functions become the nodes of their bodies, where layers stand in them";

/**
 * The same for passes that change layers where they are.
 * @param wanted the layers that ask for it
 * @returns whether something was opened
 */
export function openLayers(
  model: Model,
  ctx: Pick<PassContext, 'applied' | 'skipped'>,
  wanted: (layer: Node) => boolean = () => true,
): boolean {
  const layers = model.functions.flatMap(({ body }) =>
    [...graphsBelow(body)].flatMap((graph) => [...graph.nodes].filter(isHeavy)),
  );
  if (!layers.some(wanted)) return false;
  const { calls, left } = openFunctions(model);
  for (const { node, why } of left) ctx.skipped('inline', node, why);
  for (const [name, count] of calls) ctx.applied('inline', name, `${count} ×`);
  return calls.size > 0;
}

/** What a function multiplies with comes from its callers: weights only once it is opened. Others are changed where they stand, once. */
export const takesWeights = (layer: Node): boolean =>
  layer.inputs.slice(1).some((value) => value !== undefined && layer.graph.inputs.includes(value));

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
