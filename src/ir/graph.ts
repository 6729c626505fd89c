import { bug } from '../errors.ts';
import type { Attr, AttrInput } from './attr.ts';
import { intValue, toAttr } from './attr.ts';
import type { DType } from './dtype.ts';
import { clampBigInt, type Tensor } from './tensor.ts';
import { type Shape, tensorType, type ValueType } from './types.ts';

/** One place where a value is read: input `index` of `node`. The node may sit in a subgraph (a captured value). */
export interface Use {
  readonly node: Node;
  readonly index: number;
}

/**
 * One value of a graph. Identity is the object, the name is a label. Made through Graph (`addInput`,
 * `addInitializer`) or by a Node (its outputs), never alone. Uses are kept by Node and Graph.
 */
export class Value {
  name: string;
  type: ValueType | undefined;
  doc: string | undefined;
  meta: Map<string, string> | undefined;
  /** The encoded ValueInfo, owned by the codec. */
  origin: unknown;
  /** The node that makes it; undefined for graph inputs and initializers. */
  readonly producer: Node | undefined;
  readonly #uses = new Map<Node, number[]>();
  /** @internal graph that owns it when it has no producer */
  readonly ownGraph: Graph | undefined;
  /** @internal kept by Graph */ inputOf: Graph | undefined;
  /** @internal kept by Graph */ outputCount = 0;
  /** @internal kept by Graph */ tensor: Tensor | undefined;

  /** @internal */
  constructor(name: string, type: ValueType | undefined, producer: Node | undefined, graph?: Graph) {
    this.name = name;
    this.type = type;
    this.producer = producer;
    this.ownGraph = graph;
  }

