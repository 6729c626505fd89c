import { constantScalar } from '../../src/ir/constant.ts';
import type { Model } from '../../src/ir/graph.ts';
import type { Trace } from '../../src/pass/pass.ts';
import { inlineGraph } from '../../src/rewrite/inline.ts';

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
      inlineGraph(node, attr.value);
      changed = true;
    }
  }
  return changed;
}
