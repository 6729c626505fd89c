/** The content of one graph put in the place of a node of another: branches of If, bodies of functions. */
import type { Attr } from '../ir/attr.ts';
import { cloneGraph } from '../ir/clone.ts';
import { type Graph, graphsBelow, type LocalFunction, type Model, type Node, type Value } from '../ir/graph.ts';
import { addConstant, provenanceKey } from './edit.ts';

/**
 * Moves the content of `body` in front of `node`, which it replaces. Names are made unique; what the body captured it reads as
 * before, since all of that stands in front of the node.
 * @param prefix of the names of nodes, so that two copies of a body do not share them
 */
export function inlineGraph(node: Node, body: Graph, prefix = ''): Node[] {
  const { graph } = node;
  const made: Node[] = [];
  const results = [...body.outputs];
  while (body.outputs.length > 0) body.removeOutput(body.outputs.length - 1);
  const moved = new Map<Value, Value>();
  const move = (from: Value, to: Value): void => {
    body.replaceUses(from, to);
    to.doc = from.doc;
    to.meta = from.meta;
    moved.set(from, to);
  };
  for (const value of body.initializers) {
    if (!value.initializer || (!value.isUsed && !results.includes(value))) continue;
    move(value, addConstant(node, value.name, value.initializer));
  }
  for (const inner of body.nodes) {
    const copy = graph.insertBefore(node, inner.op, {
      domain: inner.domain,
      overload: inner.overload,
      name: inner.name && prefix ? graph.freshName(`${prefix}${inner.name}`) : inner.name,
      inputs: inner.inputs,
      outputs: inner.outputs.map((output) => output && graph.freshName(output.name)),
      types: inner.outputs.map((output) => output?.type),
      attrs: Object.fromEntries(inner.attrs),
    });
    copy.doc = inner.doc;
    copy.meta = inner.meta;
    copy.origin = inner.origin;
    made.push(copy);
    for (const [index, output] of inner.outputs.entries()) if (output) move(output, copy.output(index));
    // Its subgraphs belong to the copy now.
    inner.attrs.clear();
    body.remove(inner);
  }
  for (const [index, output] of node.outputs.entries()) {
    const result = results[index];
    if (!output || !result) continue;
    const source = moved.get(result) ?? result;
    source.type ??= output.type;
    graph.replaceUses(output, source);
  }
  graph.remove(node);
  return made;
}

/** Nodes that inlining may make: a few functions that call each other twice would fill the memory. */
const mostNodes = 200_000;

export interface Inlined {
  /** Calls that were replaced, by function name. */
  readonly calls: ReadonlyMap<string, number>;
  /** Calls that stay, and why. */
  readonly left: readonly { readonly node: Node; readonly why: string }[];
}

const keyOf = ({ domain, op, overload }: Node): string => `${domain}.${op}:${overload}`;

/** Puts the bodies of the model's own functions in the place of their calls, and drops functions that nothing calls any more. */
export function inlineFunctions(model: Model): Inlined {
  const functions = new Map(model.functions.map((fn) => [`${fn.domain}.${fn.name}:${fn.overload}`, fn]));
  const calls = new Map<string, number>();
  const left: { node: Node; why: string }[] = [];
  let made = 0;
  /** Functions in whose bodies a node came: a function that calls itself has no end. */
  const within = new Map<Node, ReadonlySet<LocalFunction>>();
  const pending: Node[] = [];
  for (const graph of graphsBelow(model.graph)) pending.push(...graph.nodes);
  for (let node = pending.pop(); node; node = pending.pop()) {
    const fn = functions.get(keyOf(node));
    if (!fn || node.removed) continue;
    const around = within.get(node) ?? new Set();
    const why = around.has(fn)
      ? `function ${fn.name} calls itself`
      : made + fn.body.nodeCount > mostNodes
        ? `more than ${mostNodes} nodes would come of the functions`
        : importsDiffer(model, fn);
    if (why) {
      left.push({ node, why });
      continue;
    }
    const inside = new Set([...around, fn]);
    for (const copy of inlineCall(node, fn)) {
      made++;
      for (const inner of [
        copy,
        ...copy.subgraphs.flatMap((graph) => [...graphsBelow(graph)].flatMap((g) => [...g.nodes])),
      ]) {
        within.set(inner, inside);
        pending.push(inner);
      }
    }
    for (const [domain, version] of fn.opsets) if (!model.opsets.has(domain)) model.opsets.set(domain, version);
    calls.set(fn.name, (calls.get(fn.name) ?? 0) + 1);
  }
  dropUncalled(
    model,
    left.map(({ node }) => node),
  );
  return { calls, left };
}

/** A body is read by its own imports: where those differ from the model's, its operators may mean something else there. */
function importsDiffer(model: Model, fn: LocalFunction): string | undefined {
  for (const [domain, version] of fn.opsets) {
    const own = model.opsets.get(domain);
    if (own !== undefined && own !== version)
      return `function ${fn.name} imports opset ${version} of ${domain || 'ai.onnx'}, the model ${own}`;
  }
  return undefined;
}

function inlineCall(node: Node, fn: LocalFunction): Node[] {
  const body = cloneGraph(fn.body);
  const attrs = new Map<string, Attr>([...fn.defaults, ...node.attrs]);
  for (const graph of graphsBelow(body)) {
    for (const inner of graph.nodes) {
      for (const [name, attr] of inner.attrs) {
        if (attr.type !== 'ref') continue;
        const given = attrs.get(attr.value);
        // The operator's own default counts where neither the call nor the function gives one.
        if (given) inner.attrs.set(name, given);
        else inner.attrs.delete(name);
      }
    }
  }
  for (const [index, input] of [...body.inputs].entries()) {
    const given = node.input(index);
    if (given) {
      body.replaceUses(input, given);
      for (const [at, output] of body.outputs.entries()) if (output === input) body.setOutput(at, given);
    } else {
      for (const use of input.uses) use.node.setInput(use.index, undefined);
    }
  }
  const prefix = `${node.name || node.op}/`;
  const made = inlineGraph(node, body, prefix);
  for (const copy of made) {
    copy.meta = new Map(copy.meta).set(provenanceKey, `inline-function(${prefix}${copy.name || copy.op})`);
  }
  return made;
}

/** Functions that neither the graph nor a body that stays calls. */
function dropUncalled(model: Model, stay: readonly Node[]): void {
  const used = new Set(stay.map(keyOf));
  for (let before = -1; used.size > before; ) {
    before = used.size;
    for (const fn of model.functions) {
      if (!used.has(`${fn.domain}.${fn.name}:${fn.overload}`)) continue;
      for (const graph of graphsBelow(fn.body)) for (const node of graph.nodes) used.add(keyOf(node));
    }
  }
  const kept = model.functions.filter((fn) => used.has(`${fn.domain}.${fn.name}:${fn.overload}`));
  model.functions.splice(0, model.functions.length, ...kept);
}
