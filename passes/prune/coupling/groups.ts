import type { Node } from '../../../src/ir/graph.ts';
import type { Axis, Book, Role } from './book.ts';
import type { Union } from './union.ts';

/**
 * Channels that appear in the same places all over the model. Any of them can go; each is a unit, of one position on an axis or
 * several (the elements of a head, the pixels behind a Flatten).
 */
export interface Group {
  readonly id: number;
  /** Roots of the units, in order. */
  readonly units: readonly number[];
  readonly size: number;
  readonly axes: readonly Axis[];
}

/** Groups of two units or more that weights make. */
export function groupsOf(book: Book, union: Union): Group[] {
  const axesOf = new Map<number, Axis[]>();
  for (const axis of book.axes) {
    const seen = new Set<number>();
    for (let p = 0; p < (axis.extent ?? 0); p++) {
      const root = union.at(axis, p);
      if (seen.has(root) || union.blockOf(root)) continue;
      seen.add(root);
      const axes = axesOf.get(root);
      if (axes) axes.push(axis);
      else axesOf.set(root, [axis]);
    }
  }
  const bySignature = new Map<string, { units: number[]; axes: Axis[] }>();
  for (const [root, axes] of [...axesOf].sort(([a], [b]) => a - b)) {
    const key = axes.map(({ id }) => id).join();
    const known = bySignature.get(key);
    if (known) known.units.push(root);
    else bySignature.set(key, { units: [root], axes });
  }
  const groups: Group[] = [];
  for (const { units, axes } of bySignature.values()) {
    if (units.length < 2 || !axes.some(({ roles }) => roles.some(({ role }) => role === 'out'))) continue;
    groups.push({ id: groups.length, units, size: units.length, axes });
  }
  return groups;
}

/** Layers that give out (or read) a group's channels. */
export function layersOf(group: Group, role: Role): Node[] {
  const nodes = new Set<Node>();
  for (const axis of group.axes) for (const own of axis.roles) if (own.role === role) nodes.add(own.node);
  return [...nodes];
}

/** For each position of an axis the index of its unit in the group; −1 where another group, or nothing that can go, stands. */
export function unitsAlong(axis: Axis, group: Group, union: Union): Int32Array {
  const index = new Map(group.units.map((root, at) => [root, at]));
  return Int32Array.from({ length: axis.extent ?? 0 }, (_, p) => index.get(union.at(axis, p)) ?? -1);
}
