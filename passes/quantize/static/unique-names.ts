import { graphsBelow, type Model, type Value } from '../../../src/ir/graph.ts';

/**
 * Values of branches and bodies whose name stands elsewhere too get one of their own: statistics of activations go by names. (Sibling
 * branches may use the same names.) @returns whether any was renamed
 */
export function uniqueInnerNames(model: Model): boolean {
  const names = new Set<string>();
  let renamed = false;
  const claim = (value: Value, isInner: boolean): void => {
    if (isInner && value.name && names.has(value.name)) {
      value.name = model.graph.freshName(value.name);
      value.origin = undefined;
      renamed = true;
    }
    names.add(value.name);
  };
  for (const graph of graphsBelow(model.graph)) {
    const isInner = graph !== model.graph;
    for (const value of graph.inputs) claim(value, isInner);
    for (const node of graph.nodes) for (const value of node.outputs) if (value) claim(value, isInner);
  }
  return renamed;
}
