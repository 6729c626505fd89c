import { tensor as tensorAttr } from '../ir/attr.ts';
import type { Graph, Model, Node, NodeInit, Value } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import { tensorType } from '../ir/types.ts';
import type { Match } from './match.ts';
import type { Site, ValueTypes } from './rule.ts';

/** Key of the node metadata that names the rule and the nodes something was made from: `conv-bn(conv1, bn1)`. */
export const provenanceKey = 'mlpack.from';

/** The graph edits of one rule application. New nodes carry their provenance. */
export class Edit implements Site {
  readonly model: Model;
  readonly graph: Graph;
  readonly opset: number;
  readonly opsets: ReadonlyMap<string, number>;
  readonly types: ValueTypes;
  /** Nodes inserted so far. */
  readonly inserted: Node[] = [];
  readonly #match: Match;
  /** `rule(source, source)`, the sources with their own provenance where they have one. */
  readonly provenance: string;

  constructor(site: Site, rule: string, match: Match) {
    this.model = site.model;
    this.graph = site.graph;
    this.opset = site.opset;
    this.opsets = site.opsets;
    this.types = site.types;
    this.#match = match;
    const sources = [...match.nodes].reverse().map((node) => node.meta?.get(provenanceKey) ?? label(node));
    // Nodes that one rewrite made come from the same place, which is said once.
    this.provenance = `${rule}(${[...new Set(sources)].join(', ')})`;
  }

  /**
   * Inserts a node before `anchor` (default: the matched root, where every matched input is available). Missing optional
   * inputs at the end may be given as undefined.
   */
  insert(op: string, init: NodeInit, anchor: Node = this.#match.root): Node {
    const inputs = init.inputs.slice(0, init.inputs.findLastIndex((value) => value !== undefined) + 1);
    const node = anchor.graph.insertBefore(anchor, op, { ...init, inputs });
    node.meta = new Map(node.meta).set(provenanceKey, this.provenance);
    this.inserted.push(node);
    return node;
  }
  /** Imports a domain (version 1) where the match stands: the model, or the function whose body it is in. */
  importDomain(domain: string): void {
    const { root } = this.graph;
    const opsets = this.model.functions.find((fn) => fn.body === root)?.opsets;
    for (const imports of opsets ? [opsets, this.model.opsets] : [this.model.opsets]) {
      if (!imports.has(domain)) imports.set(domain, 1);
    }
  }
  /** Inserts a node like `source` (operator, attributes, documentation, name) with other inputs or attributes. */
  insertLike(source: Node, init: Partial<Pick<NodeInit, 'inputs' | 'attrs'>>, anchor: Node = this.#match.root): Node {
    const node = this.insert(
      source.op,
      {
        domain: source.domain,
        overload: source.overload,
        inputs: init.inputs ?? source.inputs,
        outputs: [''],
        attrs: { ...Object.fromEntries(source.attrs), ...init.attrs },
      },
      anchor,
    );
    node.name = source.name;
    node.doc = source.doc;
    return node;
  }
  /** A new constant near the match; see `addConstant`. */
  constant(name: string, tensor: Tensor, anchor: Node = this.#match.root): Value {
    const value = addConstant(anchor, name, tensor);
    if (value.producer) this.inserted.push(value.producer);
    return value;
  }
  /**
   * Lets `by` take the place of output 0 of `last`: its readers, its name and its type; then removes `last` and
   * whatever only it needed.
   */
  replace(last: Node, by: Node): void {
    this.replaceValue(last.output(), by.output());
    this.removeUnused(last);
  }
  /**
   * Removes `node` and, going up, what nothing reads any more. Below IR version 4, where every initializer stands among the
   * graph inputs too, that includes those of the matched nodes.
   */
  removeUnused(node: Node): void {
    const inputs = this.model.irVersion < 4 ? new Set(this.#match.nodes.flatMap((matched) => matched.inputs)) : [];
    node.graph.removeWithUnused(node);
    for (const value of inputs) {
      if (!value?.initializer || !value.isGraphInput || value.isUsed) continue;
      value.graph.removeInput(value);
      value.graph.removeInitializer(value);
    }
  }
  /** Readers of `from` read `to`; a freshly inserted `to` takes over name and type. Removes nothing. */
  replaceValue(from: Value, to: Value): void {
    const { name, doc, meta, origin } = from;
    const fresh = to.producer !== undefined && this.inserted.includes(to.producer) && !to.isGraphOutput;
    if (fresh) {
      this.types.carry(from, to);
      to.type ??= from.type;
      to.doc = doc;
      to.meta = meta;
      to.origin = origin;
    }
    from.graph.replaceUses(from, to);
    if (fresh && to.name !== name) {
      if (from.name === name) from.name = to.name;
      to.name = name;
    }
  }
}

/**
 * A new constant before `anchor`: an initializer of its graph, or a Constant node in a function body (FunctionProto has no
 * initializers). Below IR version 4 an initializer of the main graph must be a graph input as well, and so it becomes one.
 */
export function addConstant(anchor: Node, name: string, tensor: Tensor): Value {
  const { graph } = anchor;
  const { model } = graph;
  const isMain = model?.graph === graph;
  if (!isMain && graph.ownerNode === undefined && model) {
    const node = graph.insertBefore(anchor, 'Constant', {
      inputs: [],
      outputs: [graph.freshName(name)],
      attrs: { value: tensorAttr(tensor) },
      types: [tensorType(tensor.dtype, tensor.shape)],
    });
    return node.output();
  }
  if (isMain && model.irVersion < 4) {
    const value = graph.addInput(graph.freshName(name), tensorType(tensor.dtype, tensor.shape));
    graph.attachInitializer(value, tensor);
    return value;
  }
  return graph.addInitializer(name, tensor);
}

function label(node: Node): string {
  return node.name || (node.outputs.find((output) => output !== undefined)?.name ?? node.op);
}
