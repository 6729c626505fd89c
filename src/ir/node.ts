import { bug } from '../errors.ts';
import type { Attr, AttrInput } from './attr.ts';
import { intValue, toAttr } from './attr.ts';
import type { Graph } from './graph.ts';
import { clampBigInt } from './tensor.ts';
import type { ValueType } from './types.ts';
import { Value } from './value.ts';

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
  get subgraphs(): readonly Graph[] {
    let graphs: readonly Graph[] = none;
    // Every walk over a graph comes by here, and hardly a node has any.
    for (const attr of this.attrs.values())
      if (attr.type === 'graph' || attr.type === 'graphs') graphs = [...graphs, ...graphsOf(attr)];
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

const none: readonly Graph[] = [];

function graphsOf(attr: Attr | undefined): readonly Graph[] {
  if (attr?.type === 'graph') return [attr.value];
  return attr?.type === 'graphs' ? attr.value : [];
}
