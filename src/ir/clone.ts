import type { Attr } from './attr.ts';
import { Graph, Model, type Node, type Value } from './graph.ts';

/**
 * An independent copy: values, nodes and graphs are new, tensors, attribute values and what the codec remembers
 * (`origin`) are shared. Linear in nodes and values; no tensor byte is read.
 */
export function cloneModel(model: Model): Model {
  const copy = new Model(cloneGraph(model.graph), model.opsets, model.irVersion);
  copy.producerName = model.producerName;
  copy.producerVersion = model.producerVersion;
  copy.domain = model.domain;
  copy.modelVersion = model.modelVersion;
  copy.doc = model.doc;
  for (const [key, value] of model.meta) copy.meta.set(key, value);
  copy.origin = model.origin;
  for (const fn of model.functions) copy.addFunction({ ...fn, body: cloneGraph(fn.body), opsets: new Map(fn.opsets) });
  return copy;
}

/**
 * A copy of one graph with its subgraphs. Values from outside that it reads are looked up in `values` and else stay
 * the same objects: the copy can stand beside the original. On return `values` maps every copied value as well.
 */
export function cloneGraph(graph: Graph, values: Map<Value, Value> = new Map()): Graph {
  const copy = new Graph(graph.name);
  copy.doc = graph.doc;
  copy.meta = graph.meta && new Map(graph.meta);
  copy.origin = graph.origin;
  for (const input of graph.inputs) values.set(input, label(copy.addInput(input.name, input.type), input));
  for (const value of graph.initializers) {
    let target = values.get(value);
    if (!target) {
      target = label(copy.looseValue(value.name, value.type), value);
      values.set(value, target);
    }
    if (value.initializer) copy.attachInitializer(target, value.initializer);
  }
  // Outputs of all nodes first: a subgraph, or a graph out of order, may read a value that comes later.
  const nodes: [Node, Node][] = [];
  for (const node of graph.nodes) nodes.push([node, copyNode(copy, node, values)]);
  const mapped = (value: Value): Value => values.get(value) ?? value;
  for (const [node, target] of nodes) {
    target.setInputs(node.inputs.map((value) => value && mapped(value)));
    for (const [name, attr] of node.attrs) target.attrs.set(name, copyAttr(attr, target, values));
  }
  for (const output of graph.outputs) copy.addOutput(mapped(output));
  return copy;
}

function copyNode(graph: Graph, node: Node, values: Map<Value, Value>): Node {
  const { op, domain, overload, name } = node;
  const target = graph.append(op, { domain, overload, name, inputs: [], outputs: 0 });
  target.doc = node.doc;
  target.meta = node.meta && new Map(node.meta);
  target.origin = node.origin;
  for (const [index, output] of node.outputs.entries()) {
    if (output) values.set(output, label(target.addOutput(output.name, output.type, index), output));
  }
  return target;
}

function copyAttr(attr: Attr, owner: Node, values: Map<Value, Value>): Attr {
  if (attr.type !== 'graph' && attr.type !== 'graphs') return attr;
  const copyOwned = (graph: Graph): Graph => {
    const copy = cloneGraph(graph, values);
    copy.ownerNode = owner;
    return copy;
  };
  return attr.type === 'graph'
    ? { ...attr, value: copyOwned(attr.value) }
    : { ...attr, value: attr.value.map(copyOwned) };
}

function label(copy: Value, value: Value): Value {
  copy.doc = value.doc;
  copy.meta = value.meta && new Map(value.meta);
  copy.origin = value.origin;
  return copy;
}
