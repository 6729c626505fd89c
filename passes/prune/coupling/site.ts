import { constantOf } from '../../../src/ir/constant.ts';
import { equalDims } from '../../../src/ir/dim.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Inferred } from '../../../src/ir/infer/infer.ts';
import { elementCount, type Tensor, toNumbers } from '../../../src/ir/tensor.ts';
import type { Dim, Shape } from '../../../src/ir/types.ts';
import type { Axis, Book, Role, Slot } from './book.ts';

/** Positions of an axis that stay, in order; undefined where all do. */
export type Kept = (axis: Axis | undefined) => readonly number[] | undefined;
/** What a node has to change when axes lose positions: attributes, shapes, indices. */
export type Adjust = (kept: Kept) => void;

/** Longer lists are no lists of places. */
const mostItems = 65536;

/** One node as its rule sees it. Rules say how axes hang together; axes that nobody says anything about are blocked by the caller's choice. */
export class Site {
  readonly node: Node;
  readonly opset: number;
  readonly book: Book;
  readonly adjusts: Adjust[] = [];
  /** The other of two ways of coupling, where the first left nothing that could go. */
  readonly flipped: boolean;
  readonly #inferred: Inferred;
  readonly #told = new Set<Axis>();

  constructor(node: Node, opset: number, book: Book, inferred: Inferred, flipped: boolean) {
    this.node = node;
    this.flipped = flipped;
    this.opset = opset;
    this.book = book;
    this.#inferred = inferred;
  }

  /** The slot of an input; undefined where there is none, or its rank is not known. */
  input(index: number): Slot | undefined {
    const value = this.node.input(index);
    if (!value) return undefined;
    const constant = constantOf(value);
    if (constant && value.useCount > 1 && constant.shape.filter((dim) => dim !== 1).length <= 1)
      return this.book.useSlot(this.node, index, value, constant.shape);
    const shape = this.shapeOf(value);
    return shape && this.book.valueSlot(value, shape, constant !== undefined);
  }
  output(index = 0): Slot | undefined {
    const value = this.node.outputs[index];
    const shape = value && this.shapeOf(value);
    return value && shape && this.book.valueSlot(value, shape, constantOf(value) !== undefined);
  }
  get inputs(): Slot[] {
    return this.node.inputs.flatMap((_, index) => this.input(index) ?? []);
  }
  get outputs(): Slot[] {
    return this.node.outputs.flatMap((_, index) => this.output(index) ?? []);
  }
  /** All inputs and outputs that are there have a known rank. */
  get isKnown(): boolean {
    const named = (values: readonly (Value | undefined)[]): number => values.filter(Boolean).length;
    return this.inputs.length === named(this.node.inputs) && this.outputs.length === named(this.node.outputs);
  }
  shapeOf(value: Value): Shape | undefined {
    const type = this.#inferred.types.get(value);
    if (type?.kind === 'tensor' && type.shape) return type.shape;
    return constantOf(value)?.shape ?? value.shape;
  }

  /** Elements of a small integer input, as far as they are known. */
  items(index: number): readonly Dim[] | undefined {
    const value = this.node.input(index);
    if (!value) return undefined;
    const data = this.#inferred.data.get(value);
    if (data) return data.items;
    const constant = constantOf(value);
    return constant && elementCount(constant.shape) <= mostItems ? integersOf(constant) : undefined;
  }
  /** The same where all are numbers. */
  numbers(index: number): number[] | undefined {
    const items = this.items(index);
    return items?.every((item): item is number => typeof item === 'number') ? [...items] : undefined;
  }
  /** The numbers that the node reads now, which an adjustment may have replaced. */
  currentNumbers(index: number): number[] | undefined {
    const constant = constantOf(this.node.input(index));
    return constant ? integersOf(constant) : this.numbers(index);
  }
  /** A list that is an attribute in old opsets and an input in new ones; `undefined` when it is not known, `absent` when not given. */
  list(attr: string, index: number): number[] | 'absent' | undefined {
    const given = this.node.ints(attr);
    if (given) return given;
    return this.node.input(index) ? this.numbers(index) : 'absent';
  }

  same(a: Axis | undefined, b: Axis | undefined): void {
    if (!a || !b || a === b) return;
    this.free(a, b);
    if (a.extent !== undefined && a.extent === b.extent) this.book.relations.push({ kind: 'same', a, b });
    else if (!equalDims(a.dim, b.dim)) {
      this.block(a, `${this.node} ties it to an axis whose extent is not known`);
      this.block(b, `${this.node} ties it to an axis whose extent is not known`);
    }
  }
  /** All axes of both, in order. */
  sameShape(a: Slot | undefined, b: Slot | undefined): void {
    for (const [index, axis] of (a?.axes ?? []).entries()) this.same(axis, b?.axes[index]);
  }
  map(a: Axis, b: Axis, at: readonly number[], bt: readonly number[]): void {
    this.free(a, b);
    this.book.relations.push({ kind: 'map', a, b, at, bt });
  }
  product(merged: Axis | undefined, factors: readonly Axis[], merges: boolean, carrier?: number): void {
    if (!merged) return;
    this.free(merged, ...factors);
    this.book.relations.push({ kind: 'product', merged, factors, carrier, node: this.node, merges });
  }
  factor(extent: number): Axis {
    return this.book.factor(extent, String(this.node));
  }
  block(axis: Axis | undefined, why: string): void {
    if (!axis) return;
    this.free(axis);
    this.book.blocks.push({ axis, why, silent: false, position: undefined });
  }
  /** Axes along which the node ties nothing: what goes there goes without it. */
  free(...axes: readonly (Axis | undefined)[]): void {
    for (const axis of axes) if (axis) this.#told.add(axis);
  }
  /** Blocks what the rule has said nothing about: silence is no permission. */
  blockUntold(): void {
    for (const slot of [...this.inputs, ...this.outputs])
      for (const axis of slot.axes)
        if (!this.#told.has(axis))
          this.block(axis, `the rule of ${this.node} says nothing about axis ${axis.index} of ${slot.label}`);
  }
  /** Axes that hold no channels. */
  fix(...axes: readonly (Axis | undefined)[]): void {
    this.free(...axes);
    const why = `it is no channel axis of ${this.node}`;
    for (const axis of axes) if (axis) this.book.blocks.push({ axis, why, silent: true, position: undefined });
  }
  pin(axis: Axis | undefined, position: number, why: string): void {
    if (!axis) return;
    this.free(axis);
    this.book.blocks.push({ axis, why, silent: false, position });
  }
  blockSlot(slot: Slot | undefined, why: string): void {
    for (const axis of slot?.axes ?? []) this.block(axis, why);
  }
  blockAll(why: string): void {
    for (const slot of [...this.inputs, ...this.outputs]) this.blockSlot(slot, why);
  }
  role(axis: Axis | undefined, role: Role): void {
    axis?.roles.push({ node: this.node, role });
  }
  adjust(adjust: Adjust): void {
    this.adjusts.push(adjust);
  }
}

function integersOf(tensor: Tensor): number[] | undefined {
  return tensor.dtype === 'int64' || tensor.dtype === 'int32' ? toNumbers(tensor) : undefined;
}
