import type { Graph, Model, Node } from '../../src/ir/graph.ts';
import type { Trace } from '../../src/pass/pass.ts';
import { nodeKey, ValueIds } from './node-key.ts';
import { type Purity, purityOf } from './purity.ts';

/** Seen nodes by key; a subgraph sees what stands before its node in the graphs around it. */
interface Scope {
  readonly seen: Map<string, Node>;
  readonly outer: Scope | undefined;
}

/** Common subexpressions: a node that does the same to the same values as an earlier one gives way to it. */
export function eliminateCommon(model: Model, trace: Trace): boolean {
  const purity = purityOf(model);
  const ids = new ValueIds();
  let changed = false;
  for (const root of [model.graph, ...model.functions.map((fn) => fn.body)]) {
    if (eliminate(root, undefined, ids, purity, trace)) changed = true;
  }
  return changed;
}

function eliminate(graph: Graph, outer: Scope | undefined, ids: ValueIds, purity: Purity, trace: Trace): boolean {
  let changed = false;
  const scope: Scope = { seen: new Map(), outer };
  for (const node of graph.nodes) {
    for (const subgraph of node.subgraphs) if (eliminate(subgraph, scope, ids, purity, trace)) changed = true;
    // Constants are compared by content elsewhere; an Identity that names a graph output has to stay.
    if (node.outputs.length === 0 || node.is('Constant') || node.is('Identity')) continue;
    const key = nodeKey(node, ids);
    if (key === undefined) continue;
    const twin = lookup(scope, key);
    if (!twin) {
      scope.seen.set(key, node);
      continue;
    }
    const why = purity.impure(node) ?? unmergeable(node, twin);
    if (why) {
      trace.skipped('common-subexpression', node, `it repeats ${twin}, but ${why}`);
      continue;
    }
    for (const [index, output] of node.outputs.entries()) {
      const other = twin.outputs[index];
      if (!output || !other) continue;
      other.type ??= output.type;
      graph.replaceUses(output, other);
    }
    trace.applied('common-subexpression', node, String(twin));
    graph.remove(node);
    changed = true;
  }
  return changed;
}

function lookup(scope: Scope | undefined, key: string): Node | undefined {
  for (let at = scope; at; at = at.outer) {
    const node = at.seen.get(key);
    if (node) return node;
  }
  return undefined;
}

/** A graph output may only be renamed to a value of its own graph that is no graph output itself. */
function unmergeable(node: Node, twin: Node): string | undefined {
  for (const [index, output] of node.outputs.entries()) {
    if (!output?.isGraphOutput) continue;
    const other = twin.outputs[index];
    if (node.graph !== twin.graph) return `"${output.name}" is an output of the subgraph`;
    if (other?.isGraphOutput) return `"${output.name}" and "${other.name}" are both graph outputs`;
    if (output.outputCount > 1) return `"${output.name}" is more than one output`;
  }
  return undefined;
}
