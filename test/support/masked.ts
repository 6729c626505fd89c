import type { Coupling } from '../../passes/prune/coupling/analyze.ts';
import { keptBy } from '../../passes/prune/coupling/apply.ts';
import type { Axis } from '../../passes/prune/coupling/book.ts';
import { openObserved } from '../../src/engine/observe.ts';
import type { Value } from '../../src/ir/graph.ts';
import { elementCount, type Tensor, tensorFrom, typedArray } from '../../src/ir/tensor.ts';
import { takeAlong } from '../../src/kernels/take.ts';
import { addConstant } from '../../src/rewrite/edit.ts';
import type { Feeds } from './ort.ts';

/** For each value that loses positions, what stays of each of its axes. */
export type KeptAxes = ReadonlyMap<string, readonly { readonly axis: number; readonly left: readonly number[] }[]>;

export function keptAxes(coupling: Coupling, removed: ReadonlySet<number>): KeptAxes {
  const kept = keptBy(coupling, removed);
  const axes = new Map<string, { axis: number; left: readonly number[] }[]>();
  for (const slot of coupling.book.slots) {
    if (!slot.value?.producer || slot.isConstant) continue;
    axes.set(
      slot.value.name,
      slot.axes.flatMap((axis) => {
        const left = kept(axis);
        return left ? [{ axis: axis.index, left }] : [];
      }),
    );
  }
  return axes;
}

/**
 * The model as it was, in place: what is to be removed is zero wherever it is handed on, and read with zero weights inside of
 * recurrent layers.
 */
export function mask(coupling: Coupling, removed: ReadonlySet<number>): void {
  const kept = keptBy(coupling, removed);
  for (const slot of [...coupling.book.allSlots()]) {
    if (!slot.axes.some((axis) => kept(axis)) || !slot.value) continue;
    if (slot.isConstant) {
      for (const axis of slot.axes)
        if (kept(axis) && axis.roles.some(({ role }) => role === 'in')) zero(slot.value, axis, kept(axis) ?? []);
      continue;
    }
    const { value } = slot;
    if (value.dtype !== 'float32' || !value.producer || value.isGraphOutput) continue;
    const uses = value.uses;
    const [anchor] = uses;
    if (!anchor) continue;
    for (const axis of slot.axes) {
      const left = kept(axis);
      if (!left) continue;
      const shape = slot.axes.map((own) => (own === axis ? (axis.extent ?? 1) : 1));
      const flags = Uint8Array.from({ length: axis.extent ?? 0 }, (_, p) => (left.includes(p) ? 1 : 0));
      const from = uses[0]?.node.input(uses[0].index) as Value;
      const next = value.producer?.next;
      if (!next) continue;
      const where = value.graph.insertBefore(next, 'Where', {
        inputs: [
          addConstant(next, 'mask', tensorFrom('bool', shape, flags)),
          from,
          addConstant(next, 'zero', tensorFrom('float32', [], Float32Array.of(0))),
        ],
        outputs: [''],
      });
      if (from !== value) value.graph.move(where, from.producer?.next);
      for (const { node, index } of uses) node.setInput(index, where.output());
    }
  }
}

function zero(value: Value, axis: Axis, left: readonly number[]): void {
  const tensor = value.initializer;
  if (!tensor) return;
  const data = typedArray(tensor, 'float32').slice();
  const inner = elementCount(tensor.shape.slice(axis.index + 1));
  const extent = tensor.shape[axis.index] ?? 1;
  for (let i = 0; i < data.length; i++) if (!left.includes(Math.floor(i / inner) % extent)) data[i] = 0;
  value.graph.setInitializer(value, tensorFrom('float32', tensor.shape, data));
}

/** Values of a model, as far as they are float32 tensors. */
export async function valuesOf(
  coupling: Coupling['model'],
  names: readonly string[],
  feeds: Feeds,
): Promise<Map<string, Tensor>> {
  const session = await openObserved(coupling, names);
  try {
    return await session.run(feeds);
  } finally {
    await session.dispose();
  }
}

/** What stays of a tensor. */
export function kept(tensor: Tensor, axes: KeptAxes extends ReadonlyMap<string, infer A> ? A : never): Tensor {
  let { shape } = tensor;
  let bytes = tensor.bytes();
  for (const { axis, left } of axes) {
    bytes = takeAlong(bytes, shape[axis] ?? 0, 4 * elementCount(shape.slice(axis + 1)), left);
    shape = shape.map((dim, at) => (at === axis ? left.length : dim));
  }
  const copy = bytes.slice();
  return tensorFrom('float32', shape, new Float32Array(copy.buffer, 0, copy.byteLength / 4));
}
