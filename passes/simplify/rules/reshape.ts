import { constantNumbers, constantOf } from '../../../src/ir/constant.ts';
import { equalDims } from '../../../src/ir/dim.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { targetFor } from '../../../src/ir/reshape-target.ts';
import { int64Vector } from '../../../src/ir/tensor.ts';
import type { Shape } from '../../../src/ir/types.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import type { Site } from '../../../src/rewrite/rule.ts';
import type { Known } from '../known.ts';
import { localRule, type Plan } from '../local-rule.ts';
import { formatShape } from '../shapes.ts';

/** Operators that keep the elements and their order, and change the shape alone. */
export const reshapes = ['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'];

export function isReshape(node: Node | undefined): node is Node {
  return node !== undefined && node.domain === '' && reshapes.includes(node.op);
}

/** A reshape to the shape the value has. */
export const reshapeNoop = localRule(
  'reshape-noop',
  'Reshape, Flatten, Squeeze or Unsqueeze to the shape it has: its input',
  reshapes,
  (node, known) => {
    const input = node.input(0);
    if (!input) return undefined;
    if (known.sameShape(input, node.output())) return { bypass: input };
    // Flatten to (rows, columns) of what is a matrix, whatever its extents.
    if (node.is('Flatten') && known.rank(input) === 2 && [1, -1].includes(node.int('axis', 1)))
      return { bypass: input };
    if (!node.is('Reshape')) return undefined;
    const target = constantNumbers(node.input(1));
    const rank = known.rank(input);
    const copies = node.int('allowzero', 0) === 0;
    // [0, 0, -1] copies every dimension but one, and that one follows from the element count.
    if (!target || target.length !== rank || !target.every((dim) => dim === 0 || dim === -1)) return undefined;
    return copies || !target.includes(0) ? { bypass: input } : { why: 'with allowzero a 0 is an extent, not a copy' };
  },
);

/** A reshape of a reshape depends on the elements alone. */
export const reshapeChain = localRule(
  'reshape-chain',
  'Reshape, Flatten, Squeeze or Unsqueeze of another one: one Reshape, or none',
  reshapes,
  (node, known, site) => {
    const middle = node.input(0);
    const first = middle?.producer;
    const x = first?.input(0);
    if (!middle || !isReshape(first) || !x) return undefined;
    if (known.sameShape(x, node.output())) return { bypass: x };
    if (first.graph !== node.graph) return undefined;
    if (middle.useCount > 1 || middle.isGraphOutput) {
      return { why: `the value between, "${middle.name}", is used elsewhere too` };
    }
    return mergeAxes(node, first, x, known) ?? mergeReshapes(node, first, x, known, site);
  },
);

/** Two Unsqueezes or two Squeezes of the same kind with known axes: the axes of both. */
function mergeAxes(node: Node, first: Node, x: Value, known: Known): Plan {
  if (node.op !== first.op || !['Squeeze', 'Unsqueeze'].includes(node.op)) return undefined;
  const rank = known.rank(x);
  const inner = axesArgument(first);
  const outer = axesArgument(node);
  if (!inner || !outer || rank === undefined) return undefined;
  const grow = node.is('Unsqueeze');
  // A Squeeze of no axes at all takes every 1 away.
  if (!grow && (inner.length === 0 || outer.length === 0)) return undefined;
  const middleRank = grow ? rank + inner.length : rank - inner.length;
  const lastRank = grow ? middleRank + outer.length : middleRank - outer.length;
  const innerAxes = positive(inner, grow ? middleRank : rank);
  const outerAxes = positive(outer, grow ? lastRank : middleRank);
  const axes = grow ? mergedUnsqueeze(innerAxes, outerAxes, lastRank) : mergedSqueeze(innerAxes, outerAxes, rank);
  return {
    detail: `axes ${axes.join(',')}`,
    make: (edit) =>
      node.attrs.has('axes')
        ? edit.insert(node.op, { name: node.name, inputs: [x], attrs: { axes } })
        : edit.insert(node.op, { name: node.name, inputs: [x, edit.constant('axes', int64Vector(axes))] }),
  };
}

function axesArgument(node: Node): readonly number[] | undefined {
  return node.ints('axes') ?? (node.input(1) ? constantNumbers(node.input(1)) : undefined);
}

const positive = (axes: readonly number[], rank: number): number[] =>
  axes.map((axis) => (axis < 0 ? axis + rank : axis)).sort((a, b) => a - b);

