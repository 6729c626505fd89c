/** Small nodes that shapes are made with, in the form of the opset at hand. */
import type { Value } from '../../../src/ir/graph.ts';
import { int64Vector } from '../../../src/ir/tensor.ts';
import type { Dim } from '../../../src/ir/types.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';

export const unsqueezed = (value: Value, axes: readonly number[], edit: Edit): Value =>
  withAxes('Unsqueeze', value, axes, edit);

export const squeezed = (value: Value, axes: readonly number[], edit: Edit): Value =>
  withAxes('Squeeze', value, axes, edit);

function withAxes(op: string, value: Value, axes: readonly number[], edit: Edit): Value {
  const made =
    edit.opset >= 13
      ? edit.insert(op, { inputs: [value, edit.constant('axes', int64Vector(axes))] })
      : edit.insert(op, { inputs: [value], attrs: { axes } });
  return made.output();
}

/** Extent `axis` of a value as a vector of one integer: a constant where it is known. */
export function extentOf(value: Value, axis: number, known: Dim, edit: Edit): Value {
  if (typeof known === 'number') return edit.constant('extent', int64Vector([known]));
  if (edit.opset >= 15)
    return edit.insert('Shape', { inputs: [value], attrs: { start: axis, end: axis + 1 } }).output();
  const shape = edit.insert('Shape', { inputs: [value] }).output();
  return edit
    .insert('Gather', { inputs: [shape, edit.constant('axis', int64Vector([axis]))], attrs: { axis: 0 } })
    .output();
}
