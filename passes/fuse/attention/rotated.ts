/** Finds rotary position embedding: pairs (a, b) of a row become (a·cos − b·sin, b·cos + a·sin). */

import { constantNumbers } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { onlyReader } from '../../../src/rewrite/cluster.ts';
import type { Site } from '../../../src/rewrite/rule.ts';
import { type Doubling, isDoubled, type LastSlice, lastSlice } from './slices.ts';

export interface Rotated {
  readonly x: Value;
  /** Width of what is rotated: the last axis of x, or its beginning. */
  readonly width: number;
  readonly interleaved: boolean;
  readonly cos: Value;
  readonly sin: Value;
  /** Cosines are as wide as what is rotated, and repeat themselves; else half as wide. */
  readonly doubled: boolean;
  readonly nodes: Set<Node>;
  readonly last: Node;
}

/** @param root an Add (x·cos + rotate(x)·sin), or a Concat or Reshape that joins the two results. */
export function findRotated(root: Node, site: Site): Rotated | { readonly why: string } | undefined {
  const found = root.is('Add') ? fromSum(root, site) : fromParts(root, site);
  if (!found || 'why' in found) return found;
  return wholeRow(found, site);
}

/** Rotates only the beginning of a row: the Concat with the rest belongs to it. */
function wholeRow(found: Rotated, site: Site): Rotated {
  const part = lastSlice(found.x, site);
  const concat = onlyReader(found.last.output());
  if (
    part?.start !== 0 ||
    part.step !== 1 ||
    part.end !== found.width ||
    !concat?.is('Concat') ||
    concat.inputs.length !== 2
  )
    return found;
  const rank = site.types.shapeOf(found.x)?.length ?? 0;
  const axis = concat.int('axis', 0);
  const rest = lastSlice(concat.input(1), site);
  if ((axis !== -1 && axis !== rank - 1) || concat.input(0) !== found.last.output()) return found;
  if (rest?.x !== part.x || rest.start !== part.end || rest.end !== part.width || rest.step !== 1) return found;
  return { ...found, x: part.x, nodes: new Set([...found.nodes, concat, part.node, rest.node]), last: concat };
}

function fromSum(add: Node, site: Site): Rotated | { readonly why: string } | undefined {
  for (const [straight, turned] of [
    [add.input(0), add.input(1)],
    [add.input(1), add.input(0)],
  ] as const) {
    const [left, right] = [factors(straight), factors(turned)];
    if (!left || !right) continue;
    for (const [rotation, sin] of right.pairs) {
      const turn = findTurn(rotation, site);
      if (!turn) continue;
      for (const [x, cos] of left.pairs) {
        if (x !== turn.x) continue;
        const doubling: Doubling = turn.interleaved ? 'pairs' : 'halves';
        for (const value of [cos, sin]) {
          if (!isDoubled(value, doubling, site))
            return { why: `"${value.name}" is not known to hold each of its numbers twice (${doubling})` };
        }
        const nodes = new Set([add, left.node, right.node, ...turn.nodes]);
        return { x, width: turn.width, interleaved: turn.interleaved, cos, sin, doubled: true, nodes, last: add };
      }
    }
  }
  return undefined;
}

interface Turn {
  readonly x: Value;
  readonly width: number;
  readonly interleaved: boolean;
  readonly nodes: readonly Node[];
}

/** (−b, a) of the pairs (a, b) of x, as one row. */
function findTurn(value: Value, site: Site): Turn | undefined {
  const joined = joinedParts(value.producer, site);
  if (!joined) return undefined;
  const negative = joined.first.producer;
  const a = lastSlice(joined.second, site);
  const b = negative?.is('Neg') ? lastSlice(negative.input(0), site) : undefined;
  if (!negative || !a || !b || a.x !== b.x || !arePair(a, b, joined.interleaved)) return undefined;
  return {
    x: a.x,
    width: a.width,
    interleaved: joined.interleaved,
    nodes: [...joined.nodes, negative, a.node, b.node],
  };
}

