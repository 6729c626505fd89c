import type { Node } from '../../src/ir/graph.ts';

/**
 * Imports ONNX Runtime's own operators (com.microsoft), all of which are of version 1, where `node` stands: in the model,
 * or in the model-local function whose body it is part of, which has imports of its own.
 */
export function useMicrosoft(node: Node): void {
  const { root } = node.graph;
  const model = root.ownerModel;
  const index = model?.functions.findIndex(({ body }) => body === root) ?? -1;
  const fn = model?.functions[index];
  if (model && fn && !fn.opsets.has('com.microsoft'))
    model.functions[index] = { ...fn, opsets: new Map(fn.opsets).set('com.microsoft', 1) };
  if (model && !model.opsets.has('com.microsoft')) model.opsets.set('com.microsoft', 1);
}
