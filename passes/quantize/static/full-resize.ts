import { constantOf } from '../../../src/ir/constant.ts';
import type { Model, Node, Value } from '../../../src/ir/graph.ts';
import { int64Vector, type Tensor, tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { type Dim, tensorType } from '../../../src/ir/types.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';
import type { Plan } from './plan.ts';

export const fullResizeSummary =
  'A Resize that names its axes (opset 18) says the scale or extent of every axis: ONNX Runtime cannot run the other form behind a convolution on integers';

/**
 * Resize with `axes` becomes one without; no number changes. ONNX Runtime 1.30 moves the Transposes around its integer convolutions over a Resize and
 * reorders scales, sizes or corners as if there were one for each axis: the file does not load, or ends in its first run. Left as they are: scales
 * and corners that are not constant, and an aspect ratio to keep where extents are open or would be rounded (`guardNamedAxes`).
 * @returns the nodes that were changed
 */
export function fillResizes(model: Model): Node[] {
  const changed: Node[] = [];
  for (const graph of model.graphs())
    for (const node of [...graph.nodes]) if (namesAxes(node) && fill(node)) changed.push(node);
  return changed;
}

const namesAxes = (node: Node): boolean => node.is('Resize') && node.ints('axes') !== undefined;

/** Convolutions whose result reaches a Resize that still names its axes, over whatever Transposes are moved over, stay in float. */
export function guardNamedAxes(plan: Plan): void {
  const left = new Map<Node, string>();
  for (const { node } of plan.units.values()) {
    const resize = node.op === 'Conv' ? namedAxesBehind(node) : undefined;
    if (resize)
      left.set(
        node,
        `${resize} resizes its result along axes that it names (axes), which ONNX Runtime cannot run behind a convolution on integers`,
      );
  }
  plan.leave({ left, guarded: new Set() });
}

function namedAxesBehind(conv: Node): Node | undefined {
  const seen = new Set([conv]);
  for (const node of seen) {
    if (namesAxes(node)) return node;
    for (const output of node.outputs)
      for (const reader of output?.consumers ?? []) if (reader.op !== 'Conv') seen.add(reader);
  }
  return undefined;
}

function fill(node: Node): boolean {
  const [x, roi, scales, sizes] = node.inputs;
  const rank = x?.shape?.length;
  const given = node.ints('axes') ?? [];
  if (!x || rank === undefined) return false;
  const axes = given.map((axis) => (axis < 0 ? axis + rank : axis));
  const crops = node.string('coordinate_transformation_mode') === 'tf_crop_and_resize';
  const corners = crops && roi ? cornersOf(roi, axes, rank) : undefined;
  if (crops && !corners) return false;
  const made = scales ? fullScales(node, scales, axes, rank) : sizes && fullSizes(node, x, sizes, axes, rank);
  if (!made) return false;
  const before = [scales ?? sizes, ...(corners ? [roi] : [])];
  node.setInput(scales ? 2 : 3, made);
  if (corners) node.setInput(1, addConstant(node, `${roi?.name}_of_all`, corners));
  node.removeAttr('axes');
  node.removeAttr('keep_aspect_ratio_policy');
  for (const value of before)
    if (value?.initializer && !value.isUsed && !value.isGraphInput) value.graph.removeInitializer(value);
  return true;
}

function fullScales(node: Node, scales: Value, axes: readonly number[], rank: number): Value | undefined {
  const tensor = constantOf(scales);
  if (tensor?.dtype !== 'float32') return undefined;
  const all = new Float32Array(rank).fill(1);
  for (const [at, axis] of axes.entries()) all[axis] = typedArray(tensor, 'float32')[at] ?? 1;
  return addConstant(node, `${scales.name}_of_all`, tensorFrom('float32', [rank], all));
}

/** The corners of a crop, [starts, ends] from 0 to 1; axes that are not named are taken whole. */
function cornersOf(roi: Value, axes: readonly number[], rank: number): Tensor | undefined {
  const tensor = constantOf(roi);
  if (tensor?.dtype !== 'float32') return undefined;
  const all = new Float32Array(2 * rank).fill(1, rank);
  const own = typedArray(tensor, 'float32');
  for (const [at, axis] of axes.entries()) {
    all[axis] = own[at] ?? 0;
    all[rank + axis] = own[axes.length + at] ?? 1;
  }
  return tensorFrom('float32', [2 * rank], all);
}

/** The extents of the axes that are not named are those of the input. */
function fullSizes(node: Node, x: Value, sizes: Value, axes: readonly number[], rank: number): Value | undefined {
  const policy = node.string('keep_aspect_ratio_policy') ?? 'stretch';
  const shape = x.shape ?? [];
  const tensor = constantOf(sizes);
  const wanted = tensor?.dtype === 'int64' ? Array.from(typedArray(tensor, 'int64'), Number) : undefined;
  const extents = axes.map((axis) => shape[axis]);
  const stretched = policy === 'stretch' ? wanted : wanted && keptRatio(wanted, extents, policy);
  if (policy !== 'stretch' && !stretched) return undefined;
  const others = shape.filter((_, axis) => !axes.includes(axis));
  if (stretched && others.every((dim) => typeof dim === 'number')) {
    const all = shape.map((dim, axis) => stretched[axes.indexOf(axis)] ?? Number(dim));
    return addConstant(node, `${sizes.name}_of_all`, int64Vector(all));
  }
  const { graph } = node;
  const types = [tensorType('int64', [rank])];
  const own =
    stretched && policy !== 'stretch' ? addConstant(node, `${sizes.name}_kept`, int64Vector(stretched)) : sizes;
  if (axes.length === rank && axes.every((axis, at) => axis === at)) return own;
  const before = graph.insertBefore(node, 'Shape', { inputs: [x], types }).output();
  const places = addConstant(node, `${sizes.name}_axes`, int64Vector(axes));
  return graph.insertBefore(node, 'ScatterElements', { inputs: [before, places, own], types }).output();
}

/** What sizes become that keep the ratio of the extents; undefined where one of them would be rounded, and the scale with it. */
function keptRatio(wanted: readonly number[], extents: readonly Dim[], policy: string): number[] | undefined {
  if (!extents.every((extent) => typeof extent === 'number')) return undefined;
  const ratios = wanted.map((size, at) => size / (extents[at] as number));
  const chosen = ratios.indexOf(policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios));
  const kept = extents.map((extent) => (extent * (wanted[chosen] as number)) / (extents[chosen] as number));
  return kept.every(Number.isInteger) ? kept : undefined;
}
