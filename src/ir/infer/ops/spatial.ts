import { addDims, ceilDivDims, exactDivDims, floorDivDims, minDims, mulDims, subDims } from '../../dim.ts';
import type { DType } from '../../dtype.ts';
import type { Dim, Shape } from '../../types.ts';
import type { NodeContext, Rule, RuleTable } from '../context.ts';
import { unknownDims } from '../shapes.ts';

/** One spatial axis of a sliding window (ONNX Conv, pooling). */
interface Window {
  readonly kernel: Dim;
  readonly stride: number;
  readonly dilation: number;
  readonly padBegin: number;
  readonly padEnd: number;
  readonly autoPad: string;
  readonly ceil: boolean;
}

/** Windows of all spatial axes. */
function windows(ctx: NodeContext, kernel: readonly Dim[]): Window[] {
  const rank = kernel.length;
  const strides = ctx.ints('strides');
  const dilations = ctx.ints('dilations');
  const pads = ctx.ints('pads');
  const autoPad = ctx.text('auto_pad') ?? 'NOTSET';
  return kernel.map((size, axis) => ({
    kernel: size,
    stride: strides?.[axis] ?? 1,
    dilation: dilations?.[axis] ?? 1,
    padBegin: pads?.[axis] ?? 0,
    padEnd: pads?.[axis + rank] ?? 0,
    autoPad,
    ceil: ctx.int('ceil_mode', 0) === 1,
  }));
}

/** Extent behind a window: floor((in + pads − dilation·(kernel − 1) − 1) / stride) + 1. */
function slide(dim: Dim, window: Window): Dim {
  const { kernel, stride, dilation, padBegin, padEnd, autoPad, ceil } = window;
  if (stride <= 0) return undefined;
  if (autoPad === 'SAME_UPPER' || autoPad === 'SAME_LOWER') return ceilDivDims(dim, stride);
  const padding = autoPad === 'VALID' ? 0 : padBegin + padEnd;
  const reach = addDims(mulDims(subDims(kernel, 1), dilation), 1);
  const room = subDims(addDims(dim, padding), reach);
  if (!ceil) return atLeastZero(addDims(floorDivDims(room, stride), 1));
  const up = addDims(ceilDivDims(room, stride), 1);
  // A window that would begin in the padding behind the data does not count.
  const begun = addDims(floorDivDims(subDims(addDims(dim, autoPad === 'VALID' ? 0 : padBegin), 1), stride), 1);
  return atLeastZero(minDims(up, begun));
}

/** Numbers that came out negative are contradictions; symbolic ones are taken to be large enough for the kernel. */
function atLeastZero(dim: Dim): Dim {
  return typeof dim === 'number' && dim < 0 ? undefined : dim;
}

/** [N, C, …] with a weight [M, C/group, …]. */
function convShape(ctx: NodeContext, x: number, w: number): Shape | undefined {
  const input = ctx.shape(x);
  const weight = ctx.shape(w);
  const rank = input?.length ?? weight?.length;
  if (rank === undefined || rank < 2) return undefined;
  const kernel = ctx.ints('kernel_shape') ?? weight?.slice(2) ?? unknownDims(rank - 2);
  if (kernel.length !== rank - 2) return undefined;
  const space = windows(ctx, kernel).map((window, axis) => slide(input?.[axis + 2], window));
  return [input?.[0], weight?.[0], ...space];
}

export function convRule(dtype: (ctx: NodeContext) => DType | undefined, w = 1): Rule {
  return (ctx) => ctx.set(0, dtype(ctx), convShape(ctx, 0, w));
}

/** [N, C, …] with a weight [C, M/group, …]. */
const convTranspose: Rule = (ctx) => {
  const input = ctx.shape(0);
  const weight = ctx.shape(1);
  const rank = input?.length ?? weight?.length;
  if (rank === undefined || rank < 2) return ctx.set(0, ctx.dtype(0));
  const kernel = ctx.ints('kernel_shape') ?? weight?.slice(2) ?? unknownDims(rank - 2);
  if (kernel.length !== rank - 2) return ctx.set(0, ctx.dtype(0));
  const channels = mulDims(weight?.[1], ctx.int('group', 1));
  const extra = ctx.ints('output_padding');
  const wanted = ctx.ints('output_shape')?.slice(-kernel.length);
  const space = windows(ctx, kernel).map((window, axis): Dim => {
    if (wanted) return wanted[axis];
    const dim = input?.[axis + 2];
    const reach = addDims(mulDims(subDims(window.kernel, 1), window.dilation), 1);
    const isSame = window.autoPad.startsWith('SAME');
    const padding = isSame || window.autoPad === 'VALID' ? 0 : window.padBegin + window.padEnd;
    const full = addDims(mulDims(subDims(dim, 1), window.stride), addDims(reach, (extra?.[axis] ?? 0) - padding));
    // What is too much is cut off; where the kernel is shorter than its stride, nothing is added (ONNX Runtime).
    return isSame ? minDims(mulDims(dim, window.stride), full) : atLeastZero(full);
  });
  ctx.set(0, ctx.dtype(0), [input?.[0], channels, ...space]);
};

export function poolShape(ctx: NodeContext, x = 0): Shape | undefined {
  const input = ctx.shape(x);
  const kernel = ctx.ints('kernel_shape');
  if (!input || !kernel || kernel.length !== input.length - 2) return undefined;
  const space = windows(ctx, kernel).map((window, axis) =>
    // ONNX Runtime pads for the kernel without its dilation there, so that less comes out than ONNX says.
    window.autoPad.startsWith('SAME') && window.dilation !== 1 ? undefined : slide(input[axis + 2], window),
  );
  return [input[0], input[1], ...space];
}