function arePair(a: LastSlice, b: LastSlice, interleaved: boolean): boolean {
  const { width } = a;
  if (width % 2 !== 0) return false;
  if (interleaved)
    return a.start === 0 && b.start === 1 && a.step === 2 && b.step === 2 && a.end >= width - 1 && b.end === width;
  return (
    a.start === 0 && a.end === width / 2 && b.start === width / 2 && b.end === width && a.step === 1 && b.step === 1
  );
}

interface Joined {
  readonly first: Value;
  readonly second: Value;
  readonly interleaved: boolean;
  readonly nodes: readonly Node[];
}

/** Two values along the last axis, one after the other (Concat) or element by element (Concat of a new axis, Reshape). */
function joinedParts(node: Node | undefined, { types }: Site): Joined | undefined {
  if (node?.is('Concat') && node.inputs.length === 2) {
    const [first, second] = node.inputs;
    const rank = types.shapeOf(node.output())?.length;
    const axis = node.int('axis', 0);
    return first && second && (axis === -1 || axis + 1 === rank)
      ? { first, second, interleaved: false, nodes: [node] }
      : undefined;
  }
  const concat = node?.is('Reshape') ? node.input(0)?.producer : undefined;
  const rank = types.shapeOf(concat?.output())?.length;
  if (!node || !concat?.is('Concat') || concat.inputs.length !== 2 || rank === undefined) return undefined;
  const axis = concat.int('axis', 0);
  if (axis !== -1 && axis !== rank - 1) return undefined;
  const [first, second] = concat.inputs.map((input) => unsqueezedLast(input, rank));
  const after = types.shapeOf(node.output());
  const width = types.shapeOf(first?.value)?.at(-1);
  if (!first || !second || typeof width !== 'number' || after?.length !== rank - 1 || after.at(-1) !== 2 * width)
    return undefined;
  return {
    first: first.value,
    second: second.value,
    interleaved: true,
    nodes: [node, concat, first.node, second.node],
  };
}

function unsqueezedLast(value: Value | undefined, rank: number): { value: Value; node: Node } | undefined {
  const node = value?.producer;
  const inner = node?.is('Unsqueeze') ? node.input(0) : undefined;
  const axes = node?.ints('axes') ?? constantNumbers(node?.input(1));
  return node && inner && axes?.length === 1 && (axes[0] === -1 || axes[0] === rank - 1)
    ? { value: inner, node }
    : undefined;
}

/** Joined a·cos − b·sin and b·cos + a·sin. */
function fromParts(root: Node, site: Site): Rotated | undefined {
  const joined = joinedParts(root, site);
  const [sub, add] = [joined?.first.producer, joined?.second.producer];
  if (!joined || !sub?.is('Sub') || !add?.is('Add')) return undefined;
  const [ac, bs] = [factors(sub.input(0)), factors(sub.input(1))];
  const [p, q] = [factors(add.input(0)), factors(add.input(1))];
  if (!ac || !bs || !p || !q) return undefined;
  for (const [aValue, cos] of ac.pairs) {
    const a = lastSlice(aValue, site);
    if (!a) continue;
    for (const [bValue, sin] of bs.pairs) {
      const b = lastSlice(bValue, site);
      if (!b || b.x !== a.x || !arePair(a, b, joined.interleaved)) continue;
      const has = (product: Factors, x: Value, y: Value): boolean =>
        product.pairs.some(([one, other]) => one === x && other === y);
      const crossed = (has(p, bValue, cos) && has(q, aValue, sin)) || (has(q, bValue, cos) && has(p, aValue, sin));
      if (!crossed) continue;
      const nodes = new Set([root, ...joined.nodes, sub, add, ac.node, bs.node, p.node, q.node, a.node, b.node]);
      return { x: a.x, width: a.width, interleaved: joined.interleaved, cos, sin, doubled: false, nodes, last: root };
    }
  }
  return undefined;
}

interface Factors {
  readonly node: Node;
  /** Both orders. */
  readonly pairs: readonly (readonly [Value, Value])[];
}

function factors(value: Value | undefined): Factors | undefined {
  const node = value?.producer;
  const [a, b] = node?.is('Mul') ? node.inputs : [];
  return node && a && b
    ? {
        node,
        pairs: [
          [a, b],
          [b, a],
        ],
      }
    : undefined;
}
