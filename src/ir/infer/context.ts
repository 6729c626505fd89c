import type { Attr } from '../attr.ts';
import { intValue } from '../attr.ts';
import type { DType } from '../dtype.ts';
import type { Graph, Node, Value } from '../graph.ts';
import { clampBigInt } from '../tensor.ts';
import { type Shape, tensorType, type ValueType } from '../types.ts';
import { type Data, mapData, numbersOf, representable } from './data.ts';

/** How the types of a node's outputs follow from its inputs. Says nothing (sets nothing) where it is not sure. */
export type Rule = (ctx: NodeContext) => void;
/** Rules of one domain by op. */
export type RuleTable = Readonly<Record<string, Rule>>;

/** What the engine lends to the rules: knowledge about values, and inference of subgraphs. */
export interface Knowledge {
  typeOf(value: Value): ValueType | undefined;
  dataOf(value: Value): Data | undefined;
  /** Attribute of a node; references inside a function body give the caller's attribute. */
  attrOf(node: Node, name: string): Attr | undefined;
  /** Infers a subgraph whose inputs are of these types (undefined: as declared). */
  inferGraph(graph: Graph, inputs: readonly (ValueType | undefined)[], data?: readonly (Data | undefined)[]): void;
  /** Unknown dimensions that were named so far: names made later belong to later places. */
  readonly namesMade: number;
  /** The shape without dimensions that mention a name made since `mark`. */
  forgetNames(shape: Shape, mark: number): Shape;
}

/** One node as its rule sees it. */
export class NodeContext {
  readonly node: Node;
  /** Version of the node's own operator set. */
  readonly opset: number;
  readonly known: Knowledge;
  readonly types: (ValueType | undefined)[] = [];
  readonly outputData: (Data | undefined)[] = [];

  constructor(node: Node, opset: number, known: Knowledge) {
    this.node = node;
    this.opset = opset;
    this.known = known;
  }

  attr(name: string): Attr | undefined {
    return this.known.attrOf(this.node, name);
  }
  int(name: string): number | undefined;
  int(name: string, fallback: number): number;
  int(name: string, fallback?: number): number | undefined {
    return intValue(this.attr(name)) ?? fallback;
  }
  ints(name: string): number[] | undefined {
    const attr = this.attr(name);
    return attr?.type === 'ints' ? attr.value.map(clampBigInt) : undefined;
  }
  floats(name: string): readonly number[] | undefined {
    const attr = this.attr(name);
    return attr?.type === 'floats' ? attr.value : undefined;
  }
  text(name: string): string | undefined {
    const attr = this.attr(name);
    return attr?.type === 'string' ? attr.value : undefined;
  }

  has(index: number): boolean {
    return this.node.input(index) !== undefined;
  }
  get inputCount(): number {
    return this.node.inputs.length;
  }
  get outputCount(): number {
    return this.node.outputs.length;
  }
  type(index: number): ValueType | undefined {
    const value = this.node.input(index);
    return value && this.known.typeOf(value);
  }
  dtype(index: number): DType | undefined {
    const type = this.type(index);
    return type?.kind === 'tensor' ? type.dtype : undefined;
  }
  shape(index: number): Shape | undefined {
    const type = this.type(index);
    return type?.kind === 'tensor' ? type.shape : undefined;
  }
  rank(index: number): number | undefined {
    return this.shape(index)?.length;
  }
  data(index: number): Data | undefined {
    const value = this.node.input(index);
    return value && this.known.dataOf(value);
  }
  /** The elements of a small input when all are known numbers. */
  numbers(index: number): number[] | undefined {
    return numbersOf(this.data(index));
  }
  /** The only element of an input, when it is a known number. */
  number(index: number): number | undefined {
    const numbers = this.numbers(index);
    return numbers?.length === 1 ? numbers[0] : undefined;
  }
  /** A list given as an attribute in older opsets and as an input in newer ones; `undefined` input: not given. */
  listAt(name: string, index: number): { readonly given: boolean; readonly values: number[] | undefined } {
    if (this.has(index)) return { given: true, values: this.numbers(index) };
    const values = this.ints(name);
    return { given: values !== undefined, values };
  }

  /** Output `index` is a tensor of this type. Without an element type nothing is said. */
  set(index: number, dtype: DType | undefined, shape?: Shape): void {
    if (dtype !== undefined) this.types[index] = tensorType(dtype, shape);
  }
  setType(index: number, type: ValueType | undefined): void {
    this.types[index] = type;
  }
  /** Elements of output `index`, whose type has been set before; those that the type cannot hold are unknown. */
  setData(index: number, data: Data | undefined): void {
    const type = this.types[index];
    const dtype = type?.kind === 'tensor' ? type.dtype : undefined;
    this.outputData[index] = dtype ? mapData(data, (item) => representable(item, dtype)) : data;
  }
}
