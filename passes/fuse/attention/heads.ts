/** How queries, keys and values lie in memory, and the flat values [batch, length, heads·size] behind them. */
import { constantNumbers, constantOf } from '../../../src/ir/constant.ts';
import { equalDims } from '../../../src/ir/dim.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { int64Vector } from '../../../src/ir/tensor.ts';
import type { Dim, Shape } from '../../../src/ir/types.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import type { Site } from '../../../src/rewrite/rule.ts';

/** A value by heads: [batch, heads, length, size] (`bnsh`), or before its transposition (`bsnh`; `sbnh` where the length comes first). */
export interface Heads {
  readonly value: Value;
  readonly layout: 'bnsh' | 'bsnh' | 'sbnh';
}

/** Where the length stands. */
export const lengthAxis = ({ layout }: Heads): number => ({ bnsh: 2, bsnh: 1, sbnh: 0 })[layout];

/** `perm` of a Transpose, as text: 0213. */
export function permOf(node: Node | undefined): string | undefined {
  return node?.is('Transpose') ? node.ints('perm')?.join('') : undefined;
}

/** The keys of which `value` is the transpose [batch, heads, size, length], with their shape in the order bnsh. */
export function findKey(
  value: Value,
  nodes: Set<Node>,
  { types }: Site,
): (Heads & { readonly shape: Shape }) | { readonly why: string } {
  const node = value.producer;
  const source = node?.input(0);
  const shape = types.shapeOf(source);
  const perm = permOf(node);
  if (node && source && shape && perm === '0231') {
    nodes.add(node);
    return { value: source, layout: 'bsnh', shape: [shape[0], shape[2], shape[1], shape[3]] };
  }
  if (node && source && shape && perm === '1230') {
    nodes.add(node);
    return { value: source, layout: 'sbnh', shape: [shape[1], shape[2], shape[0], shape[3]] };
  }
  if (node && source && shape && perm === '0132') {
    nodes.add(node);
    return { value: source, layout: 'bnsh', shape };
  }
  const merged = findMergedKey(node, nodes, types.shapeOf(value), (inner) => types.shapeOf(inner));
  if (merged) return merged;
  if (node?.is('Transpose') && !shape) return { why: `the rank of the keys "${source?.name}" is not known` };
  return {
    why: `"${value.name}", by which the queries are multiplied, is not the transpose of keys [batch, heads, length, size]`,
  };
}

/** Batch and heads merged for the transposition and split again: how PyTorch's exporter writes it for a rank it does not look at. */
function findMergedKey(
  split: Node | undefined,
  nodes: Set<Node>,
  after: Shape | undefined,
  shapeOf: (value: Value | undefined) => Shape | undefined,
): (Heads & { readonly shape: Shape }) | undefined {
  const transpose = split?.is('Reshape') ? split.input(0)?.producer : undefined;
  const merge = permOf(transpose) === '021' ? transpose?.input(0)?.producer : undefined;
  const source = merge?.is('Reshape') ? merge.input(0) : undefined;
  const before = shapeOf(source);
  const middle = shapeOf(merge?.output());
  if (!split || !transpose || !merge || !source || before?.length !== 4 || middle?.length !== 3 || after?.length !== 4)
    return undefined;
  const kept = equalDims(before[2], middle[1]) && equalDims(before[3], middle[2]);
  const split4 = equalDims(after[2], middle[2]) && equalDims(after[3], middle[1]) && equalDims(after[1], before[1]);
  if (!kept || !split4) return undefined;
  for (const node of [split, transpose, merge]) nodes.add(node);
  return { value: source, layout: 'bnsh', shape: before };
}

/** The part of a value [batch, length, parts·heads·size] that holds the heads. */
export interface Flat {
  readonly value: Value;
  readonly heads: number;
  readonly size: number;
  /** Which of how many parts of the last axis; undefined: all of it. */
  readonly part: { readonly index: number; readonly of: number } | undefined;
  /** The value is still [batch, length, heads, size]: a Reshape is to join the last two. */
  readonly join: boolean;
  /** The value is [length, batch, …], as in PyTorch's `nn.MultiheadAttention`: a Transpose is to bring the batch to the front. */
  readonly swap: boolean;
}

