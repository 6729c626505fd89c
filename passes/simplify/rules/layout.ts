import { constantScalar } from '../../../src/ir/constant.ts';
import { equalDims, equalShapes, exactDivDims, mulDims } from '../../../src/ir/dim.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { movesElements } from '../../../src/ir/permutation.ts';
import { targetFor } from '../../../src/ir/reshape-target.ts';
import { int64Vector } from '../../../src/ir/tensor.ts';
import type { Dim, Shape } from '../../../src/ir/types.ts';
import { localRule } from '../local-rule.ts';
import { isReshape, reshapes } from './reshape.ts';

/** Each element on its own, in and out of the same type: the shape does not matter. */
const elementwise = new Set(
  `Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish LeakyRelu Log Mish Neg
  Reciprocal Relu Round Selu Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh ThresholdedRelu`.split(/\s+/),
);

/** One reader, in the same graph, and no output. */
const single = (value: Value, reader: Node): boolean =>
  value.useCount === 1 && !value.isGraphOutput && value.producer?.graph === reader.graph;

/** Reshape(f(Reshape(x))) = Reshape(f(x)): the elements stay where they are. */
export const reshapeElementwise = localRule(
  'reshape-elementwise',
  'Reshape, elementwise operators, Reshape: one Reshape behind them, or none',
  reshapes,
  (node, known, site) => {
    const chain: Node[] = [];
    let value = node.input(0);
    let reader = node;
    while (
      value?.producer?.domain === '' &&
      elementwise.has(value.producer.op) &&
      single(value, reader) &&
      chain.length < 16
    ) {
      reader = value.producer;
      chain.push(reader);
      value = reader.input(0);
    }
    const first = value?.producer;
    const x = first?.input(0);
    if (chain.length === 0 || !value || !isReshape(first) || !x || first.graph !== node.graph) return undefined;
    if (!single(value, reader)) return { why: `the value between, "${value.name}", is used elsewhere too` };
    const same = known.sameShape(x, node.output());
    const target = same ? [] : targetFor(known.shape(x), known.shape(node.output()), false);
    if (!target) return { why: 'no constant says what shape comes out' };
    if (!same && site.opset < 5) return undefined;
    return {
      detail: `over ${chain.map(({ op }) => op).join(', ')}`,
      make(edit) {
        let last: Node | undefined;
        for (const old of chain.reverse()) {
          last = edit.insertLike(old, { inputs: [last?.output() ?? x, ...old.inputs.slice(1)] });
          known.note(last.output(), x);
        }
        const made = last as Node;
        if (same) return made;
        return edit.insert('Reshape', {
          name: node.name,
          inputs: [made.output(), edit.constant('shape', int64Vector(target))],
        });
      },
    };
  },
);

interface Group {
  /** Axes of what the Reshape reads that become `dims`. */
  readonly axes: number[];
  readonly dims: Dim[];
}

/** Which neighbouring axes of `from` a Reshape to `to` joins and splits; undefined where that is not known. */
function groupAxes(from: Shape, to: Shape): Group[] | undefined {
  const groups: Group[] = [];
  let [i, k] = [0, 0];
  while (i < from.length && k < to.length) {
    const group: Group = { axes: [i], dims: [to[k]] };
    let [a, b] = [from[i++], to[k++]];
    while (!equalDims(a, b)) {
      if (a === undefined || b === undefined || a === 0 || b === 0) return undefined;
      // The shorter side takes its next axis: a number is compared, of expressions one must divide the other.
      if (isShorter(a, b)) {
        a = mulDims(a, from[i]);
        group.axes.push(i++);
        if (i > from.length) return undefined;
      } else if (isShorter(b, a)) {
        b = mulDims(b, to[k]);
        group.dims.push(to[k++]);
        if (k > to.length) return undefined;
      } else return undefined;
    }
    groups.push(group);
  }
  const last = groups.at(-1);
  for (; i < from.length && from[i] === 1; i++) last?.axes.push(i);
  for (; k < to.length && to[k] === 1; k++) last?.dims.push(1);
  return last && i === from.length && k === to.length ? groups : undefined;
}

/** Where the axes of each group were before the Transpose, counted without those of 1, which may stand anywhere. */
function placesOf(groups: readonly Group[], perm: readonly number[], turned: Shape): number[][] {
  const wide = perm.filter((_, axis) => turned[axis] !== 1).sort((a, b) => a - b);
  return groups.map(({ axes }) => {
    const places = axes.filter((axis) => turned[axis] !== 1).map((axis) => wide.indexOf(perm[axis] as number));
    // A group of nothing but 1s goes between what stands on both sides of it.
    return places.length > 0
      ? places
      : [wide.findLastIndex((place) => place < (perm[axes[0] as number] as number)) + 0.5];
  });
}

const isShorter = (a: Dim, b: Dim): boolean =>
  typeof a === 'number' && typeof b === 'number' ? a < b : exactDivDims(b, a) !== undefined;

/**
 * Reshape(Transpose(Reshape(x))), where what the last one joins or splits lay side by side before the Transpose too:
 * Transpose(Reshape(x)). The same where another Transpose follows, which then meets the first.
 */
