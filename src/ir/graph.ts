import { bug } from '../errors.ts';
import type { Model } from './model.ts';
import { Node, type NodeInit } from './node.ts';
import type { Tensor } from './tensor.ts';
import { tensorType, type ValueType } from './types.ts';
import { Value } from './value.ts';
import { capturedValues, graphsBelow } from './walk.ts';

export { type LocalFunction, Model } from './model.ts';
export { Node, type NodeInit } from './node.ts';
export { Value } from './value.ts';
export { capturedValues, graphsBelow } from './walk.ts';

/**
 * Nodes in order, inputs, outputs, initializers. Iterating while nodes are inserted and removed is safe: removed
 * nodes are skipped, nodes inserted behind the current one are visited.
 */
export class Graph {
  name: string;
  doc: string | undefined;
  meta: Map<string, string> | undefined;
  /** The codec's own: unknown fields, sparse initializers, quantization annotations. */
  origin: unknown;
  /** The node whose attribute this graph is; undefined for the main graph and function bodies. */
  ownerNode: Node | undefined;
  /** @internal set by Model on its main graph and function bodies */ ownerModel: Model | undefined;
  readonly #inputs: Value[] = [];
  readonly #outputs: Value[] = [];
  /** Where each output stands in that list, in order; undefined until somebody asks. */
  #places: Map<Value, number[]> | undefined;
  readonly #initializers = new Set<Value>();
  #first: Node | undefined;
  #last: Node | undefined;
  #count = 0;
  #names: Set<string> | undefined;
  #counters: Map<string, number> | undefined;

  constructor(name = '') {
    this.name = name;
  }

