import { constantOf } from '../../../src/ir/constant.ts';
import type { Model, Node } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { countMacs, type MacCount } from '../../../src/ir/macs.ts';
import type { Coupling } from '../coupling/analyze.ts';
import type { Axis } from '../coupling/book.ts';
import { type Group, unitsAlong } from '../coupling/groups.ts';

/** Multiply-accumulates of a node that grow with the extents of these axes; how many positions of each a unit of a group takes. */
export interface Term {
  readonly node: Node;
  readonly macs: number;
  readonly axes: readonly { readonly extent: number; readonly perUnit: ReadonlyMap<number, number> }[];
}

/** Multiply-accumulates of a model as units go. */
export class MacModel {
  readonly total: number;
  readonly #terms: readonly Term[];
  readonly #termsOf = new Map<number, Term[]>();

  constructor(coupling: Coupling, groups: readonly Group[]) {
    const { model } = coupling;
    const { byNode, total } = countAll(model);
    this.total = total;
    const terms: Term[] = [];
    for (const [node, macs] of byNode) {
      if (node.graph !== model.graph) continue;
      for (const term of termsOf(coupling, groups, node, macs)) {
        if (term.axes.length === 0) continue;
        terms.push(term);
        for (const id of new Set(term.axes.flatMap(({ perUnit }) => [...perUnit.keys()])))
          this.#termsOf.set(id, [...(this.#termsOf.get(id) ?? []), term]);
      }
    }
    this.#terms = terms;
  }

  /** What goes when so many units of each group (by id) are gone. */
  saved(removed: ReadonlyMap<number, number>): number {
    return this.#terms.reduce((sum, term) => sum + savedBy(term, removed), 0);
  }
  /** The same for one more step of a group. */
  step(group: number, units: number, removed: ReadonlyMap<number, number>): number {
    const next = new Map(removed).set(group, (removed.get(group) ?? 0) + units);
    const terms = this.#termsOf.get(group) ?? [];
    return terms.reduce((sum, term) => sum + savedBy(term, next) - savedBy(term, removed), 0);
  }
}

const largestExtent = 2 ** 20;

/**
 * At the smallest extents, powers of 2, at which every layer has work: of a wave of one value nothing is left behind the first strides.
 * Where there are none (an empty past), at 1.
 */
function countAll(model: Model): MacCount {
  const inferred = inferShapes(model, { write: false });
  const isWhole = ({ byNode }: MacCount): boolean => [...byNode.values()].every((macs) => macs > 0);
  const smallest = countMacs(model, inferred);
  let count = smallest;
  for (let otherwise = 2; !isWhole(count) && otherwise <= largestExtent; otherwise *= 2)
    count = countMacs(model, inferred, { otherwise });
  return isWhole(count) ? count : smallest;
}

function savedBy({ macs, axes }: Term, removed: ReadonlyMap<number, number>): number {
  let left = 1;
  for (const { extent, perUnit } of axes) {
    let gone = 0;
    for (const [group, positions] of perUnit) gone += positions * (removed.get(group) ?? 0);
    left *= (extent - gone) / extent;
  }
  return macs * (1 - left);
}

/** How many positions of an axis a unit of each group (by id) takes. */
function positionsPerUnit(axis: Axis, groups: readonly Group[], { union }: Coupling): Map<number, number> {
  const counts = new Map<number, number>();
  for (const group of groups) {
    if (!group.axes.includes(axis)) continue;
    const positions = unitsAlong(axis, group, union).reduce((sum, unit) => sum + (unit >= 0 ? 1 : 0), 0);
    counts.set(group.id, positions / group.size);
  }
  return counts;
}

/** What a node multiplies, in terms of what can go. */
export function termsOf(coupling: Coupling, groups: readonly Group[], node: Node, macs: number): Term[] {
  const term = (share: number, axes: readonly Axis[]): Term => ({
    node,
    macs: macs * share,
    axes: axes
      .map((axis) => ({ extent: axis.extent ?? 1, perUnit: positionsPerUnit(axis, groups, coupling) }))
      .filter(({ perUnit }) => perUnit.size > 0),
  });
  const [w, r] = [coupling.slotsOf(node).input(1), coupling.slotsOf(node).input(2)];
  const [given, hidden] = [w?.axes[2]?.extent, r?.axes[2]?.extent];
  const recurs = node.is('LSTM') || node.is('GRU') || node.is('RNN');
  if (!recurs || !w || !r || given === undefined || hidden === undefined) return [term(1, axesOf(coupling, node))];
  // What comes in and the hidden state go into every gate, each by weights of its own.
  const share = given / (given + hidden);
  return [term(share, w.axes.slice(1)), term(1 - share, r.axes.slice(1))];
}

/** Axes whose extents are factors of a node's products. */
function axesOf({ slotsOf }: Coupling, node: Node): Axis[] {
  const site = slotsOf(node);
  const [a, b, y] = [site.input(0), site.input(1), site.output()];
  switch (node.op) {
    case 'Conv':
    case 'ConvTranspose':
      return b?.axes.slice(0, 2) ?? [];
    case 'MatMul':
    case 'Gemm':
      if (b && constantOf(b.value)) return [...b.axes];
      return [...(y?.axes ?? []), ...(a?.axes.slice(-1) ?? [])];
    case 'Attention':
    case 'MultiHeadAttention':
      // [batch, length, heads · size] or [batch, heads, length, size]
      return (y?.axes.length === 4 ? [y.axes[1], y.axes[3]] : [y?.axes.at(-1)]).filter((axis) => axis !== undefined);
    default:
      return y?.axes.filter(({ extent }) => extent !== undefined) ?? [];
  }
}
