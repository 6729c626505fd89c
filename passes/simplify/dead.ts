import type { Graph, Model } from '../../src/ir/graph.ts';
import type { Trace } from '../../src/pass/pass.ts';

/** Optional outputs that a node may leave out when nobody reads them (ONNX op schemas), by operator: output indices. */
const optionalOutputs: Readonly<Record<string, readonly number[]>> = {
  Dropout: [1],
  MaxPool: [1],
  LayerNormalization: [1, 2],
  Unique: [1, 2, 3],
};

/** Removes nodes whose outputs nobody reads, then initializers nobody reads, in every graph of the model. */
export function removeDead(model: Model, trace: Trace): boolean {
  let changed = false;
  for (const root of [model.graph, ...model.functions.map((fn) => fn.body)]) {
    if (removeDeadBelow(root, trace)) changed = true;
  }
  return changed;
}

function removeDeadBelow(graph: Graph, trace: Trace): boolean {
  let changed = false;
  for (const node of graph.nodesReversed()) {
    // A node without outputs is there for an effect that we cannot see.
    if (node.outputs.length > 0 && !node.outputs.some((output) => output?.isUsed)) {
      trace.applied('dead-node', node);
      graph.remove(node);
      changed = true;
      continue;
    }
    for (const index of node.domain === '' ? (optionalOutputs[node.op] ?? []) : []) {
      const output = node.outputs[index];
      if (!output || output.isUsed) continue;
      trace.applied('unused-output', node, output.name);
      node.dropOutput(index);
      changed = true;
    }
    for (const subgraph of node.subgraphs) if (removeDeadBelow(subgraph, trace)) changed = true;
  }
  for (const value of graph.initializers) {
    if (value.isUsed || value.isGraphInput) continue;
    trace.applied('unused-initializer', value.name);
    graph.removeInitializer(value);
    changed = true;
  }
  return changed;
}
