import { constantOf } from '../../../src/ir/constant.ts';
import type { Graph, Node } from '../../../src/ir/graph.ts';

/**
 * Layers of the main graph with weights of their own that see what these nodes make, directly or through others: with what the nodes give
 * changed, these read other numbers than they were trained on. The nodes themselves are not among them, unless one stands behind another.
 * @returns in the order of the graph, which must be topological
 */
export function layersBehind(graph: Graph, starts: Iterable<Node>): Node[] {
  const reached = new Set<Node>();
  const begin = new Set(starts);
  const found: Node[] = [];
  for (const node of graph.nodes) {
    const isBehind = node.inputs.some((value) => {
      const producer = value?.producer;
      return producer !== undefined && (begin.has(producer) || reached.has(producer));
    });
    if (!isBehind) continue;
    reached.add(node);
    if (isLinear(node)) found.push(node);
  }
  return found;
}

/** Convolutions and products with a constant on the right: what a least squares fit can move. */
export function isLinear(node: Node): boolean {
  return (node.is('Conv') || node.is('MatMul') || node.is('Gemm')) && constantOf(node.input(1)) !== undefined;
}