const pool: Rule = (ctx) => {
  const shape = poolShape(ctx);
  ctx.set(0, ctx.dtype(0), shape);
  if (ctx.outputCount > 1) ctx.set(1, 'int64', shape);
};

const globalPool: Rule = (ctx) => {
  const shape = ctx.shape(0);
  ctx.set(
    0,
    ctx.dtype(0),
    shape?.map((dim, axis) => (axis < 2 ? dim : 1)),
  );
};

const maxUnpool: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const kernel = ctx.ints('kernel_shape');
  if (!shape || !kernel || kernel.length !== shape.length - 2) return ctx.set(0, ctx.dtype(0));
  if (ctx.has(2)) return ctx.set(0, ctx.dtype(0), ctx.numbers(2) ?? shape.map(() => undefined));
  const space = windows(ctx, kernel).map(({ kernel: size, stride, padBegin, padEnd }, axis) =>
    addDims(mulDims(subDims(shape[axis + 2], 1), stride), addDims(size, -(padBegin + padEnd))),
  );
  ctx.set(0, ctx.dtype(0), [shape[0], shape[1], ...space]);
};

/** [N, C, H, W] sampled on a grid [N, H', W', 2] (or one axis more). */
const gridSample: Rule = (ctx) => {
  const [input, grid] = [ctx.shape(0), ctx.shape(1)];
  ctx.set(0, ctx.dtype(0), input && grid && [input[0], input[1], ...grid.slice(1, -1)]);
};

const affineGrid: Rule = (ctx) => {
  const size = ctx.data(1)?.items;
  ctx.set(0, ctx.dtype(0), size && [size[0], ...size.slice(2), size.length - 2]);
};

const roiAlign: Rule = (ctx) =>
  ctx.set(0, ctx.dtype(0), [
    ctx.shape(1)?.[0],
    ctx.shape(0)?.[1],
    ctx.int('output_height', 1),
    ctx.int('output_width', 1),
  ]);

const maxRoiPool: Rule = (ctx) =>
  ctx.set(0, ctx.dtype(0), [
    ctx.shape(1)?.[0],
    ctx.shape(0)?.[1],
    ...(ctx.ints('pooled_shape') ?? [undefined, undefined]),
  ]);

const col2Im: Rule = (ctx) => {
  const input = ctx.shape(0);
  const block = ctx.numbers(2);
  const channels =
    block &&
    exactDivDims(
      input?.[1],
      block.reduce((a, b) => a * b, 1),
    );
  const image = ctx.data(1)?.items;
  ctx.set(0, ctx.dtype(0), image && [input?.[0], channels, ...image]);
};

/** Resize and Upsample: by factors, or to a size. */
const resize: Rule = (ctx) => {
  const shape = ctx.shape(0);
  if (!shape) return ctx.set(0, ctx.dtype(0));
  const upsample = ctx.node.op === 'Upsample' || ctx.opset < 11;
  const scaleInput = upsample ? 1 : 2;
  const scales = ctx.floats('scales') ?? (ctx.has(scaleInput) ? ctx.data(scaleInput)?.items : undefined);
  const sizes = upsample ? undefined : ctx.data(3)?.items;
  const chosen =
    ctx.ints('axes')?.map((axis) => (axis < 0 ? axis + shape.length : axis)) ?? shape.map((_, axis) => axis);
  // The crop of this mode changes the extent by data we do not follow.
  const crops = ctx.text('coordinate_transformation_mode') === 'tf_crop_and_resize';
  const policy = ctx.text('keep_aspect_ratio_policy') ?? 'stretch';
  const out = shape.map((dim, axis): Dim => {
    const at = chosen.indexOf(axis);
    if (at < 0) return dim;
    if (!upsample && ctx.has(3) && (!scales || scales.length === 0))
      return policy === 'stretch' ? sizes?.[at] : undefined;
    if (crops) return undefined;
    return scaled(dim, scales?.length === chosen.length ? scales[at] : undefined);
  });
  ctx.set(0, ctx.dtype(0), out);
};

/** floor(dim · scale), the scale being a float32. */
function scaled(dim: Dim, scale: Dim): Dim {
  if (typeof scale !== 'number') return undefined;
  if (Number.isInteger(scale)) return mulDims(dim, scale);
  if (typeof dim === 'number') return Math.floor(Math.fround(dim * Math.fround(scale)));
  const inverse = 1 / scale;
  return Number.isInteger(inverse) ? floorDivDims(dim, inverse) : undefined;
}

export const spatial: RuleTable = {
  Conv: convRule((ctx) => ctx.dtype(0) ?? ctx.dtype(1)),
  ConvInteger: convRule(() => 'int32'),
  QLinearConv: convRule((ctx) => ctx.dtype(7), 3),
  ConvTranspose: convTranspose,
  DeformConv: (ctx) => ctx.set(0, ctx.dtype(0), convShape(ctx, 0, 1)),
  MaxPool: pool,
  AveragePool: pool,
  LpPool: pool,
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  GlobalLpPool: globalPool,
  MaxUnpool: maxUnpool,
  GridSample: gridSample,
  AffineGrid: affineGrid,
  RoiAlign: roiAlign,
  MaxRoiPool: maxRoiPool,
  Col2Im: col2Im,
  Resize: resize,
  Upsample: resize,
};
