import { constantNumbers } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { int64Vector } from '../../../src/ir/tensor.ts';
import { Match, type Miss, miss } from '../../../src/rewrite/match.ts';
import type { Rule, Site } from '../../../src/rewrite/rule.ts';

interface Piece {
  readonly node: Node;
  readonly axis: number;
  readonly start: number;
  readonly end: number;
}

/** A Slice of one axis in steps of 1 by constants, of a value whose extent there is known. */
function piece(node: Node, { types }: Pick<Site, 'types'>): Piece | undefined {
  const shape = types.shapeOf(node.input(0));
  if (!node.is('Slice') || !shape) return undefined;
  const numbers = (index: number, attr: string) => node.ints(attr) ?? constantNumbers(node.input(index));
  const [starts, ends] = [numbers(1, 'starts'), numbers(2, 'ends')];
  const axes = numbers(3, 'axes') ?? (node.input(3) ? undefined : [0]);
  const steps = node.input(4) ? constantNumbers(node.input(4)) : [1];
  if (starts?.length !== 1 || ends?.length !== 1 || axes?.length !== 1 || steps?.[0] !== 1) return undefined;
  const axis = (axes[0] as number) < 0 ? (axes[0] as number) + shape.length : (axes[0] as number);
  const extent = shape[axis];
  if (typeof extent !== 'number') return undefined;
  const place = (at: number): number => Math.min(extent, Math.max(0, at < 0 ? at + extent : at));
  return { node, axis, start: place(starts[0] as number), end: place(ends[0] as number) };
}

/** The Slices of `x` along the axis of `of` that cover it without gap or overlap, in order. */
function tiles(x: Value, of: Piece, site: Pick<Site, 'types'>): Piece[] | undefined {
  const extent = site.types.shapeOf(x)?.[of.axis] as number;
  const byStart = new Map<number, Piece>();
  for (const reader of x.readers) {
    const found = reader.list === of.node.list ? piece(reader, site) : undefined;
    if (found?.axis !== of.axis || found.end <= found.start) continue;
    if (byStart.has(found.start)) return undefined;
    byStart.set(found.start, found);
  }
  const result: Piece[] = [];
  for (let at = 0; at < extent; at = result.at(-1)?.end as number) {
    const next = byStart.get(at);
    if (!next) return undefined;
    result.push(next);
  }
  return result;
}

/** Slices that take a value apart along one axis are one Split. */
export const slicesSplit: Rule = {
  id: 'slices-split',
  summary: 'Slices that take a value apart along one axis, without gap or overlap, are one Split',
  ops: ['Slice'],
  find(node: Node, site: Site): Match | Miss {
    const quiet = (why: string): Miss => miss(node, why, false);
    const x = node.input(0);
    if (!x || site.opset < 2) return quiet('it slices nothing');
    if (x.useCount < 2) return quiet(`nothing else reads "${x.name}"`);
    const own = piece(node, site);
    if (!own) return quiet('it does not take one axis apart at known places');
    const all = tiles(x, own, site);
    if (!all || all.length < 2)
      return quiet(`no other Slices of "${x.name}" make it whole again along axis ${own.axis}`);
    return new Match(
      node,
      [node, ...all.map((tile) => tile.node).filter((other) => other !== node)],
      new Map([['x', x]]),
      new Map(),
    );
  },
  apply(match, edit) {
    const x = match.value('x');
    const all = tiles(x, piece(match.root, edit) as Piece, edit) as Piece[];
    const sizes = all.map(({ start, end }) => end - start);
    const axis = (all[0] as Piece).axis;
    const split = edit.insert('Split', {
      inputs: edit.opset >= 13 ? [x, edit.constant('split', int64Vector(sizes))] : [x],
      outputs: sizes.map(() => ''),
      attrs: { axis, ...(edit.opset < 13 && { split: sizes }) },
    });
    for (const [index, tile] of all.entries()) edit.replaceValue(tile.node.output(), split.output(index));
    for (const tile of all) edit.removeUnused(tile.node);
    return { detail: sizes.join(' + ') };
  },
};
