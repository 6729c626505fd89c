import { bug } from '../errors.ts';
import { cloneModel } from './clone.ts';
import { constantOf } from './constant.ts';
import { capturedValues, type Graph, graphsBelow, type Model, type Node, type Value } from './graph.ts';
import { sortTopologically } from './sort.ts';
import type { ValueType } from './types.ts';

/** A value of the main graph that becomes an input, and its type where the graph does not know it. */
export interface CutInput {
  readonly name: string;
  readonly type?: ValueType;
}

/**
 * A copy of the part of the model that lies between values of its main graph: `inputs` become graph inputs (whatever made them is left
 * out), `outputs` the only graph outputs. Weights are shared with the model. Inputs that the part does not read are left out.
 * @throws BugError when a name is no value of the main graph, or a cut value has no known type.
 */
export function cutModel(model: Model, inputs: readonly CutInput[], outputs: readonly string[]): Model {
  const copy = cloneModel(model);
  const { graph } = copy;
  const byName = valuesByName(graph);
  const find = (name: string): Value => byName.get(name) ?? bug(`"${name}" is no value of the main graph`);
  while (graph.outputs.length > 0) graph.removeOutput(0);
  const wanted = outputs.map(find);
  const given = inputs.map((input) => ({ ...input, value: find(input.name) }));
  for (const { name, type, value } of given) {
    if (value.isGraphInput) continue;
    const known = type ?? value.type ?? bug(`the type of "${name}" is not known`);
    value.name = graph.freshName(`${name}_before`);
    const input = graph.addInput(name, known);
    for (const { node, index } of value.uses) node.setInput(index, input);
    // A subgraph may hand an outer value out as its own output.
    for (const inner of graphsBelow(graph)) {
      if (inner === graph) continue;
      for (const [index, output] of inner.outputs.entries()) if (output === value) inner.setOutput(index, input);
    }
  }
  for (const value of wanted) graph.addOutput(value);
  sortTopologically(graph);
  for (const node of graph.nodesReversed()) if (!node.outputs.some((output) => output?.isUsed)) graph.remove(node);
  for (const value of [...graph.inputs]) if (!value.isUsed && !value.initializer) graph.removeInput(value);
  for (const value of [...graph.initializers]) {
    if (value.isUsed) continue;
    if (value.isGraphInput) graph.removeInput(value);
    graph.removeInitializer(value);
  }
  return copy;
}

/** Values of a graph itself, without those of its subgraphs. */
export function valuesByName(graph: Graph): Map<string, Value> {
  const values = new Map<string, Value>();
  for (const input of graph.inputs) values.set(input.name, input);
  for (const initializer of graph.initializers) values.set(initializer.name, initializer);
  for (const node of graph.nodes) for (const output of node.outputs) if (output) values.set(output.name, output);
  return values;
}

/** Nodes of the main graph that depend on one of these values, those that make them not among them. */
export function nodesBehind(values: Iterable<Value>): Set<Node> {
  const behind = new Set<Node>();
  const pending = [...values];
  for (let value = pending.pop(); value; value = pending.pop()) {
    for (const reader of value.readers) {
      const node = inMainGraph(reader);
      if (!node || behind.has(node)) continue;
      behind.add(node);
      for (const output of node.outputs) if (output) pending.push(output);
    }
  }
  return behind;
}

/** What a set of nodes of the main graph reads that none of them makes, constants left out. */
export function readFromOutside(nodes: ReadonlySet<Node>): Set<Value> {
  const read = new Set<Value>();
  for (const node of nodes) {
    for (const value of [...node.inputs, ...capturedValues(node)]) {
      if (!value || constantOf(value) || value.initializer) continue;
      if (value.producer && nodes.has(value.producer)) continue;
      read.add(value);
    }
  }
  return read;
}

/** The node of the main graph that this one is, or stands in. */
function inMainGraph(node: Node): Node | undefined {
  let at: Node | undefined = node;
  while (at && !at.removed && at.graph.ownerNode) at = at.graph.ownerNode;
  return at && !at.removed ? at : undefined;
}
