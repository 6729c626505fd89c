import { bug } from '../errors.ts';
import type { DType } from './dtype.ts';
import type { Graph } from './graph.ts';
import type { Node } from './node.ts';
import type { Tensor } from './tensor.ts';
import type { Shape, ValueType } from './types.ts';

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
