import { tensor as tensorAttr } from '../../../src/ir/attr.ts';
import { constantOf } from '../../../src/ir/constant.ts';
import type { Graph, Value } from '../../../src/ir/graph.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';
import type { Coupling } from './analyze.ts';
import type { Axis, Slot } from './book.ts';
import { cutTensor } from './cut.ts';
import { patched, release } from './rewire.ts';
import { changesOf } from './rules/reshape.ts';
import type { Kept } from './site.ts';

/**
 * Removes units, in place: weights are cut, attributes, shapes and indices follow. What stays computes what it computed with the
 * others at zero where they are read. The coupling is spent afterwards.
 */
export function removeUnits(coupling: Coupling, removed: ReadonlySet<number>): void {
  const { book, adjusts } = coupling;
  const kept = keptBy(coupling, removed);
  keepOldShapes(coupling, kept);
  for (const adjust of adjusts) adjust(kept);
  for (const slot of book.allSlots()) {
    if (!slot.axes.some((axis) => kept(axis))) continue;
    if (slot.isConstant) cutConstant(slot, kept);
    else if (slot.value) shrinkType(slot.value, slot, kept);
  }
}

/** Positions that stay, for axes that lose some. */
export function keptBy({ book, union }: Coupling, removed: ReadonlySet<number>): Kept {
  const known = new Map<Axis, readonly number[]>();
  for (const axis of book.axes) {
    const left: number[] = [];
    for (let p = 0; p < (axis.extent ?? 0); p++) if (!removed.has(union.at(axis, p))) left.push(p);
    if (axis.extent !== undefined && left.length < axis.extent) known.set(axis, left);
  }
  return (axis) => axis && known.get(axis);
}

function cutConstant(slot: Slot, kept: Kept): void {
  const { value, use } = slot;
  const tensor = constantOf(value);
  if (!value || !tensor) return;
  const cut = cutTensor(tensor, slot.axes, kept);
  if (use) {
    // An adjustment may have given the node another constant already; a bias or a gain it has not.
    if (use.node.input(use.index) !== value) return;
    use.node.setInput(use.index, addConstant(use.node, value.name, cut));
    release(value);
    return;
  }
  const { producer } = value;
  if (producer) {
    for (const name of [...producer.attrs.keys()]) producer.removeAttr(name);
    producer.setAttr('value', tensorAttr(cut));
    value.type = tensorType(cut.dtype, cut.shape);
  } else value.graph.setInitializer(value, cut);
}

function shrinkType(value: Value, slot: Slot, kept: Kept): void {
  const { type } = value;
  if (type?.kind !== 'tensor' || !type.shape) return;
  value.type = tensorType(
    type.dtype,
    type.shape.map((dim, at) => kept(slot.axes[at])?.length ?? dim),
  );
}

/** Shape arithmetic goes on with the extents that it had: where a shape is asked for, its rule puts in the new ones. */
function keepOldShapes({ model, slotsOf }: Coupling, kept: Kept): void {
  for (const node of [...model.graph.nodes]) {
    if (!node.is('Shape')) continue;
    const site = slotsOf(node);
    const slot = site.input(0);
    if (!slot) continue;
    const [start, end] = range(node.int('start', 0), node.int('end', slot.axes.length), slot.axes.length);
    const changes = new Map<number, number>();
    for (const [at] of changesOf(slot, kept))
      if (at >= start && at < end) changes.set(at - start, slot.axes[at]?.extent ?? 0);
    if (changes.size > 0) readInstead(node.graph, node.output(), end - start, changes);
  }
}

function range(start: number, end: number, rank: number): [number, number] {
  const bound = (at: number): number => Math.max(0, Math.min(rank, at < 0 ? at + rank : at));
  return [bound(start), bound(end)];
}

function readInstead(graph: Graph, shape: Value, length: number, changes: ReadonlyMap<number, number>): void {
  const uses = shape.uses;
  const anchor = shape.producer?.next;
  if (uses.length === 0 || !anchor) return;
  const old = patched(anchor, shape, length, changes);
  for (const { node, index } of uses) node.setInput(index, old);
  if (old.graph !== graph) throw new Error(`"${old.name}" stands in another graph than "${shape.name}"`);
}
