import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import { transposePads } from '../../../src/ir/transpose-pads.ts';
import type { Converter, Entry, Handler } from '../converter.ts';
import type { ConstData } from '../graph.ts';
import { type StoredWeight, sinkOf, storedBias, storedInputs, storedWeight } from '../quant.ts';

/** Window of a convolution or pool over two axes (one axis: the first has extent 1). */
export interface Window {
  readonly kernel: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  /** [before, after] by axis. */
  readonly pads: readonly [readonly [number, number], readonly [number, number]];
}

function pair(values: readonly number[] | undefined, fallback: number): [number, number] {
  if (!values) return [fallback, fallback];
  return values.length === 1 ? [fallback, values[0] ?? fallback] : [values[0] ?? fallback, values[1] ?? fallback];
}

/** Reads the window; pads follow from the extents, so that auto_pad and ceil_mode need no words of their own. */
export function windowOf(
  node: Node,
  kernel: readonly number[],
  input: readonly number[],
  output: readonly number[],
): Window {
  const [k, s, d] = [pair(kernel, 1), pair(node.ints('strides'), 1), pair(node.ints('dilations'), 1)];
  const given = node.ints('pads') ?? [];
  const half = given.length / 2;
  const auto = node.string('auto_pad') ?? 'NOTSET';
  const [inSize, outSize] = [pair(input, 1), pair(output, 1)];
  const rows = [0, 1].map((axis): [number, number] => {
    const [kk, ss, dd] = [k[axis] ?? 1, s[axis] ?? 1, d[axis] ?? 1];
    const total = ((outSize[axis] ?? 1) - 1) * ss + (kk - 1) * dd + 1 - (inSize[axis] ?? 1);
    const place = axis - (2 - half);
    const before =
      auto === 'SAME_UPPER'
        ? Math.floor(Math.max(total, 0) / 2)
        : auto === 'SAME_LOWER'
          ? Math.ceil(Math.max(total, 0) / 2)
          : place < 0
            ? 0
            : (given[place] ?? 0);
    return [before, total - before];
  });
  return { kernel: k, strides: s, dilations: d, pads: [rows[0] ?? [0, 0], rows[1] ?? [0, 0]] };
}

/** Whether padding SAME means just these pads. */
export function isSame(
  { kernel, strides, dilations, pads }: Window,
  input: readonly number[],
  output: readonly number[],
): boolean {
  const [inSize, outSize] = [pair(input, 1), pair(output, 1)];
  return [0, 1].every((axis) => {
    const [size, stride] = [inSize[axis] ?? 1, strides[axis] ?? 1];
    if (Math.ceil(size / stride) !== outSize[axis]) return false;
    const total = Math.max(
      0,
      ((outSize[axis] ?? 1) - 1) * stride + ((kernel[axis] ?? 1) - 1) * (dilations[axis] ?? 1) + 1 - size,
    );
    const [before, after] = pads[axis] ?? [0, 0];
    return before === Math.floor(total / 2) && Math.max(after, 0) === total - Math.floor(total / 2);
  });
}

/** A channels-last tensor of rank 4: [N, L, C] gets an axis of extent 1. */
export function asPicture(c: Converter, name: string, tensor: number): number {
  const { shape } = c.of(tensor);
  return shape.length === 3 ? c.reshape(name, tensor, [shape[0] ?? 1, 1, shape[1] ?? 1, shape[2] ?? 1]) : tensor;
}

/** Registers a picture as the result: back to rank 3 where the value has it. */
export function putPicture(c: Converter, value: Value, tensor: number): void {
  const rank = c.shape(value).length;
  const { shape } = c.of(tensor);
  c.put(
    value,
    'last',
    rank === 3 ? c.reshape(value.name, tensor, [shape[0] ?? 1, shape[2] ?? 1, shape[3] ?? 1]) : tensor,
  );
}

interface Weights {
  readonly filter: number;
  readonly bias: number;
}

