import type { Slot } from '../book.ts';

export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** A possibly negative axis of a slot; undefined where it has no such axis. */
export function axisOf(axis: number, slot: Slot | undefined): number | undefined {
  if (!slot) return undefined;
  const at = axis < 0 ? axis + slot.axes.length : axis;
  return at >= 0 && at < slot.axes.length ? at : undefined;
}
