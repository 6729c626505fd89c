import { int } from '../../../src/ir/attr.ts';
import { constantOf } from '../../../src/ir/constant.ts';
import type { Model, Node, Value } from '../../../src/ir/graph.ts';
import { int64Vector, tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';

export const fullResizeSummary =
  'A Resize that names its axes (opset 18) says the scale or extent of every axis: ONNX Runtime cannot run the other form behind a convolution on integers';

/**
 * Resize with `axes` becomes one without; no number changes. ONNX Runtime 1.30 moves the Transposes around its integer convolutions over a Resize and
 * reorders scales or sizes as if there were one for each axis: the file does not load, or ends in its first run. Left as they are: sizes of other axes
 * than the last ones, or with an aspect ratio to keep, and crops.
 * @returns the nodes that were changed
 */
export function fillResizes(model: Model): Node[] {
  const changed: Node[] = [];
  for (const graph of model.graphs())
    for (const node of [...graph.nodes]) if (node.is('Resize') && node.ints('axes') && fill(node)) changed.push(node);
  return changed;
}

function fill(node: Node): boolean {
  const [x, , scales, sizes] = node.inputs;
  const rank = x?.shape?.length;
  const given = node.ints('axes') ?? [];
  if (!x || rank === undefined || node.string('coordinate_transformation_mode') === 'tf_crop_and_resize') return false;
  const axes = given.map((axis) => (axis < 0 ? axis + rank : axis));
  const made = scales ? fullScales(node, scales, axes, rank) : sizes && fullSizes(node, x, sizes, axes, rank);
  if (!made) return false;
  const before = scales ?? sizes;
  node.setInput(scales ? 2 : 3, made);
  node.removeAttr('axes');
  if (before?.initializer && !before.isUsed && !before.isGraphInput) before.graph.removeInitializer(before);
  return true;
}

function fullScales(node: Node, scales: Value, axes: readonly number[], rank: number): Value | undefined {
  const tensor = constantOf(scales);
  if (tensor?.dtype !== 'float32') return undefined;
  const all = new Float32Array(rank).fill(1);
  for (const [at, axis] of axes.entries()) all[axis] = typedArray(tensor, 'float32')[at] ?? 1;
  return addConstant(node, `${scales.name}_of_all`, tensorFrom('float32', [rank], all));
}

/** The extents before the axes are those of the input. */
function fullSizes(node: Node, x: Value, sizes: Value, axes: readonly number[], rank: number): Value | undefined {
  if ((node.string('keep_aspect_ratio_policy') ?? 'stretch') !== 'stretch') return undefined;
  const first = rank - axes.length;
  if (!axes.every((axis, at) => axis === first + at)) return undefined;
  if (first === 0) return sizes;
  const { graph } = node;
  const type = (count: number) => [tensorType('int64', [count])];
  const leading = x.shape?.slice(0, first) ?? [];
  const isKnown = leading.every((dim) => typeof dim === 'number');
  const tensor = constantOf(sizes);
  if (isKnown && tensor?.dtype === 'int64') {
    const all = [...leading.map(Number), ...Array.from(typedArray(tensor, 'int64'), Number)];
    return addConstant(node, `${sizes.name}_of_all`, int64Vector(all));
  }
  const before = isKnown
    ? addConstant(node, `${sizes.name}_before`, int64Vector(leading.map(Number)))
    : graph
        .insertBefore(node, 'Shape', { inputs: [x], attrs: { start: int(0), end: int(first) }, types: type(first) })
        .output();
  const init = { inputs: [before, sizes], attrs: { axis: int(0) }, types: type(rank) };
  return graph.insertBefore(node, 'Concat', init).output();
}