export const transposeReshape = localRule(
  'transpose-reshape',
  'Reshape behind a Transpose that touches what stays together in it: in front of it, where it meets another Reshape',
  reshapes,
  (node, known, site) => {
    const middle = node.input(0);
    const first = middle?.producer;
    const x = first?.input(0);
    const perm = first?.is('Transpose') ? first.ints('perm') : undefined;
    if (!middle || !first || !x || !perm || site.opset < 5 || !single(middle, node)) return undefined;
    const before = x.producer;
    const meets = isReshape(before) && single(x, first);
    const [next, other] = node.output().consumers;
    if (!meets && (other || node.output().isGraphOutput || !next?.is('Transpose'))) return undefined;
    const source = meets ? (before.input(0) as Value) : x;
    const [from, to] = [known.shape(middle), known.shape(node.output())];
    const groups = from && to && groupAxes(from, to);
    if (!groups) return undefined;
    const places = placesOf(groups, perm, from);
    if (places.some((list) => list.some((place, index) => place !== (list[0] as number) + index))) {
      return { why: `it joins or splits axes that ${first} brings together` };
    }
    const order = [...groups.keys()].sort((a, b) => (places[a]?.[0] as number) - (places[b]?.[0] as number));
    const shape = order.flatMap((at) => groups[at]?.dims ?? []);
    const starts = new Map<number, number>();
    let start = 0;
    for (const at of order) {
      starts.set(at, start);
      start += groups[at]?.dims.length ?? 0;
    }
    const turned = groups.flatMap(({ dims }, at) => dims.map((_, index) => (starts.get(at) as number) + index));
    const isSame = equalShapes(known.shape(source), shape);
    const target = isSame ? [] : targetFor(known.shape(source), shape, false);
    if (!target) return { why: 'no constant says the shape in front of the Transpose' };
    const moves = turned.some((axis, index) => axis !== index);
    if (isSame && !moves) return undefined;
    return {
      detail: `to [${shape.join(', ')}], then by ${turned.join(',')}`,
      make(edit) {
        const reshaped = isSame
          ? undefined
          : edit.insert('Reshape', {
              name: node.name,
              inputs: [source, edit.constant('shape', int64Vector(target))],
              types: [known.typeWith(source, shape)],
            });
        if (!moves) return reshaped as Node;
        return edit.insert('Transpose', {
          name: first.name,
          inputs: [reshaped?.output() ?? source],
          attrs: { perm: turned },
        });
      },
    };
  },
);

/** One entry of an axis of a Transpose whose other axes stand in order: that entry of what it turns. */
export const gatherTranspose = localRule(
  'gather-transpose',
  'Gather of one entry behind a Transpose that moves nothing else: Gather along the axis it came from',
  ['Gather'],
  (node, known) => {
    const first = node.input(0)?.producer;
    const x = first?.input(0);
    const perm = first?.is('Transpose') ? first.ints('perm') : undefined;
    const index = node.input(1);
    if (!first || !x || !perm || first.graph !== node.graph) return undefined;
    if (constantScalar(index) === undefined || known.rank(index) !== 0) return undefined;
    const given = node.int('axis', 0);
    const axis = given < 0 ? given + perm.length : given;
    const rest = perm.filter((_, at) => at !== axis);
    if (rest.some((place, at) => at > 0 && place < (rest[at - 1] as number))) return undefined;
    return {
      detail: `axis ${perm[axis]}`,
      make: (edit) => edit.insertLike(node, { inputs: [x, index], attrs: { axis: perm[axis] as number } }),
    };
  },
);

const products = new Set(['MatMul', 'Attention']);

/** In front of a product of matrices, with a factor, a rotation or another Transpose between, or right behind one. */
function isOfAttention(node: Node): boolean {
  const source = node.input(0)?.producer;
  if (source && products.has(source.op)) return true;
  const pending: { readonly value: Value; readonly left: number }[] = [{ value: node.output(), left: 3 }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    for (const reader of next.value.consumers) {
      if (products.has(reader.op)) return true;
      if (next.left === 0 || !['Mul', 'Div', 'Transpose', 'Concat', 'RotaryEmbedding'].includes(reader.op)) continue;
      for (const value of reader.outputs) if (value) pending.push({ value, left: next.left - 1 });
    }
  }
  return false;
}

/** A Transpose that only moves dimensions of 1 leaves every element where it is, and a Reshape copies nothing. */
export const transposeAsReshape = localRule(
  'transpose-as-reshape',
  'Transpose that moves dimensions of 1 alone: Reshape, which copies nothing',
  ['Transpose'],
  (node, known, site) => {
    const x = node.input(0);
    const perm = node.ints('perm');
    const from = known.shape(x);
    if (!x || !perm || !from || site.opset < 5 || movesElements(from, perm)) return undefined;
    if (isOfAttention(node))
      return { why: 'it may bring the one head of attention to its place, which fusion looks for' };
    const target = targetFor(
      from,
      perm.map((axis) => from[axis]),
      false,
    );
    if (!target) return { why: 'no constant says the shape that comes out' };
    return {
      detail: `to [${target.join(', ')}]`,
      make: (edit) =>
        edit.insert('Reshape', { name: node.name, inputs: [x, edit.constant('shape', int64Vector(target))] }),
    };
  },
);