export const conv: Handler = (node, c) => {
  const x = node.input(0) as Value;
  const shape = c.shape(x);
  const weight = node.input(1) as Value;
  const wShape = c.shape(weight);
  if (shape.length !== 4 && shape.length !== 3) c.fail(node, 'only convolutions over one or two axes are supported');
  const out = c.shape(node.output());
  const window = windowOf(node, wShape.slice(2), shape.slice(2), out.slice(2));
  const group = node.int('group', 1);
  const channels = shape[1] ?? 1;
  const depthwise = group === channels && group > 1;
  const stored = storedInputs(c, [x])?.[0];
  const quantized = stored && quantizedWeights(c, node, stored, depthwise);
  const sink = sinkOf(c, node, { int8: quantized !== undefined });
  const int8 = sink.quant !== undefined && quantized !== undefined;
  const { filter, bias } = int8 ? quantized : floatWeights(c, node, depthwise);
  const source: Entry = int8 && stored ? stored : c.entry(x);
  let from = asPicture(c, node.output().name, c.get(source, 'last'));
  const same = isSame(window, shape.slice(2), out.slice(2));
  if (!same) from = crop(c, node.output().name, c.pad(`${x.name}_padded`, from, pictureRows(window)), window);
  const [stride_h, stride_w] = window.strides;
  const [dilation_h_factor, dilation_w_factor] = window.dilations;
  const common = { padding: same ? 0 : 1, stride_h, stride_w, dilation_h_factor, dilation_w_factor };
  const fused_activation_function = c.activation(sink.activation);
  const [height, width] = out.length === 3 ? [1, out[2] ?? 1] : [out[2] ?? 1, out[3] ?? 1];
  const result = c.op(
    depthwise ? 'DEPTHWISE_CONV_2D' : 'CONV_2D',
    [from, filter, bias],
    {
      name: sink.value.name,
      shape: [out[0] ?? 1, height, width, out[1] ?? 1],
      type: int8 ? c.storage : 'float32',
      quant: sink.quant,
    },
    depthwise
      ? {
          type: 'DepthwiseConv2DOptions',
          value: { ...common, depth_multiplier: (out[1] ?? 1) / channels, fused_activation_function },
        }
      : { type: 'Conv2DOptions', value: { ...common, fused_activation_function } },
  );
  putPicture(c, sink.value, result);
  for (const done of sink.absorbed) c.finish(done);
};

/** Pads of a window on a channels-last picture; what a stride never reaches is cut instead (negative pads). */
export function pictureRows({ pads }: Window): [number, number][] {
  return [[0, 0], ...pads.map(([a, b]): [number, number] => [Math.max(a, 0), Math.max(b, 0)]), [0, 0]];
}

/** VALID windows ignore what they do not reach at the end; negative pads at the beginning are cut. */
function crop(c: Converter, name: string, from: number, { pads }: Window): number {
  const cut = pads.map(([before]) => Math.max(-before, 0));
  if (cut.every((rows) => rows === 0)) return from;
  const { shape } = c.of(from);
  const begin = [0, cut[0] ?? 0, cut[1] ?? 0, 0];
  return c.slice(name, from, {
    begin,
    end: shape,
    steps: [1, 1, 1, 1],
    shape: shape.map((dim, i) => dim - (begin[i] ?? 0)),
  });
}

/** [O, I, h, w] → [O, h, w, I], or for depthwise [C·m, 1, h, w] → [1, h, w, C·m]. */
function reorder(
  values: ArrayLike<number>,
  shape: readonly number[],
  depthwise: boolean,
): { order: Int32Array; shape: number[] } {
  const [o = 1, i = 1, ...space] = shape;
  const [h, w] = pair(space, 1);
  const to = depthwise ? [1, h, w, o] : [o, h, w, i];
  const order = new Int32Array(values.length);
  let at = 0;
  for (let a = 0; a < (to[0] ?? 1); a++)
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++)
        for (let b = 0; b < (to[3] ?? 1); b++) {
          const [oo, ii] = depthwise ? [b, 0] : [a, b];
          order[at++] = ((oo * i + ii) * h + y) * w + x;
        }
  return { order, shape: to };
}

function floatWeights(c: Converter, node: Node, depthwise: boolean): Weights {
  const weight = c.constant(node.input(1));
  if (!weight) return c.fail(node, 'its weights are computed, and must be constants');
  const { order, shape } = reorder(weight.values, weight.shape, depthwise);
  const count = weight.shape[0] ?? 1;
  const bias = node.input(2) ? c.constant(node.input(2)) : undefined;
  if (node.input(2) && !bias) c.fail(node, 'its bias is computed, and must be a constant');
  const name = node.input(1)?.name ?? 'weight';
  return {
    filter: c.floats(
      name,
      shape,
      Float32Array.from(order, (at) => weight.values[at] ?? 0),
    ),
    bias: c.floats(
      node.input(2)?.name ?? `${name}_bias`,
      [count],
      bias ? Float32Array.from(bias.values) : new Float32Array(count),
    ),
  };
}

function quantizedWeights(c: Converter, node: Node, input: Entry, depthwise: boolean): Weights | undefined {
  const weight = storedWeight(c, node.input(1));
  if (!weight || (weight.scale.length > 1 && weight.axis !== 0)) return undefined;
  const count = weight.shape[0] ?? 1;
  const bias = integerBias(c, node.input(2), input, weight, count);
  if (bias === undefined) return undefined;
  const { order, shape } = reorder(weight.values, weight.shape, depthwise);
  const data = Int32Array.from(order, (at) => weight.values[at] ?? 0);
  const axis = depthwise ? 3 : 0;
  return { filter: integerWeight(c, node.input(1)?.name ?? 'weight', shape, data, weight, axis), bias };
}

