import { UserError } from '../errors.ts';
import { capturedValues, type Graph, graphsBelow, type Node, type Value } from './graph.ts';

/**
 * Puts the nodes of `graph` and of all subgraphs in an order in which every value is made before it is read (captured
 * values included). A graph already in order stays as it is; else a node moves no further than its inputs ask for.
 * @returns whether anything moved.
 * @throws UserError `graph-cycle` that names the nodes of a cycle.
 */
export function sortTopologically(graph: Graph): boolean {
  let moved = false;
  for (const inner of graphsBelow(graph)) moved = sortOne(inner) || moved;
  return moved;
}

/** The nodes of one graph in topological order, without moving them. `roots`: where to begin; default all, in order. */
export function topologicalOrder(graph: Graph, roots: Iterable<Node> = graph.nodes): Node[] {
  const order: Node[] = [];
  const state = new Map<Node, 'open' | 'done'>();
  const stack: { readonly node: Node; readonly needs: readonly Value[]; next: number }[] = [];
  const enter = (node: Node): void => {
    state.set(node, 'open');
    stack.push({ node, needs: neededValues(node), next: 0 });
  };
  for (const root of roots) {
    if (state.has(root)) continue;
    enter(root);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const producer = top.needs[top.next++]?.producer;
      if (top.next > top.needs.length) {
        state.set(top.node, 'done');
        order.push(top.node);
        stack.pop();
      } else if (producer?.list === graph) {
        const seen = state.get(producer);
        if (seen === 'open')
          failOnCycle(
            graph,
            stack.map((frame) => frame.node),
            producer,
          );
        if (!seen) enter(producer);
      }
    }
  }
  return order;
}

/** Inputs and captured values. */
function neededValues(node: Node): readonly Value[] {
  const inputs = node.inputs.filter((value) => value !== undefined);
  return node.subgraphs.length > 0 ? [...inputs, ...capturedValues(node)] : inputs;
}

function sortOne(graph: Graph): boolean {
  const order = topologicalOrder(graph);
  let at = 0;
  let inOrder = true;
  for (const node of graph.nodes) inOrder = order[at++] === node && inOrder;
  if (inOrder) return false;
  for (const node of order) graph.move(node, undefined);
  return true;
}

function failOnCycle(graph: Graph, path: readonly Node[], back: Node): never {
  const cycle = path.slice(path.indexOf(back));
  const shown = cycle.slice(0, 8).map((node) => node.toString());
  if (cycle.length > 8) shown.push(`… (${cycle.length} nodes)`);
  throw new UserError(
    'graph-cycle',
    `Graph "${graph.name}" has a cycle: ${shown.join(' → ')} → ${back}. An ONNX graph must be acyclic; repair the model.`,
  );
}
