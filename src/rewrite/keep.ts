import type { Model, Node } from '../ir/graph.ts';
import type { Trace } from './driver.ts';
import { miss } from './match.ts';
import type { Rule } from './rule.ts';

/** True when the list names the node, its operator (`MatMul`, `com.microsoft.FusedMatMul`) or one of its outputs. */
export function isKept(node: Node, keep: readonly string[]): boolean {
  if (keep.length === 0) return false;
  const names = [node.name, node.op, `${node.domain}.${node.op}`, ...node.outputs.map((output) => output?.name)];
  return names.some((name) => name !== undefined && name !== '' && keep.includes(name));
}

/** The rule, without the nodes that the user wants left alone. */
export function keepRule(rule: Rule, keep: readonly string[]): Rule {
  if (keep.length === 0) return rule;
  return {
    ...rule,
    apply: (match, edit) =>
      isKept(match.root, keep)
        ? miss(match.root, 'you asked for it to stay as it is (--keep)')
        : rule.apply(match, edit),
  };
}

/** Says which names of the list stand for nothing in the model, so that a typing error is not taken for a wish fulfilled. */
export function reportUnmatched(model: Model, keep: readonly string[], trace: Trace): void {
  const missing = new Set(keep);
  for (const graph of model.graphs()) {
    if (missing.size === 0) return;
    for (const node of graph.nodes) for (const name of missing) if (isKept(node, [name])) missing.delete(name);
  }
  for (const name of missing)
    trace.skipped('keep', name, 'no node, operator or node output of the model has this name');
}