/** Places of the new dimensions in the last shape: the outer ones, and the inner ones moved by them. */
function mergedUnsqueeze(inner: readonly number[], outer: readonly number[], lastRank: number): number[] {
  const axes: number[] = [];
  let middleAxis = 0;
  for (let axis = 0; axis < lastRank; axis++) {
    if (outer.includes(axis)) axes.push(axis);
    else if (inner.includes(middleAxis++)) axes.push(axis);
  }
  return axes;
}

function mergedSqueeze(inner: readonly number[], outer: readonly number[], rank: number): number[] {
  const axes: number[] = [];
  let middleAxis = 0;
  for (let axis = 0; axis < rank; axis++) {
    if (inner.includes(axis) || outer.includes(middleAxis++)) axes.push(axis);
  }
  return axes;
}

function mergeReshapes(node: Node, first: Node, x: Value, known: Known, site: Site): Plan {
  if (node.is('Reshape') && !refersToInput(node, first, x, known)) {
    const { op } = node;
    return { detail: 'same target', make: (edit) => edit.insert(op, reshapeLike(node, x)) };
  }
  const target = targetFor(known.shape(x), known.shape(node.output()), hasInferred(node) && hasInferred(first));
  if (!target) return { why: whyNoTarget(known.shape(x), known.shape(node.output())) };
  return reshapeTo(node, x, target, site);
}

const reshapeLike = (node: Node, x: Value) => ({
  name: node.name,
  inputs: [x, ...node.inputs.slice(1)],
  attrs: Object.fromEntries(node.attrs),
});

/** The constant target leaves one dimension to the runtime. */
function hasInferred(node: Node): boolean {
  return constantNumbers(node.input(1))?.includes(-1) ?? false;
}

/** A 0 in the target copies a dimension of the value between, so it may only go where x has the same. */
function refersToInput(node: Node, first: Node, x: Value, known: Known): boolean {
  if (node.int('allowzero', 0) === 1) return false;
  const target = node.ints('shape') ?? constantNumbers(node.input(1));
  if (!target) return true;
  const middle = known.shape(first.output());
  const shape = known.shape(x);
  return target.some((dim, axis) => dim === 0 && !equalDims(shape?.[axis], middle?.[axis]));
}

function whyNoTarget(from: Shape | undefined, shape: Shape | undefined): string {
  const [given, wanted] = [formatShape(from), formatShape(shape)];
  if (!shape) return 'the shape that comes out is unknown';
  if (shape.includes(0)) return `the result ${wanted} has no elements`;
  const elsewhere = shape.filter((dim, axis) => typeof dim !== 'number' && !equalDims(dim, from?.[axis])).length;
  return elsewhere > 1
    ? `${wanted} has more than one dimension that ${given} has not at its place: no constant says that`
    : `to make ${wanted} from ${given}, a constant would need 0 and -1 together, which fails on tensors without elements`;
}

function reshapeTo(node: Node, x: Value, target: readonly number[], site: Site): Plan {
  if (site.opset < 5) return { why: `Reshape of opset ${site.opset} takes its shape as an attribute` };
  return {
    detail: `to [${target.join(', ')}]`,
    make: (edit: Edit) =>
      edit.insert('Reshape', { name: node.name, inputs: [x, edit.constant('shape', int64Vector(target))] }),
  };
}

/** A Reshape whose target is computed from the very dimensions it keeps: a constant target with 0 and -1. */
export const reshapeTarget = localRule(
  'reshape-target',
  'Reshape to a shape computed at run time: a constant with 0 and -1 where the dimensions are provably the same',
  ['Reshape'],
  (node, known, site) => {
    const [x, given] = node.inputs;
    if (!x || !given || constantOf(given)) return undefined;
    const from = known.shape(x);
    const copies = node.int('allowzero', 0) === 0;
    const target =
      constantTarget(known.data(given)?.items, from, copies) ?? targetFor(from, known.shape(node.output()), false);
    if (target) return reshapeTo(node, x, target, site);
    if (!known.data(given)) return { why: `its target "${given.name}" is computed from data` };
    return { why: whyNoTarget(from, known.shape(node.output())) };
  },
);

/** The target itself, dimensions that are copied as 0. */
function constantTarget(items: Shape | undefined, from: Shape | undefined, copies: boolean): number[] | undefined {
  if (!items || (!copies && items.includes(0))) return undefined;
  const target = items.map((item, axis) =>
    typeof item === 'number' ? item : equalDims(item, from?.[axis]) ? 0 : Number.NaN,
  );
  return target.some(Number.isNaN) ? undefined : target;
}
