import { constantNumbers } from '../../../src/ir/constant.ts';
import type { Node } from '../../../src/ir/graph.ts';
import { int64Vector } from '../../../src/ir/tensor.ts';
import { listArgument, normalizeAxes } from '../../../src/rewrite/list-argument.ts';
import type { Site } from '../../../src/rewrite/rule.ts';
import type { Known } from '../known.ts';
import { localRule, type Plan } from '../local-rule.ts';

/** Pad of nothing. `pads` is an attribute before opset 11 (`paddings` in opset 1). */
export const padNoop = localRule('pad-noop', 'Pad by zero elements: its input', ['Pad'], (node) => {
  const input = node.input(0);
  const pads = node.ints('paddings') ?? listArgument(node, 'pads', 1);
  if (!input || pads === 'absent') return undefined;
  if (pads === 'dynamic') return { why: `its pads "${node.input(1)?.name}" are computed at run time` };
  return pads.every((count) => count === 0) ? { bypass: input } : undefined;
});

interface SliceSpec {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly axes: readonly number[] | undefined;
  readonly steps: readonly number[];
}

/** The constant arguments of a Slice: attributes before opset 10, inputs from then on. */
function sliceSpec(node: Node): SliceSpec | undefined {
  const starts = listArgument(node, 'starts', 1);
  const ends = listArgument(node, 'ends', 2);
  const axes = listArgument(node, 'axes', 3);
  const steps = node.input(4) ? constantNumbers(node.input(4)) : undefined;
  if (typeof starts === 'string' || typeof ends === 'string' || axes === 'dynamic') return undefined;
  if (node.input(4) && !steps) return undefined;
  const count = starts.length;
  if (ends.length !== count || (axes !== 'absent' && axes.length !== count)) return undefined;
  return { starts, ends, axes: axes === 'absent' ? undefined : axes, steps: steps ?? starts.map(() => 1) };
}

/** An end at or beyond this is "to the end" for every tensor that fits in memory. */
const toTheEnd = 2 ** 31 - 1;

export const sliceNoop = localRule('slice-noop', 'Slice that keeps everything: its input', ['Slice'], (node, known) => {
  const input = node.input(0);
  const spec = sliceSpec(node);
  if (!input) return undefined;
  if (fromTheStart(node) && known.sameShape(input, node.output())) return { bypass: input };
  if (!spec) return undefined;
  const shape = known.shape(input);
  const axes = spec.axes ?? spec.starts.map((_, index) => index);
  const normalized = shape ? normalizeAxes(axes, shape.length) : undefined;
  let doubt: string | undefined;
  for (const [index, start] of spec.starts.entries()) {
    const end = spec.ends[index] ?? 0;
    if (spec.steps[index] !== 1) return undefined;
    const dim = normalized ? shape?.[normalized[index] ?? 0] : undefined;
    if (start !== 0 && !(typeof dim === 'number' && start < 0 && start + dim <= 0)) return undefined;
    if (end >= toTheEnd || (typeof dim === 'number' && end >= dim)) continue;
    if (end < 0 || typeof dim === 'number') return undefined;
    doubt = `it keeps the first ${end} along axis ${axes[index]}, whose extent is unknown`;
  }
  return doubt ? { why: doubt } : { bypass: input };
});

/** Starts of 0 and steps of 1: then an equal shape means that nothing is cut off. */
function fromTheStart(node: Node): boolean {
  const starts = listArgument(node, 'starts', 1);
  const steps = listArgument(node, 'steps', 4);
  if (typeof starts === 'string' || steps === 'dynamic') return false;
  return starts.every((start) => start === 0) && (steps === 'absent' || steps.every((step) => step === 1));
}

/** Slices of different axes commute: two become one. */
export const sliceChain = localRule(
  'slice-chain',
  'Slice of a Slice along other axes: one Slice',
  ['Slice'],
  sliceOfSlice,
);

function sliceOfSlice(node: Node, known: Known, site: Site): Plan {
  const middle = node.input(0);
  const first = middle?.producer;
  const x = first?.input(0);
  if (!middle || !first?.is('Slice') || !x || first.graph !== node.graph) return undefined;
  const rank = known.rank(x) ?? known.rank(middle);
  const inner = sliceSpec(first);
  const outer = sliceSpec(node);
  if (!inner || !outer) return { why: 'where one of the two Slices cuts is computed at run time' };
  const innerAxes = axesOf(inner, rank);
  const outerAxes = axesOf(outer, rank);
  if (!innerAxes || !outerAxes) return { why: 'the rank of the sliced value is unknown' };
  if (innerAxes.some((axis) => outerAxes.includes(axis))) return undefined;
  if (middle.useCount > 1 || middle.isGraphOutput) {
    return { why: `the value between, "${middle.name}", is used elsewhere too` };
  }
  const starts = [...inner.starts, ...outer.starts];
  const ends = [...inner.ends, ...outer.ends];
  const axes = [...innerAxes, ...outerAxes];
  const steps = [...inner.steps, ...outer.steps];
  return {
    detail: `axes ${axes.join(',')}`,
    make(edit) {
      if (site.opset < 10) return edit.insert('Slice', { inputs: [x], attrs: { starts, ends, axes } });
      const list = (name: string, values: readonly number[]) => edit.constant(name, int64Vector(values));
      const inputs = [x, list('starts', starts), list('ends', ends), list('axes', axes)];
      if (steps.some((step) => step !== 1)) inputs.push(list('steps', steps));
      return edit.insert('Slice', { inputs });
    },
  };
}

/** Axes as non-negative numbers. */
function axesOf(spec: SliceSpec, rank: number | undefined): readonly number[] | undefined {
  const axes = spec.axes ?? spec.starts.map((_, index) => index);
  if (axes.every((axis) => axis >= 0)) return axes;
  return rank === undefined ? undefined : normalizeAxes(axes, rank);
}