  get inputs(): readonly Value[] {
    return this.#inputs;
  }
  get outputs(): readonly Value[] {
    return this.#outputs;
  }
  get initializers(): ReadonlySet<Value> {
    return this.#initializers;
  }
  get nodeCount(): number {
    return this.#count;
  }
  /** The graph around this one, for subgraphs. */
  get parent(): Graph | undefined {
    return this.ownerNode?.list;
  }
  get root(): Graph {
    return this.parent?.root ?? this;
  }
  get model(): Model | undefined {
    return this.root.ownerModel;
  }
  get nodes(): Iterable<Node> {
    return { [Symbol.iterator]: () => this.#walk() };
  }
  get firstNode(): Node | undefined {
    return this.#first;
  }
  get lastNode(): Node | undefined {
    return this.#last;
  }
  *nodesReversed(): Generator<Node> {
    let node = this.#last;
    while (node) {
      const prev: Node | undefined = node.prev;
      yield node;
      node = node.list === this ? node.prev : prev;
      while (node && node.list !== this) node = node.prev;
    }
  }

  /** A new graph input. */
  addInput(name: string, type?: ValueType): Value {
    const value = new Value(name, type, undefined, this);
    value.inputOf = this;
    this.#inputs.push(value);
    this.root.#names?.add(name);
    return value;
  }
  /** Removes an input that nothing reads. An initializer behind it stays. */
  removeInput(value: Value): void {
    const at = this.#inputs.indexOf(value);
    if (at < 0) bug(`"${value.name}" is no input of graph "${this.name}"`);
    if (value.tensor === undefined && value.isUsed) bug(`input "${value.name}" is still used`);
    this.#inputs.splice(at, 1);
    value.inputOf = undefined;
  }
  addOutput(value: Value): void {
    this.#notePlace(value, this.#outputs.push(value) - 1);
    value.outputCount++;
  }
  setOutput(index: number, value: Value): void {
    const old = this.#outputs[index] ?? bug(`graph "${this.name}" has no output ${index}`);
    old.outputCount--;
    this.#outputs[index] = value;
    value.outputCount++;
    const places = this.#places?.get(old);
    if (places?.length === 1) this.#places?.delete(old);
    else places?.splice(places.indexOf(index), 1);
    this.#notePlace(value, index);
  }
  removeOutput(index: number): void {
    const [old] = this.#outputs.splice(index, 1);
    if (!old) bug(`graph "${this.name}" has no output ${index}`);
    old.outputCount--;
    this.#places = undefined;
  }
  #notePlace(value: Value, index: number): void {
    const known = this.#places?.get(value);
    if (known) known.push(index);
    else this.#places?.set(value, [index]);
  }
  /** Places among the outputs, without a search through all of them: models may have tens of thousands. */
  #placesOf(value: Value): number[] {
    if (!this.#places) {
      this.#places = new Map();
      for (const [index, output] of this.#outputs.entries()) this.#notePlace(output, index);
    }
    return [...(this.#places.get(value) ?? [])].sort((a, b) => a - b);
  }
  /** A new constant. The name is made unique unless it is free. */
  addInitializer(name: string, tensor: Tensor): Value {
    const value = new Value(this.freshName(name), undefined, undefined, this);
    value.tensor = tensor;
    value.type = tensorType(tensor.dtype, tensor.shape);
    this.#initializers.add(value);
    return value;
  }
  /** @internal for the codec and the parser: the name is taken as it is; `value` may be a graph input. */
  attachInitializer(value: Value, tensor: Tensor): void {
    value.tensor = tensor;
    this.#initializers.add(value);
  }
  /** @internal for the codec: a value with no producer and no input behind it (becomes an initializer, or is broken). */
  looseValue(name: string, type?: ValueType): Value {
    return new Value(name, type, undefined, this);
  }
  /** Replaces an initializer's data and type in place; every use sees it. */
  setInitializer(value: Value, tensor: Tensor): void {
    if (!this.#initializers.has(value)) bug(`"${value.name}" is no initializer of graph "${this.name}"`);
    value.tensor = tensor;
    value.type = tensorType(tensor.dtype, tensor.shape);
    value.origin = undefined;
  }
  removeInitializer(value: Value): void {
    if (value.isUsed && !value.isGraphInput) bug(`initializer "${value.name}" is still used`);
    if (!this.#initializers.delete(value)) bug(`"${value.name}" is no initializer of graph "${this.name}"`);
    value.tensor = undefined;
  }

  append(op: string, init: NodeInit): Node {
    return this.#insert(op, init, undefined);
  }
  insertBefore(anchor: Node, op: string, init: NodeInit): Node {
    if (anchor.list !== this) bug(`${anchor} does not stand in graph "${this.name}"`);
    return this.#insert(op, init, anchor);
  }
  insertAfter(anchor: Node, op: string, init: NodeInit): Node {
    if (anchor.list !== this) bug(`${anchor} does not stand in graph "${this.name}"`);
    return this.#insert(op, init, anchor.next);
  }
  /** Moves a node of this graph before `anchor` (or to the end); order only, nothing else changes. */
  move(node: Node, anchor: Node | undefined): void {
    if (node === anchor) return;
    if (node.list !== this) bug(`${node} does not stand in graph "${this.name}"`);
    if (anchor && anchor.list !== this) bug(`${anchor} does not stand in graph "${this.name}"`);
    this.#unlink(node);
    this.#link(node, anchor);
  }
  /** Removes a node. @throws BugError when one of its outputs is still read: nothing may dangle. */
  remove(node: Node): void {
    if (node.list !== this) bug(`${node} does not stand in graph "${this.name}"`);
    for (const output of node.outputs) if (output?.isUsed) bug(`cannot remove ${node}: "${output.name}" is still used`);
    for (const graph of node.subgraphs) graph.releaseAll();
    node.releaseInputs();
    this.#unlink(node);
  }
  /** Removes the node and, going up, every producer and initializer that nothing reads any more. */
  removeWithUnused(node: Node): void {
    const pending = [node];
    for (let next = pending.pop(); next; next = pending.pop()) {
      if (next.removed || next.outputs.some((output) => output?.isUsed)) continue;
      const inputs = new Set(next.inputs);
      const captured = next.subgraphs.length > 0 ? capturedValues(next) : [];
      next.graph.remove(next);
      for (const value of [...inputs, ...captured]) {
        if (!value || value.isUsed) continue;
        if (value.producer) pending.push(value.producer);
        else if (value.tensor && !value.isGraphInput) value.graph.removeInitializer(value);
      }
    }
  }

  /**
   * Lets every reader of `from` read `to` instead, subgraphs included. Graph outputs keep their name: where `from` is
   * one, `to` takes the name over when it is an inner value of the same graph, else an Identity node carries it.
   */
  replaceUses(from: Value, to: Value): void {
    if (from === to) return;
    for (const { node, index } of from.uses) node.setInput(index, to);
    if (!from.isGraphOutput) return;
    const graph = from.graph;
    const { name } = from;
    let carrier: Value | undefined;
    for (const index of graph.#placesOf(from)) {
      if (!carrier) {
        from.name = graph.freshName(name);
        if (to.graph === graph && to.producer && !to.isGraphOutput) {
          to.name = name;
          to.type = mergeType(from.type, to.type);
          to.origin = from.origin;
          carrier = to;
        } else {
          const identity = graph.append('Identity', { inputs: [to], outputs: [name], types: [from.type ?? to.type] });
          identity.output().origin = from.origin;
          carrier = identity.output();
        }
      }
      graph.setOutput(index, carrier);
    }
    if (!from.isGraphOutput) return;
    // A subgraph may hand an outer value out as its own output: positions count there, names do not.
    for (const inner of graphsBelow(graph)) {
      for (const [index, output] of inner.outputs.entries()) if (output === from) inner.setOutput(index, to);
    }
  }

  /** A value and node name that nothing in the whole model uses yet: `base`, else `base_1`, `base_2`, … */
  freshName(base: string): string {
    return this.root.#fresh(base || 'value');
  }
  /** Says that names were changed by hand: freshName looks again. */
  forgetNames(): void {
    this.root.#names = undefined;
  }

  /** @internal A graph built apart has joined this one: its names are taken too. */
  adoptNames(graph: Graph): void {
    const names = this.root.#names;
    if (names) collectNames(graph, names);
  }

  /** @internal */ releaseAll(): void {
    for (const output of this.#outputs) output.outputCount--;
    this.#outputs.length = 0;
    this.#places = undefined;
    for (const node of [...this.#walk()].reverse()) {
      for (const graph of node.subgraphs) graph.releaseAll();
      node.releaseInputs();
      this.#unlink(node);
    }
  }

  *#walk(): Generator<Node> {
    let node = this.#first;
    while (node) {
      yield node;
      // A removed node keeps its `next`, so the walk goes on behind the place where it stood.
      node = node.next;
      while (node && node.list !== this) node = node.next;
    }
  }
  #insert(op: string, init: NodeInit, before: Node | undefined): Node {
    const node = new Node(op, init);
    this.#link(node, before);
    for (const graph of node.subgraphs) {
      graph.ownerNode = node;
      this.adoptNames(graph);
    }
    const outputs = init.outputs ?? 1;
    const names = typeof outputs === 'number' ? Array.from({ length: outputs }, () => '') : outputs;
    for (const [index, given] of names.entries()) {
      if (given === undefined) continue;
      const name = given === '' ? this.freshName(init.name || op.toLowerCase()) : given;
      node.addOutput(name, init.types?.[index], index);
      this.root.#names?.add(name);
    }
    return node;
  }
  #link(node: Node, before: Node | undefined): void {
    const after = before ? before.prev : this.#last;
    node.list = this;
    node.prev = after;
    node.next = before;
    if (after) after.next = node;
    else this.#first = node;
    if (before) before.prev = node;
    else this.#last = node;
    this.#count++;
  }
  #unlink(node: Node): void {
    if (node.prev) node.prev.next = node.next;
    else this.#first = node.next;
    if (node.next) node.next.prev = node.prev;
    else this.#last = node.prev;
    node.list = undefined;
    this.#count--;
  }
  #fresh(base: string): string {
    if (!this.#names) {
      this.#names = new Set();
      this.#counters = new Map();
      collectNames(this, this.#names);
    }
    const names = this.#names;
    let name = base;
    let counter = this.#counters?.get(base) ?? 0;
    while (names.has(name)) name = `${base}_${++counter}`;
    this.#counters?.set(base, counter);
    names.add(name);
    return name;
  }
}

function collectNames(root: Graph, names: Set<string>): void {
  for (const graph of graphsBelow(root)) {
    for (const value of graph.inputs) names.add(value.name);
    for (const value of graph.initializers) names.add(value.name);
    for (const node of graph.nodes) {
      if (node.name) names.add(node.name);
      for (const value of node.outputs) if (value) names.add(value.name);
    }
  }
}

/** Prefers what is declared (`first`), filled with the inferred where the declaration says nothing. */
function mergeType(first: ValueType | undefined, second: ValueType | undefined): ValueType | undefined {
  if (!first) return second;
  if (first.kind !== 'tensor' || second?.kind !== 'tensor') return first;
  return !first.shape || first.dtype !== second.dtype ? second : first;
}
