import type { Model, Node } from '../../src/ir/graph.ts';

/** Imports ONNX Runtime's own operators (com.microsoft), all of which are of version 1. */
export function useMicrosoft(model: Model): void {
  if (!model.opsets.has('com.microsoft')) model.opsets.set('com.microsoft', 1);
}

/** A node in the body of a model-local function, which has imports of its own. */
export function inFunction(node: Node): boolean {
  const { root } = node.graph;
  return root.ownerModel !== undefined && root !== root.ownerModel.graph;
}