/** [batch, length, heads·size] behind a value by heads, or why there is none. */
export function findFlat({ value, layout }: Heads, site: Site): Flat | string {
  let current = value;
  let swap = layout === 'sbnh';
  if (layout === 'bnsh') {
    const transpose = value.producer;
    const perm = permOf(transpose);
    if (perm !== '0213' && perm !== '1203') return findPart(value, site) ?? notFlat(value);
    swap = perm === '1203';
    current = transpose?.input(0) as Value;
  }
  const to = site.types.shapeOf(current);
  const [heads, size] = [to?.[2], to?.[3]];
  if (to?.length !== 4) return notFlat(value);
  if (typeof heads !== 'number' || typeof size !== 'number') {
    return `the number of heads of "${value.name}" and their size are not fixed`;
  }
  const reshape = current.producer;
  const flat = reshape?.is('Reshape') ? reshape.input(0) : undefined;
  const from = site.types.shapeOf(flat);
  // The products of the other two are equal; so one of them is enough.
  const kept =
    from?.length === 3 && from[2] === heads * size && (equalDims(from[0], to[0]) || equalDims(from[1], to[1]));
  return { value: flat && kept ? flat : current, heads, size, part: undefined, join: !kept, swap };
}

const notFlat = (value: Value): string =>
  `"${value.name}" is not made from [batch, length, heads·size] by Reshape and Transpose`;

/** Reshape to [batch, length, 3, heads, size], Transpose to [3, batch, heads, length, size], Gather of one of the three. */
function findPart(value: Value, { types }: Site): Flat | undefined {
  const picked = pickOf(value);
  const transpose = picked?.from.producer;
  if (!picked || permOf(transpose) !== '20314') return undefined;
  const reshape = transpose?.input(0)?.producer;
  const flat = reshape?.is('Reshape') ? reshape.input(0) : undefined;
  const [from, to] = [types.shapeOf(flat), types.shapeOf(reshape?.output())];
  if (!flat || !transpose || !reshape || from?.length !== 3 || to?.length !== 5) return undefined;
  const [parts, heads, size]: Dim[] = to.slice(2);
  if (typeof parts !== 'number' || typeof heads !== 'number' || typeof size !== 'number') return undefined;
  if (from[2] !== parts * heads * size || picked.index >= parts || (picked.of ?? parts) !== parts) return undefined;
  if (types.shapeOf(value)?.length !== 4) return undefined;
  if (!equalDims(from[0], to[0]) && !equalDims(from[1], to[1])) return undefined;
  return {
    value: flat,
    heads,
    size,
    part: { index: picked.index, of: parts },
    join: false,
    swap: false,
  };
}

/** Entry `index` of the first axis: Gather of a number, or Squeeze of a Split or Slice. */
function pickOf(value: Value): { readonly from: Value; readonly index: number; readonly of?: number } | undefined {
  const node = value.producer;
  const from = node?.input(0);
  if (!node || !from) return undefined;
  if (node.is('Gather')) {
    const index = scalarIndex(node.input(1));
    return node.int('axis', 0) === 0 && index !== undefined ? { from, index } : undefined;
  }
  const split = node.is('Squeeze') || node.is('Reshape') ? from.producer : undefined;
  if (split?.is('Split') && split.int('axis', 0) === 0 && split.outputs.length > 1) {
    const source = split.input(0);
    return source && { from: source, index: from.outputIndex, of: split.outputs.length };
  }
  return undefined;
}

function scalarIndex(value: Value | undefined): number | undefined {
  const tensor = value && constantNumbers(value, 1);
  return constantOf(value)?.shape.length === 0 && tensor?.[0] !== undefined && tensor[0] >= 0 ? tensor[0] : undefined;
}

/** The flat value itself; the heads are joined by a Reshape where they are not yet, and the batch comes first. Parts: see `Parts`. */
export function joined({ value, join, swap, heads, size }: Flat, edit: Edit): Value {
  let flat = value;
  if (join) {
    const shape = edit.constant('joined', int64Vector([0, 0, heads * size]));
    flat = edit.insert('Reshape', { inputs: [value, shape] }).output();
  }
  return swap ? swapped(flat, edit) : flat;
}

/** [length, batch, …] from [batch, length, …], and back. */
export const swapped = (value: Value, edit: Edit): Value =>
  edit.insert('Transpose', { inputs: [value], attrs: { perm: [1, 0, 2] } }).output();
