import { constantScalar } from '../../src/ir/constant.ts';
import type { Graph, Model, Node, Value } from '../../src/ir/graph.ts';
import type { Trace } from '../../src/pass/pass.ts';
import { addConstant } from '../../src/rewrite/edit.ts';

/** If with a constant condition: the nodes of the branch taken stand in its place. */
export function inlineConstantIf(model: Model, trace: Trace): boolean {
  let changed = false;
  for (const graph of model.graphs()) {
    for (const node of graph.nodes) {
      if (!node.is('If')) continue;
      const condition = constantScalar(node.input(0));
      const attr = condition === undefined ? undefined : node.attr(condition === 0 ? 'else_branch' : 'then_branch');
      if (attr?.type !== 'graph') continue;
      trace.applied('if-constant', node, condition === 0 ? 'else_branch' : 'then_branch');
      inline(node, attr.value);
      changed = true;
    }
  }
  return changed;
}

/**
 * Moves the content of `branch` in front of `node`, which it replaces. Names are made unique; what the branch captured
 * it reads as before, since all of that stands in front of the node.
 */
function inline(node: Node, branch: Graph): void {
  const { graph } = node;
  const results = [...branch.outputs];
  while (branch.outputs.length > 0) branch.removeOutput(branch.outputs.length - 1);
  const moved = new Map<Value, Value>();
  const move = (from: Value, to: Value): void => {
    branch.replaceUses(from, to);
    to.doc = from.doc;
    to.meta = from.meta;
    moved.set(from, to);
  };
  for (const value of branch.initializers) {
    if (!value.initializer || (!value.isUsed && !results.includes(value))) continue;
    move(value, addConstant(node, value.name, value.initializer));
  }
  for (const inner of branch.nodes) {
    const copy = graph.insertBefore(node, inner.op, {
      domain: inner.domain,
      overload: inner.overload,
      name: inner.name,
      inputs: inner.inputs,
      outputs: inner.outputs.map((output) => output && graph.freshName(output.name)),
      types: inner.outputs.map((output) => output?.type),
      attrs: Object.fromEntries(inner.attrs),
    });
    copy.doc = inner.doc;
    copy.meta = inner.meta;
    copy.origin = inner.origin;
    for (const [index, output] of inner.outputs.entries()) if (output) move(output, copy.output(index));
    // Its subgraphs belong to the copy now.
    inner.attrs.clear();
    branch.remove(inner);
  }
  for (const [index, output] of node.outputs.entries()) {
    const result = results[index];
    if (!output || !result) continue;
    const source = moved.get(result) ?? result;
    source.type ??= output.type;
    graph.replaceUses(output, source);
  }
  graph.remove(node);
}
