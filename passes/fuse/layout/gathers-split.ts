import { constantOf, constantScalar } from '../../../src/ir/constant.ts';
import { equalDims, productDims } from '../../../src/ir/dim.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { int64Vector } from '../../../src/ir/tensor.ts';
import { usedOnce } from '../../../src/rewrite/conditions.ts';
import { Match, type Miss, miss } from '../../../src/rewrite/match.ts';
import type { Rule, Site } from '../../../src/rewrite/rule.ts';

interface Parts {
  /** What is split along `axis`, its last, into equal parts of `size`. */
  readonly whole: Value;
  readonly axis: number;
  readonly size: number;
  /** The Reshape that makes an axis of the parts. */
  readonly reshape: Node;
  /** One Gather for each part, in order. */
  readonly picks: readonly Node[];
}

/** Index and axis of a Gather that takes one entry and drops the axis. */
function pick(node: Node, rank: number): { readonly index: number; readonly axis: number } | undefined {
  const index = constantOf(node.input(1))?.shape.length === 0 ? constantScalar(node.input(1)) : undefined;
  const axis = node.int('axis', 0);
  return node.is('Gather') && index !== undefined ? { index, axis: axis < 0 ? axis + rank : axis } : undefined;
}

function findParts(node: Node, { types }: Pick<Site, 'types'>): Parts | string {
  const x = node.input(0);
  const reshape = x?.producer;
  const whole = reshape?.is('Reshape') ? reshape.input(0) : undefined;
  if (!x || !reshape || !whole || reshape.list !== node.list) return 'it takes nothing out of a Reshape';
  const [from, to] = [types.shapeOf(whole), types.shapeOf(x)];
  const own = to && pick(node, to.length);
  if (!from || !to || !own) return 'it does not take one entry of a known place';
  const axis = from.length - 1;
  const [count, size] = [to[axis], to[axis + 1]];
  if (own.axis !== axis || to.length !== axis + 2 || typeof count !== 'number' || typeof size !== 'number')
    return `${reshape} does not split the last axis of "${whole.name}" into parts of it`;
  // All but one of the axes in front suffice: the number of elements is the same.
  const moved = from.slice(0, axis).filter((dim, at) => !equalDims(dim, to[at])).length;
  if (from[axis] !== count * size || moved > 1 || (moved === 1 && productDims(from.slice(0, axis)) === 0))
    return `${reshape} does more than split the last axis of "${whole.name}"`;
  const picks: Node[] = [];
  for (const reader of x.consumers) {
    const found = reader.list === node.list ? pick(reader, to.length) : undefined;
    if (!found || found.axis !== axis) return `"${x.name}" is read by ${reader} too`;
    const at = found.index < 0 ? found.index + count : found.index;
    if (at >= count || picks[at]) return `part ${found.index} of "${x.name}" is taken more than once`;
    picks[at] = reader;
  }
  if (x.isGraphOutput) return `"${x.name}" is an output of the graph`;
  if (picks.length !== count || picks.includes(undefined as unknown as Node))
    return `not all ${count} parts of "${x.name}" are read`;
  return { whole, axis, size, reshape, picks };
}

/** Queries, keys and values of one product, as PyTorch's `nn.MultiheadAttention` takes them apart: a Split of its columns. */
export const gathersSplit: Rule = {
  id: 'gathers-split',
  summary: 'a Reshape that makes an axis of the parts of the last one, and a Gather of each part, are one Split',
  ops: ['Gather'],
  find(node: Node, site: Site): Match | Miss {
    const found = findParts(node, site);
    if (typeof found === 'string') return miss(node, found, false);
    if (site.opset < 2) return miss(node, `Split of opset ${site.opset} is another operator`);
    const once = found.picks.length === 1 ? usedOnce(found.reshape.output()) : true;
    if (once !== true) return miss(node, once);
    const rest = found.picks.filter((other) => other !== node);
    return new Match(node, [node, ...rest, found.reshape], new Map([['whole', found.whole]]), new Map());
  },
  apply(match, edit) {
    const parts = findParts(match.root, edit);
    if (typeof parts === 'string') return miss(match.root, parts, false);
    const { whole, axis, size, picks, reshape } = parts;
    const sizes = picks.map(() => size);
    const split = edit.insert('Split', {
      name: reshape.name,
      inputs: edit.opset >= 13 ? [whole, edit.constant('split', int64Vector(sizes))] : [whole],
      outputs: sizes.map(() => ''),
      attrs: { axis, ...(edit.opset < 13 && { split: sizes }) },
    });
    for (const [at, gather] of picks.entries()) edit.replaceValue(gather.output(), split.output(at));
    for (const gather of picks) edit.removeUnused(gather);
    return { detail: sizes.join(' + ') };
  },
};
