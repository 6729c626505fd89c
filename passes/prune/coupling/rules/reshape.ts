import { equalDims, mulDims } from '../../../../src/ir/dim.ts';
import type { Dim } from '../../../../src/ir/types.ts';
import type { Axis, Slot } from '../book.ts';
import { overrideItems } from '../rewire.ts';
import type { Kept, Site } from '../site.ts';

/** The target is a constant, an attribute (opset 1), or computed; the positions of axes that shrink are replaced in it. */
export function reshape(site: Site): void {
  const y = site.output();
  fold(site, site.input(0), y);
  if (!y) return;
  site.blockSlot(site.input(1), `it is the shape that ${site.node} asks for`);
  retarget(site, y, 1, 'shape');
}

/** Squeeze, Unsqueeze and Flatten: what they do follows from the axes, which stay. */
export function refold(site: Site): void {
  fold(site, site.input(0), site.output());
}

/**
 * Lets a shape-giving input (or attribute) follow the axes of the output. 0 and −1 of a Reshape follow by themselves.
 * @param axes of the output that the items stand for, in order; without them as many as there are items, the last ones
 */
export function retarget(site: Site, y: Slot, index: number, attr: string, axes?: readonly number[]): void {
  const { node } = site;
  const items = node.input(index) ? site.items(index) : node.ints(attr);
  if (site.opset < 9 && node.input(index) && !site.numbers(index))
    site.blockSlot(y, `${node} is given its shape at run time, which opset ${site.opset} cannot mend`);
  const given = node.input(index);
  const length = (given ? site.shapeOf(given)?.[0] : items?.length) ?? y.axes.length;
  const count = typeof length === 'number' ? length : y.axes.length;
  const places = axes ?? Array.from({ length: count }, (_, at) => y.axes.length - count + at);
  site.adjust((kept) => {
    const extents = changesOf(y, kept);
    const changes = new Map(
      places.flatMap((axis, at) => (extents.has(axis) ? [[at, extents.get(axis) as number] as const] : [])),
    );
    for (const [at] of changes) if (node.is('Reshape') && (items?.[at] === -1 || items?.[at] === 0)) changes.delete(at);
    if (changes.size === 0) return;
    if (node.input(index)) overrideItems(node, index, count, changes);
    else
      node.setAttr(
        attr,
        (node.ints(attr) ?? []).map((old, at) => changes.get(at) ?? old),
      );
  });
}

export function changesOf(slot: Slot, kept: Kept): Map<number, number> {
  const changes = new Map<number, number>();
  for (const axis of slot.axes) {
    const left = kept(axis);
    if (left) changes.set(axis.index, left.length);
  }
  return changes;
}

/** Ties the axes of `x` to those of `y`, the same elements in the same order. */
export function fold(site: Site, x: Slot | undefined, y: Slot | undefined): void {
  if (!x || !y) return;
  const [a, b] = [x.axes.filter((axis) => axis.dim !== 1), y.axes.filter((axis) => axis.dim !== 1)];
  // Equal axes at either end are the same: what lies between them has equal size then.
  while (a.length > 0 && b.length > 0 && equalDims(a[0]?.dim, b[0]?.dim)) site.same(a.shift(), b.shift());
  while (a.length > 0 && b.length > 0 && equalDims(a.at(-1)?.dim, b.at(-1)?.dim)) site.same(a.pop(), b.pop());
  while (a.length > 0 && b.length > 0) foldStretch(site, takeStretch(a, b));
  for (const axis of [...a, ...b]) site.block(axis, hidden(site));
}

const hidden = (site: Site): string =>
  `${site.node} folds it together with axes whose extents are not known (simplify may find them)`;

/** The fewest axes from the left that hold the same number of elements on both sides. */
function takeStretch(a: Axis[], b: Axis[]): [Axis[], Axis[]] {
  const [left, right]: [Axis[], Axis[]] = [[a.shift() as Axis], [b.shift() as Axis]];
  let [p, q]: [Dim, Dim] = [left[0]?.dim, right[0]?.dim];
  while (!equalDims(p, q)) {
    const numbers = typeof p === 'number' && typeof q === 'number';
    const takeLeft = a.length > 0 && (!numbers || (p as number) < (q as number) || b.length === 0);
    const next = takeLeft ? a.shift() : b.shift();
    if (!next) break;
    if (takeLeft) {
      left.push(next);
      p = mulDims(p, next.dim);
    } else {
      right.push(next);
      q = mulDims(q, next.dim);
    }
    // Without numbers nothing tells where a stretch ends: all that is left is one.
    if (!numbers && a.length > 0 && b.length > 0 && (p === undefined || q === undefined)) {
      left.push(...a.splice(0));
      right.push(...b.splice(0));
      break;
    }
  }
  return [left, right];
}

function foldStretch(site: Site, [left, right]: [Axis[], Axis[]]): void {
  if (left.length === 1 && right.length === 1) {
    if (equalDims(left[0]?.dim, right[0]?.dim)) site.same(left[0], right[0]);
    else for (const axis of [...left, ...right]) site.block(axis, hidden(site));
    return;
  }
  refine(site, left, right);
}

/** Splits both sides into the same factors, from the left as long as the extents are numbers that divide each other. */
function refine(site: Site, left: Axis[], right: Axis[]): void {
  const parts = new Map<Axis, Axis[]>();
  const push = (axis: Axis, factor: Axis): void => {
    parts.set(axis, [...(parts.get(axis) ?? []), factor]);
  };
  const open = new Set<Axis>();
  let [i, j] = [0, 0];
  let [p, q] = [left[0]?.extent, right[0]?.extent];
  while (i < left.length && j < right.length) {
    const [x, y] = [left[i] as Axis, right[j] as Axis];
    if (p === undefined || q === undefined || (p % q !== 0 && q % p !== 0)) break;
    const common = Math.min(p, q);
    if (common > 1) {
      const factor = site.factor(common);
      push(x, factor);
      push(y, factor);
    }
    [p, q] = [p / common, q / common];
    if (p === 1) p = left[++i]?.extent;
    if (q === 1) q = right[++j]?.extent;
  }
  // What is left over lies in no order that a factor could tell.
  for (const [side, at, rest] of [[left, i, p] as const, [right, j, q] as const]) {
    for (const axis of side.slice(at)) {
      open.add(axis);
      if (axis === side[at] && parts.has(axis) && rest !== undefined && rest > 1) {
        const leftover = site.factor(rest);
        site.block(leftover, hidden(site));
        push(axis, leftover);
        open.delete(axis);
      }
    }
  }
  for (const axis of open) site.block(axis, hidden(site));
  for (const [axis, factors] of parts) {
    if (open.has(axis)) continue;
    if (factors.length === 1) site.same(axis, factors[0]);
    else site.product(axis, factors, right.includes(axis));
  }
}
