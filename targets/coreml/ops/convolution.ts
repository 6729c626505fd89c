import type { Node } from '../../../src/ir/graph.ts';
import { transposePads } from '../../../src/ir/transpose-pads.ts';
import type { Converter, Handler } from '../converter.ts';
import type { Ref } from '../graph.ts';

/** How far a window looks beyond its input: [before, after] by axis in space. */
export function padsOf(
  node: Node,
  kernel: readonly number[],
  input: readonly number[],
  output: readonly number[],
): [number, number][] {
  const strides = node.ints('strides') ?? kernel.map(() => 1);
  const dilations = node.ints('dilations') ?? kernel.map(() => 1);
  const given = node.ints('pads') ?? [];
  const auto = node.string('auto_pad') ?? 'NOTSET';
  return kernel.map((k, axis): [number, number] => {
    const reach = ((output[axis] ?? 1) - 1) * (strides[axis] ?? 1) + (k - 1) * (dilations[axis] ?? 1) + 1;
    const total = Math.max(0, reach - (input[axis] ?? 1));
    if (auto === 'SAME_UPPER') return [Math.floor(total / 2), Math.ceil(total / 2)];
    if (auto === 'SAME_LOWER') return [Math.ceil(total / 2), Math.floor(total / 2)];
    if (auto === 'VALID') return [0, total];
    return [given[axis] ?? 0, given[axis + kernel.length] ?? 0];
  });
}

function weightsOf(
  node: Node,
  c: Converter,
): { weight: Ref; kernel: number[]; bias: Ref | undefined; shape: readonly number[] } {
  const weight = c.constant(node.input(1));
  if (!weight) return c.fail(node, 'its weights are computed, and must be constants');
  if (c.has(node, 2) && !c.constant(node.input(2))) c.fail(node, 'its bias is computed, and must be a constant');
  const kernel = weight.shape.slice(2);
  if (kernel.length < 1 || kernel.length > 3) c.fail(node, 'only one to three axes in space are supported');
  return { weight: c.in(node, 1), kernel, bias: c.has(node, 2) ? c.in(node, 2) : undefined, shape: weight.shape };
}

export const conv: Handler = (node, c) => {
  const { weight, kernel, bias } = weightsOf(node, c);
  const out = c.shape(node.output());
  const pads = padsOf(node, kernel, c.shape(node.input(0)).slice(2), out.slice(2));
  const { x, rest } = croppedInput(c, c.in(node, 0), pads);
  c.emit(node, 'conv', {
    x,
    weight,
    bias,
    strides: c.ints(node.ints('strides') ?? kernel.map(() => 1)),
    pad_type: c.text('custom'),
    pad: c.ints(rest.flat()),
    dilations: c.ints(node.ints('dilations') ?? kernel.map(() => 1)),
    groups: c.int(node.int('group', 1)),
  });
};

/** Pads below zero, which ONNX allows, are a slice of the input. */
function croppedInput(
  c: Converter,
  x: Ref,
  pads: readonly (readonly [number, number])[],
): { x: Ref; rest: number[][] } {
  const rest = pads.map((pair) => pair.map((pad) => Math.max(0, pad)));
  if (pads.flat().every((pad) => pad >= 0)) return { x, rest };
  const begin = x.shape.map((_, axis) => Math.max(0, -(pads[axis - 2]?.[0] ?? 0)));
  const end = x.shape.map((dim, axis) => dim - Math.max(0, -(pads[axis - 2]?.[1] ?? 0)));
  const shape = end.map((to, axis) => to - (begin[axis] ?? 0));
  const out = { name: x.name, shape, type: x.type };
  return { x: c.op('slice_by_index', { x, begin: c.ints(begin), end: c.ints(end) }, out), rest };
}