export function integerWeight(
  c: Converter,
  name: string,
  shape: readonly number[],
  data: Int32Array,
  weight: StoredWeight,
  axis: number,
): number {
  const stored: ConstData = c.storage === 'int8' ? Int8Array.from(data) : Uint8Array.from(data);
  const zero = weight.scale.map(() => weight.zero);
  return c.lite.constant(name, shape, stored, { scale: weight.scale, zero, axis: weight.scale.length > 1 ? axis : 0 });
}

export function integerBias(
  c: Converter,
  value: Value | undefined,
  input: Entry,
  weight: StoredWeight,
  count: number,
): number | undefined {
  const scale = weight.scale.map((own) => Math.fround((input.quant?.scale[0] ?? 1) * own));
  const steps = storedBias(c, value, scale, count);
  return steps && c.lite.constant(value?.name ?? 'bias', [count], steps, { scale, zero: scale.map(() => 0), axis: 0 });
}

/** Transposed convolution: the whole result without padding, then what pads cut away goes. */
export const convTranspose: Handler = (node, c) => {
  const x = node.input(0) as Value;
  const [shape, out] = [c.shape(x), c.shape(node.output())];
  const weight = c.constant(node.input(1));
  if (!weight) return c.fail(node, 'its weights are computed, and must be constants');
  if (node.int('group', 1) !== 1) c.fail(node, 'transposed convolutions with groups have no counterpart');
  const dilations = node.ints('dilations') ?? [];
  if (dilations.some((d) => d !== 1)) c.fail(node, 'transposed convolutions with dilations have no counterpart');
  if (shape.length !== 4 && shape.length !== 3) c.fail(node, 'only one or two axes are supported');
  const [k, s] = [pair(weight.shape.slice(2), 1), pair(node.ints('strides'), 1)];
  const [inSize, outSize] = [pair(shape.slice(2), 1), pair(out.slice(2), 1)];
  const full = [0, 1].map((axis) => ((inSize[axis] ?? 1) - 1) * (s[axis] ?? 1) + (k[axis] ?? 1));
  const [i = 1, o = 1] = weight.shape;
  const order: number[] = [];
  for (let a = 0; a < o; a++)
    for (let at = 0; at < k[0] * k[1]; at++) for (let b = 0; b < i; b++) order.push((b * o + a) * k[0] * k[1] + at);
  const filter = c.floats(
    node.input(1)?.name ?? 'weight',
    [o, k[0], k[1], i],
    order.map((at) => weight.values[at] ?? 0),
  );
  const bias = node.input(2) ? c.constant(node.input(2)) : undefined;
  if (node.input(2) && !bias) c.fail(node, 'its bias is computed, and must be a constant');
  const name = node.output().name;
  const from = asPicture(c, name, c.get(c.entry(x), 'last'));
  const wide = [shape[0] ?? 1, full[0] ?? 1, full[1] ?? 1, o];
  let result = c.op(
    'TRANSPOSE_CONV',
    [
      c.lite.ints('output_shape', wide),
      filter,
      from,
      c.floats('bias', [o], bias ? Float32Array.from(bias.values) : new Float32Array(o)),
    ],
    { name, shape: wide, type: 'float32' },
    { type: 'TransposeConvOptions', value: { padding: 1, stride_h: s[0], stride_w: s[1] } },
  );
  const before = pair(transposePads(node, shape.slice(2), weight.shape.slice(2), out.slice(2)), 0);
  const end = [0, 1].map((axis) => Math.min(full[axis] ?? 1, (before[axis] ?? 0) + (outSize[axis] ?? 1)));
  const missing = [0, 1].map((axis) => (before[axis] ?? 0) + (outSize[axis] ?? 1) - (full[axis] ?? 1));
  if (
    missing.some((rows) => rows > 0) &&
    bias &&
    elementCount(bias.shape) > 0 &&
    bias.values.some((value) => value !== 0)
  )
    c.fail(node, 'output_padding beyond the kernel, together with a bias, has no counterpart');
  const kept = end.map((to, axis) => to - (before[axis] ?? 0));
  if (before.some((rows) => rows > 0) || kept.some((rows, axis) => rows !== full[axis])) {
    const begin = [0, before[0] ?? 0, before[1] ?? 0, 0];
    const to = [wide[0] ?? 1, end[0] ?? 1, end[1] ?? 1, o];
    result = c.slice(name, result, {
      begin,
      end: to,
      steps: [1, 1, 1, 1],
      shape: to.map((dim, axis) => dim - (begin[axis] ?? 0)),
    });
  }
  const rows = [[0, 0], ...missing.map((m): [number, number] => [0, Math.max(0, m)]), [0, 0]] as [number, number][];
  putPicture(c, node.output(), c.pad(name, result, rows));
};
