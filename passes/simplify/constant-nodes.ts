import { constantOf } from '../../src/ir/constant.ts';
import { type Graph, graphsBelow, type Model } from '../../src/ir/graph.ts';
import type { Trace } from '../../src/pass/pass.ts';

/**
 * Turns Constant nodes into initializers of the graph they stand in, so that constants have one form. Function bodies
 * have no initializers: theirs stay nodes.
 */
export function constantsToInitializers(model: Model, trace: Trace): boolean {
  let changed = false;
  for (const graph of graphsBelow(model.graph)) if (liftConstants(graph, trace)) changed = true;
  return changed;
}

function liftConstants(graph: Graph, trace: Trace): boolean {
  let changed = false;
  for (const node of graph.nodes) {
    if (!node.is('Constant')) continue;
    const tensor = constantOf(node.output());
    if (!tensor) {
      trace.skipped('constant-node', node, 'its value is of a kind that is no plain tensor (sparse, or unknown)');
      continue;
    }
    const output = node.output();
    if (output.isGraphOutput) {
      trace.skipped('constant-node', node, 'its value is a graph output');
      continue;
    }
    trace.applied('constant-node', node);
    const { name } = output;
    output.name = '';
    const value = graph.addInitializer('constant', tensor);
    graph.replaceUses(output, value);
    value.name = name;
    value.doc = output.doc;
    graph.remove(node);
    changed = true;
  }
  return changed;
}