/** The whole result without padding; what pads take away is cut off, what output_padding adds is appended. */
export const convTranspose: Handler = (node, c) => {
  const { weight, kernel, bias, shape } = weightsOf(node, c);
  const x = c.in(node, 0);
  const out = c.shape(node.output());
  const group = node.int('group', 1);
  const strides = node.ints('strides') ?? kernel.map(() => 1);
  const dilations = node.ints('dilations') ?? kernel.map(() => 1);
  const space = kernel.map(
    (k, axis) => ((x.shape[axis + 2] ?? 1) - 1) * (strides[axis] ?? 1) + (k - 1) * (dilations[axis] ?? 1) + 1,
  );
  const channels = (shape[1] ?? 1) * group;
  const full = [x.shape[0] ?? 1, channels, ...space];
  const name = node.output().name;
  let result = c.op(
    'conv_transpose',
    {
      x,
      weight,
      bias,
      strides: c.ints(strides),
      pad_type: c.text('valid'),
      dilations: c.ints(dilations),
      groups: c.int(group),
    },
    { name, shape: full, type: x.type },
  );
  const begin = [0, 0, ...transposePads(node, x.shape.slice(2), kernel, out.slice(2))];
  const end = full.map((dim, axis) => Math.min(dim, (begin[axis] ?? 0) + (out[axis] ?? 1)));
  const cut = end.map((to, axis) => to - (begin[axis] ?? 0));
  if (cut.join() !== full.join())
    result = c.op(
      'slice_by_index',
      { x: result, begin: c.ints(begin), end: c.ints(end) },
      { name, shape: cut, type: x.type },
    );
  const missing = out.map((dim, axis) => dim - (cut[axis] ?? 0));
  if (missing.some((rows) => rows > 0)) {
    if (bias && c.constant(node.input(2))?.values.some((value) => value !== 0))
      c.fail(node, 'output_padding beyond the kernel, together with a bias, has no counterpart');
    const pad = c.ints(missing.flatMap((rows) => [0, rows]));
    const inputs = { x: result, pad, mode: c.text('constant'), constant_val: c.scalar(0) };
    result = c.op('pad', inputs, { name, shape: out, type: x.type });
  }
  c.put(node.output(), result);
};

function pool(node: Node, c: Converter, type: 'max_pool' | 'avg_pool'): void {
  const x = c.in(node, 0);
  const kernel = node.ints('kernel_shape') ?? [];
  const out = c.shape(node.output());
  if (kernel.length < 1 || kernel.length > 3) c.fail(node, 'only one to three axes in space are supported');
  if (node.outputs[1]?.isUsed) c.fail(node, 'indices of maxima have no counterpart');
  if ((node.ints('dilations') ?? []).some((dilation) => dilation !== 1))
    c.fail(node, 'pools with dilations have no counterpart');
  const strides = node.ints('strides') ?? kernel.map(() => 1);
  const given = padsOf(node, kernel, x.shape.slice(2), out.slice(2));
  // Extents that are rounded up look further behind the end; what they see there does not count.
  const pads = given.map(([before, after], axis): [number, number] => {
    const reach = ((out[axis + 2] ?? 1) - 1) * (strides[axis] ?? 1) + (kernel[axis] ?? 1);
    return [before, Math.max(after, reach - (x.shape[axis + 2] ?? 1) - before)];
  });
  const further = pads.some(([, after], axis) => after > (given[axis]?.[1] ?? 0));
  const counts = node.int('count_include_pad', 0) !== 0;
  if (type === 'avg_pool' && counts && further)
    c.fail(node, 'a mean that counts its pads and rounds its extents up has no counterpart');
  c.emit(node, type, {
    x,
    kernel_sizes: c.ints(kernel),
    strides: c.ints(strides),
    pad_type: c.text('custom'),
    pad: c.ints(pads.flat()),
    exclude_padding_from_average: type === 'avg_pool' ? c.bool(!counts) : undefined,
    ceil_mode: c.bool(false),
  });
}

export const maxPool: Handler = (node, c) => pool(node, c, 'max_pool');
export const averagePool: Handler = (node, c) => pool(node, c, 'avg_pool');

export function globalPool(type: 'reduce_mean' | 'reduce_max'): Handler {
  return (node, c) => {
    const x = c.in(node, 0);
    const axes = x.shape.map((_, axis) => axis).slice(2);
    c.emit(node, type, { x, axes: c.ints(axes), keep_dims: c.bool(true) });
  };
}