  /** The graph in which the value is defined. */
  get graph(): Graph {
    return this.producer?.graph ?? this.ownGraph ?? bug(`value "${this.name}" belongs to no graph`);
  }
  get outputIndex(): number {
    return this.producer?.outputs.indexOf(this) ?? -1;
  }
  /** Every place where nodes read it, subgraphs included. Graph outputs are not uses: see `isGraphOutput`. */
  get uses(): Use[] {
    const uses: Use[] = [];
    for (const [node, indices] of this.#uses) for (const index of indices) uses.push({ node, index });
    return uses;
  }
  /** Nodes that read it, each once. */
  get consumers(): Node[] {
    return [...this.#uses.keys()];
  }
  /** The same without a copy: for values that may have very many readers. Do not edit while iterating. */
  get readers(): Iterable<Node> {
    return this.#uses.keys();
  }
  get useCount(): number {
    let count = 0;
    for (const indices of this.#uses.values()) count += indices.length;
    return count;
  }
  get isUsed(): boolean {
    return this.#uses.size > 0 || this.outputCount > 0;
  }
  get isGraphInput(): boolean {
    return this.inputOf !== undefined;
  }
  get isGraphOutput(): boolean {
    return this.outputCount > 0;
  }
  /** Initializer data, also when a caller may override it (initializers that are graph inputs too, IR ≥ 4). */
  get initializer(): Tensor | undefined {
    return this.tensor;
  }
  /** Data that is known for sure: an initializer no caller can override. (Constant nodes: see `constantOf`.) */
  get constant(): Tensor | undefined {
    if (this.tensor === undefined) return undefined;
    if (this.inputOf !== undefined && (this.inputOf.model?.irVersion ?? 4) >= 4) return undefined;
    return this.tensor;
  }
  get dtype(): DType | undefined {
    return this.type?.kind === 'tensor' ? this.type.dtype : this.tensor?.dtype;
  }
  get shape(): Shape | undefined {
    return this.type?.kind === 'tensor' && this.type.shape ? this.type.shape : this.tensor?.shape;
  }
  toString(): string {
    return `%${this.name}`;
  }

  /** @internal */ addUse(node: Node, index: number): void {
    const indices = this.#uses.get(node);
    if (indices) indices.push(index);
    else this.#uses.set(node, [index]);
  }
  /** @internal */ dropUse(node: Node, index: number): void {
    const indices = this.#uses.get(node);
    const at = indices?.indexOf(index) ?? -1;
    if (!indices || at < 0) bug(`use of "${this.name}" by ${node} #${index} was not recorded`);
    indices.splice(at, 1);
    if (indices.length === 0) this.#uses.delete(node);
  }
}

export interface NodeInit {
  readonly domain?: string;
  readonly overload?: string;
  readonly name?: string;
  readonly inputs: readonly (Value | undefined)[];
  /** How many outputs, or their names (undefined: a hole; '' : make a fresh name). Default 1. */
  readonly outputs?: number | readonly (string | undefined)[];
  readonly attrs?: Readonly<Record<string, AttrInput>>;
  /** Types of the outputs, where the caller knows them. */
  readonly types?: readonly (ValueType | undefined)[];
}

/** One operation. `domain` is '' for ai.onnx. Inputs and outputs may have holes (missing optionals). */
export class Node {
  op: string;
  domain: string;
  overload: string;
  name: string;
  doc: string | undefined;
  readonly attrs = new Map<string, Attr>();
  meta: Map<string, string> | undefined;
  /** The codec's own: unknown fields. */
  origin: unknown;
  #inputs: (Value | undefined)[] = [];
  #outputs: (Value | undefined)[] = [];
  /** @internal */ list: Graph | undefined;
  /** @internal */ prev: Node | undefined;
  /** @internal */ next: Node | undefined;

  /** @internal use Graph.append / insertBefore / insertAfter */
  constructor(op: string, init: NodeInit) {
    this.op = op;
    this.domain = init.domain === 'ai.onnx' ? '' : (init.domain ?? '');
    this.overload = init.overload ?? '';
    this.name = init.name ?? '';
    for (const [index, value] of init.inputs.entries()) {
      this.#inputs.push(value);
      value?.addUse(this, index);
    }
    for (const [name, attr] of Object.entries(init.attrs ?? {})) this.attrs.set(name, toAttr(attr));
  }

  /** The graph it stands in. @throws BugError when it was removed. */
  get graph(): Graph {
    return this.list ?? bug(`node "${this.name}" (${this.op}) stands in no graph`);
  }
  get removed(): boolean {
    return this.list === undefined;
  }
  get inputs(): readonly (Value | undefined)[] {
    return this.#inputs;
  }
  get outputs(): readonly (Value | undefined)[] {
    return this.#outputs;
  }
  input(index: number): Value | undefined {
    return this.#inputs[index];
  }
  /** Output by index. @throws BugError when it is a hole: ask `outputs[i]` where holes may be. */
  output(index = 0): Value {
    return this.#outputs[index] ?? bug(`${this} has no output ${index}`);
  }
  /** True for `op` of the default domain (or of `domain`). */
  is(op: string, domain = ''): boolean {
    return this.op === op && this.domain === domain;
  }

  setInput(index: number, value: Value | undefined): void {
    while (this.#inputs.length <= index) this.#inputs.push(undefined);
    this.#inputs[index]?.dropUse(this, index);
    this.#inputs[index] = value;
    value?.addUse(this, index);
    this.#trim(this.#inputs);
  }
  setInputs(values: readonly (Value | undefined)[]): void {
    for (const [index, value] of this.#inputs.entries()) value?.dropUse(this, index);
    this.#inputs = [...values];
    this.#trim(this.#inputs);
    for (const [index, value] of this.#inputs.entries()) value?.addUse(this, index);
  }
  /** Adds an output at the end (or fills the hole at `index`). */
  addOutput(name: string, type?: ValueType, index = this.#outputs.length): Value {
    if (this.#outputs[index] !== undefined) bug(`${this} has output ${index} already`);
    while (this.#outputs.length < index) this.#outputs.push(undefined);
    const value = new Value(name, type, this);
    this.#outputs[index] = value;
    return value;
  }
  /** Turns an unused output into a hole. */
  dropOutput(index: number): void {
    const value = this.#outputs[index];
    if (value?.isUsed) bug(`output "${value.name}" of ${this} is still used`);
    this.#outputs[index] = undefined;
    this.#trim(this.#outputs);
  }

  attr(name: string): Attr | undefined {
    return this.attrs.get(name);
  }
  /** Sets an attribute. A graph becomes this node's own; the graphs of an attribute that it replaces are let go. */
  setAttr(name: string, value: AttrInput): void {
    const attr = toAttr(value);
    const kept = new Set(graphsOf(attr));
    for (const graph of graphsOf(this.attrs.get(name))) if (!kept.has(graph)) this.#letGo(graph);
    this.attrs.set(name, attr);
    for (const graph of kept) this.#adopt(graph);
  }
  removeAttr(name: string): void {
    for (const graph of graphsOf(this.attrs.get(name))) this.#letGo(graph);
    this.attrs.delete(name);
  }
  /** int attribute as a number (saturating beyond 2^53), or the fallback. */
  int(name: string): number | undefined;
  int(name: string, fallback: number): number;
  int(name: string, fallback?: number): number | undefined {
    return intValue(this.attrs.get(name)) ?? fallback;
  }
  ints(name: string): number[] | undefined {
    const attr = this.attrs.get(name);
    return attr?.type === 'ints' ? attr.value.map(clampBigInt) : undefined;
  }
  float(name: string): number | undefined;
  float(name: string, fallback: number): number;
  float(name: string, fallback?: number): number | undefined {
    const attr = this.attrs.get(name);
    return attr?.type === 'float' ? attr.value : fallback;
  }
  string(name: string): string | undefined {
    const attr = this.attrs.get(name);
    return attr?.type === 'string' ? attr.value : undefined;
  }
  /** Graphs in attributes (If branches, Loop and Scan bodies). */
  get subgraphs(): Graph[] {
    const graphs: Graph[] = [];
    for (const attr of this.attrs.values()) graphs.push(...graphsOf(attr));
    return graphs;
  }
  /** For messages: `Conv "layer1/conv"`, or the first output's name where the node has none. */
  toString(): string {
    const op = this.domain ? `${this.domain}.${this.op}` : this.op;
    return `${op} "${this.name || (this.#outputs.find((value) => value !== undefined)?.name ?? '')}"`;
  }

  #adopt(graph: Graph): void {
    graph.ownerNode = this;
    this.list?.adoptNames(graph);
  }
  /** A graph that has moved on to another node keeps its nodes; else nothing must go on counting its uses. */
  #letGo(graph: Graph): void {
    if (graph.ownerNode === this) graph.releaseAll();
  }
  #trim(list: (Value | undefined)[]): void {
    while (list.length > 0 && list[list.length - 1] === undefined) list.pop();
  }
  /** @internal */ releaseInputs(): void {
    for (const [index, value] of this.#inputs.entries()) value?.dropUse(this, index);
    this.#inputs = [];
  }
}

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
    let graph: Graph = this;
    while (graph.parent) graph = graph.parent;
    return graph;
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
    this.#outputs.push(value);
    value.outputCount++;
  }
  setOutput(index: number, value: Value): void {
    const old = this.#outputs[index] ?? bug(`graph "${this.name}" has no output ${index}`);
    old.outputCount--;
    this.#outputs[index] = value;
    value.outputCount++;
  }
  removeOutput(index: number): void {
    const [old] = this.#outputs.splice(index, 1);
    if (!old) bug(`graph "${this.name}" has no output ${index}`);
    old.outputCount--;
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
    for (const [index, output] of graph.outputs.entries()) {
      if (output !== from) continue;
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

/** A function of the model itself (FunctionProto): inputs by position, attributes by name. */
export interface LocalFunction {
  readonly domain: string;
  readonly name: string;
  readonly overload: string;
  readonly body: Graph;
  /** Attribute names without a default. */
  readonly attributes: readonly string[];
  readonly defaults: ReadonlyMap<string, Attr>;
  readonly opsets: ReadonlyMap<string, number>;
  readonly doc?: string;
  readonly meta?: ReadonlyMap<string, string>;
  readonly origin?: unknown;
}

export class Model {
  irVersion: number;
  /** Opset version of each domain; '' is ai.onnx. */
  readonly opsets: Map<string, number>;
  readonly graph: Graph;
  readonly functions: LocalFunction[] = [];
  producerName = '';
  producerVersion = '';
  domain = '';
  modelVersion = 0n;
  doc: string | undefined;
  readonly meta = new Map<string, string>();
  /** The codec's own: unknown fields, training info, the bytes it was read from. */
  origin: unknown;

  constructor(graph: Graph, opsets: ReadonlyMap<string, number> | number, irVersion = 8) {
    this.graph = graph;
    this.irVersion = irVersion;
    this.opsets = typeof opsets === 'number' ? new Map([['', opsets]]) : new Map(opsets);
    graph.ownerModel = this;
  }
  /** Opset of the default domain; 1 when the model names none. */
  get opset(): number {
    return this.opsets.get('') ?? 1;
  }
  addFunction(fn: LocalFunction): void {
    fn.body.ownerModel = this;
    this.functions.push(fn);
  }
  /** Main graph, function bodies, and every subgraph in them, outer before inner. */
  *graphs(): Generator<Graph> {
    yield* graphsBelow(this.graph);
    for (const fn of this.functions) yield* graphsBelow(fn.body);
  }
}

/** `graph` and all graphs in the attributes of its nodes, outer before inner. */
export function* graphsBelow(graph: Graph): Generator<Graph> {
  const pending = [graph];
  for (let next = pending.pop(); next; next = pending.pop()) {
    yield next;
    for (const node of next.nodes) pending.push(...node.subgraphs);
  }
}

/** Values from outside that the node's subgraphs read. */
export function capturedValues(node: Node): Value[] {
  const captured = new Set<Value>();
  const inside = new Set<Graph>();
  for (const subgraph of node.subgraphs) for (const graph of graphsBelow(subgraph)) inside.add(graph);
  const note = (value: Value | undefined): void => {
    if (value && !inside.has(value.graph)) captured.add(value);
  };
  for (const graph of inside) {
    for (const inner of graph.nodes) for (const value of inner.inputs) note(value);
    for (const value of graph.outputs) note(value);
  }
  return [...captured];
}

function graphsOf(attr: Attr | undefined): readonly Graph[] {
  if (attr?.type === 'graph') return [attr.value];
  return attr?.type === 'graphs' ? attr.value : [];
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
