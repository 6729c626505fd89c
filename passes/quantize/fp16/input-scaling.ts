import { constantOf } from '../../../src/ir/constant.ts';
import { graphsBelow, type Model, type Node, type Value } from '../../../src/ir/graph.ts';
import type { ElementTypes } from './element-types.ts';

const arithmetic = new Set(['Add', 'Sub', 'Mul', 'Div']);

/**
 * Nodes that shift and scale the model's own inputs by constants (standardization, pixels to ±1). The differences of
 * large numbers that they take lose most of their digits in half precision, and the inputs come in float32 anyway.
 */
export function inputScaling(model: Model, types: ElementTypes): Set<Node> {
  const raw = new Set<Value>(model.graph.inputs.filter((value) => types.isFloat32(value) && !value.constant));
  const nodes = new Set<Node>();
  for (const graph of graphsBelow(model.graph)) {
    for (const node of graph.nodes) {
      const [a, b] = [node.input(0), node.input(1)];
      if (!arithmetic.has(node.op) || node.domain !== '' || !a || !b) continue;
      if (!(raw.has(a) && constantOf(b)) && !(raw.has(b) && constantOf(a))) continue;
      nodes.add(node);
      raw.add(node.output());
    }
  }
  return nodes;
}
