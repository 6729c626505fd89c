import type { Model, Node, Value } from '../ir/graph.ts';
import type { Trace } from './driver.ts';

/**
 * Scales that ONNX Runtime's kernel takes for itself: MatMulNBits in float16 with int8 arithmetic (`accuracy_level` 4) makes float32 of them
 * when the session opens and gives the initializer back, so that another such node of the same graph computes with whatever stands there then: zeros, mostly
 * (measured with 1.30, bits 2, 4 and 8; in float32, at other levels, and where a node of a subgraph reads those of the graph around it all is well).
 */
export const takesScales = (node: Node, value: Value): boolean =>
  node.is('MatMulNBits', 'com.microsoft') &&
  node.input(2) === value &&
  value.dtype === 'float16' &&
  value.graph === node.graph &&
  node.int('accuracy_level', 0) === 4;

/** Such scales are not shared: each node has a copy of its own, a small part of the weights, which stay one. @returns whether anything changed */
export function ownHalfScales(model: Model, trace: Trace): boolean {
  let changed = false;
  for (const graph of model.graphs()) {
    const taken = new Set<Value>();
    for (const node of graph.nodes) {
      const scales = node.input(2);
      const tensor = scales?.constant;
      if (!scales || !tensor || !takesScales(node, scales)) continue;
      if (taken.has(scales)) {
        const own = graph.addInitializer(scales.name, tensor);
        node.setInput(2, own);
        trace.applied(
          'own-scales',
          node,
          `${own.name}: ONNX Runtime loses scales that several MatMulNBits in float16 read`,
        );
        changed = true;
      } else taken.add(scales);
    }
  }
  return changed;
}
