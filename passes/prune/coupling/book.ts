import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Dim } from '../../../src/ir/types.ts';

/**
 * What a weight does along an axis: gives channels out, reads them, or holds one number for each (bias, gain). `head`: the axis along
 * which attention is many attentions side by side.
 */
export type Role = 'out' | 'in' | 'each' | 'head';

/** A place that has axes: a value, a small constant as one reader sees it, or a factor that a Reshape folds into an axis. */
export interface Slot {
  readonly label: string;
  readonly axes: readonly Axis[];
  /** Undefined for factors that exist only inside a Reshape. */
  readonly value: Value | undefined;
  /** Set where the slot is one reader's view of a constant that others read too. */
  readonly use: { readonly node: Node; readonly index: number } | undefined;
  readonly isConstant: boolean;
}

/** One axis of a slot. */
export interface Axis {
  readonly id: number;
  readonly slot: Slot;
  readonly index: number;
  /** The extent, where it is a number that can be followed. */
  readonly extent: number | undefined;
  readonly dim: Dim;
  /** Operators that weigh it, with what they do. */
  readonly roles: { readonly node: Node; readonly role: Role }[];
}

/** Why positions of an axis cannot go. `silent`: a matter of course that no user asks about (the pixels of a picture). */
export interface Block {
  readonly axis: Axis;
  readonly why: string;
  readonly silent: boolean;
  /** One position only. */
  readonly position: number | undefined;
}

/** The axes are the same, position by position. */
interface Same {
  readonly kind: 'same';
  readonly a: Axis;
  readonly b: Axis;
}

/** Position `at[i]` of a is position `bt[i]` of b. */
interface Mapped {
  readonly kind: 'map';
  readonly a: Axis;
  readonly b: Axis;
  readonly at: readonly number[];
  readonly bt: readonly number[];
}

/** `merged` is the product of `factors`, the first the slowest. Only one of them, the carrier, can lose positions. */
export interface Product {
  readonly kind: 'product';
  readonly merged: Axis;
  readonly factors: readonly Axis[];
  /** Undefined: to be chosen. */
  readonly carrier: number | undefined;
  readonly node: Node;
  /** True where the merged axis is what comes out. */
  readonly merges: boolean;
}

export type Relation = Same | Mapped | Product;

/** Of one axis. A longer one is no channels; in a damaged model it may have more than there is memory to follow. */
const mostPositions = 2 ** 22;

/** Axes of a model and how they hang together, as the rules of its operators tell it. */
export class Book {
  readonly axes: Axis[] = [];
  readonly relations: Relation[] = [];
  readonly blocks: Block[] = [];
  readonly #slots = new Map<Value, Slot>();
  readonly #uses = new Map<Node, Map<number, Slot>>();

  get slots(): Iterable<Slot> {
    return this.#slots.values();
  }
  *allSlots(): Generator<Slot> {
    yield* this.#slots.values();
    for (const own of this.#uses.values()) yield* own.values();
  }
  valueSlot(value: Value, shape: readonly Dim[], isConstant: boolean): Slot {
    const known = this.#slots.get(value);
    if (known) return known;
    const slot = this.#make(`"${value.name}"`, shape, value, undefined, isConstant);
    this.#slots.set(value, slot);
    return slot;
  }
  useSlot(node: Node, index: number, value: Value, shape: readonly Dim[]): Slot {
    const own = this.#uses.get(node) ?? new Map<number, Slot>();
    this.#uses.set(node, own);
    const known = own.get(index);
    if (known) return known;
    const slot = this.#make(`"${value.name}"`, shape, value, { node, index }, true);
    own.set(index, slot);
    return slot;
  }
  /** An axis of its own that no value has. */
  factor(extent: number, label: string): Axis {
    return this.#make(label, [extent], undefined, undefined, false).axes[0] as Axis;
  }

  #make(label: string, shape: readonly Dim[], value: Value | undefined, use: Slot['use'], isConstant: boolean): Slot {
    const axes: Axis[] = [];
    const slot: Slot = { label, axes, value, use, isConstant };
    for (const [index, dim] of shape.entries()) {
      const extent = typeof dim === 'number' && dim <= mostPositions ? dim : undefined;
      const axis: Axis = { id: this.axes.length, slot, index, extent, dim, roles: [] };
      axes.push(axis);
      this.axes.push(axis);
    }
    return slot;
  }
}
