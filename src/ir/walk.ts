import type { Graph } from './graph.ts';
import type { Node } from './node.ts';
import type { Value } from './value.ts';

/** `graph` and all graphs in the attributes of its nodes, outer before inner. */
export function* graphsBelow(graph: Graph): Generator<Graph> {
  const pending = [graph];
  for (let next = pending.pop(); next; next = pending.pop()) {
    yield next;
    for (const node of next.nodes) for (const inner of node.subgraphs) pending.push(inner);
  }
}

/** Values from outside that the node's subgraphs read. */
export function capturedValues(node: Node): Value[] {
  const captured = new Set<Value>();
  const inside = new Set<Graph>();
  for (const subgraph of node.subgraphs) for (const graph of graphsBelow(subgraph)) inside.add(graph);
  const note = (value: Value | undefined): void => {
    if (value && !inside.has(value.graph)) captured.add(value);
  };
  for (const graph of inside) {
    for (const inner of graph.nodes) for (const value of inner.inputs) note(value);
    for (const value of graph.outputs) note(value);
  }
  return [...captured];
}
