import { constantNumbers, constantOf } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Site } from '../../../src/rewrite/rule.ts';

/** Elements start, start + step, … below end of the last axis of x. */
export interface LastSlice {
  readonly x: Value;
  readonly start: number;
  readonly end: number;
  readonly step: number;
  /** Extent of the last axis of x. */
  readonly width: number;
  readonly node: Node;
}

/** What part of the last axis of which value this is: Slice, or an output of Split. */
export function lastSlice(value: Value | undefined, { types }: Site): LastSlice | undefined {
  const node = value?.producer;
  const x = node?.input(0);
  const shape = types.shapeOf(x);
  const width = shape?.at(-1);
  if (!node || !x || !shape || typeof width !== 'number') return undefined;
  const isLast = (axis: number | undefined): boolean => axis === -1 || axis === shape.length - 1;
  if (node.is('Slice')) {
    const numbers = (index: number, attr: string): readonly number[] | undefined =>
      node.ints(attr) ?? constantNumbers(node.input(index));
    const [starts, ends, axes] = [numbers(1, 'starts'), numbers(2, 'ends'), numbers(3, 'axes')];
    const steps = node.input(4) ? constantNumbers(node.input(4)) : [1];
    const [start, end, step] = [starts?.[0], ends?.[0], steps?.[0]];
    if (starts?.length !== 1 || !isLast(axes?.[0]) || start === undefined || end === undefined || !step || step < 1)
      return undefined;
    const place = (at: number): number => Math.min(width, Math.max(0, at < 0 ? at + width : at));
    return { x, start: place(start), end: place(end), step, width, node };
  }
  if (!node.is('Split') || !isLast(node.int('axis', 0))) return undefined;
  const given = node.ints('split') ?? constantNumbers(node.input(1));
  if (!given && node.input(1)) return undefined;
  const count = node.outputs.length;
  const size = Math.ceil(width / count);
  const sizes = given ?? Array.from({ length: count }, (_, at) => Math.min(size, width - at * size));
  const at = node.outputs.indexOf(value);
  const start = sizes.slice(0, at).reduce((a, b) => a + b, 0);
  return { x, start, end: start + (sizes[at] ?? 0), step: 1, width, node };
}

/** How the cosines of a whole row repeat those of half of it: one half after the other, or each twice. */
export type Doubling = 'halves' | 'pairs';

/**
 * Whether the last axis of `value` is `doubling` of something half as wide. @returns false where that is not known.
 */
export function isDoubled(value: Value | undefined, doubling: Doubling, site: Site, depth = 0): boolean {
  if (!value || depth > 8) return false;
  const tensor = constantOf(value);
  if (tensor) {
    const width = tensor.shape.at(-1) ?? 0;
    const numbers = constantNumbers(value, 1 << 22);
    if (!numbers || width % 2 !== 0) return false;
    const other = (at: number): number => (doubling === 'halves' ? at + width / 2 : at + 1);
    return numbers.every((number, index) => {
      const at = index % width;
      const isFirst = doubling === 'halves' ? at < width / 2 : at % 2 === 0;
      return !isFirst || Object.is(number, numbers[index - at + other(at)]);
    });
  }
  const node = value.producer;
  const rank = site.types.shapeOf(value)?.length;
  if (!node || node.domain !== '' || rank === undefined) return false;
  const deeper = (index: number): boolean => isDoubled(node.input(index), doubling, site, depth + 1);
  switch (node.op) {
    case 'Cos':
    case 'Sin':
    case 'Cast':
    case 'Neg':
    case 'Identity':
      return deeper(0);
    case 'Mul':
    case 'Add':
    case 'Div': {
      const [a, b] = node.inputs.map((input) => constantNumbers(input, 1)?.length === 1);
      return b ? deeper(0) : a === true && node.op !== 'Div' && deeper(1);
    }
    case 'Concat': {
      const axis = node.int('axis', 0);
      return (
        doubling === 'halves' &&
        (axis === -1 || axis === rank - 1) &&
        node.inputs.length === 2 &&
        node.input(0) === node.input(1)
      );
    }
    case 'Gather':
      return node.int('axis', 0) === 0 && (site.types.shapeOf(node.input(0))?.length ?? 0) > 1 && deeper(0);
    case 'Unsqueeze': {
      const axes = node.ints('axes') ?? constantNumbers(node.input(1));
      return axes?.every((axis) => (axis < 0 ? axis + rank : axis) < rank - 1) === true && deeper(0);
    }
    case 'Slice': {
      const axes = node.ints('axes') ?? constantNumbers(node.input(3));
      return axes?.every((axis) => (axis < 0 ? axis + rank : axis) < rank - 1) === true && deeper(0);
    }
    case 'Reshape':
      return isPairing(node, site) ? doubling === 'pairs' : keepsLast(node, site) && deeper(0);
    default:
      return false;
  }
}

/** Joins [..., n, 2], of which both are the same, to [..., 2n]. */
function isPairing(reshape: Node, { types }: Site): boolean {
  const repeat = reshape.input(0)?.producer;
  const [from, to] = [types.shapeOf(reshape.input(0)), types.shapeOf(reshape.output())];
  const before = types.shapeOf(repeat?.input(0));
  if (!repeat || !from || from.at(-1) !== 2 || before?.at(-1) !== 1 || typeof from.at(-2) !== 'number') return false;
  return (
    (repeat.is('Tile') || repeat.is('Expand')) &&
    before.length === from.length &&
    before.at(-2) === from.at(-2) &&
    to?.at(-1) === 2 * (from.at(-2) as number)
  );
}

function keepsLast(reshape: Node, { types }: Site): boolean {
  const [from, to] = [types.shapeOf(reshape.input(0)), types.shapeOf(reshape.output())];
  return typeof from?.at(-1) === 'number' && from.at(-1) === to?.at(-1);
}
