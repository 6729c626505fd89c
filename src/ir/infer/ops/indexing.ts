import { addDims, ceilDivDims, exactDivDims, isNonNegativeDim, maxDims, minDims, mulDims, subDims } from '../../dim.ts';
import { dtypeFromCode } from '../../dtype.ts';
import type { Dim } from '../../types.ts';
import type { NodeContext, Rule, RuleTable } from '../context.ts';
import { type Data, numbersOf, pickData } from '../data.ts';
import { plainAxes, plainAxis, unknownDims } from '../shapes.ts';
import { same } from './elementwise.ts';

/** Bounds at least this far out mean "to the end". */
const farAway = 2 ** 31 - 1;

const slice: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const bounds = sliceBounds(ctx);
  if (!shape) return ctx.set(0, ctx.dtype(0));
  if (!bounds) {
    // Which axes are cut is not known: only the rank stays.
    return ctx.set(
      0,
      ctx.dtype(0),
      shape.map(() => undefined),
    );
  }
  const out = [...shape];
  for (const { axis, start, end, step } of bounds) out[axis] = sliceLength(shape[axis], start, end, step);
  ctx.set(0, ctx.dtype(0), out);
  ctx.setData(0, slicedData(ctx.data(0), bounds));
};

interface Bounds {
  readonly axis: number;
  readonly start: Dim;
  readonly end: Dim;
  readonly step: Dim;
}

/** Attributes before opset 10, inputs since. */
function sliceBounds(ctx: NodeContext): Bounds[] | undefined {
  const old = ctx.opset < 10;
  const starts = old ? ctx.ints('starts') : unknownItems(ctx, 1);
  const ends = old ? ctx.ints('ends') : unknownItems(ctx, 2);
  const rank = ctx.rank(0);
  if (!starts || !ends || rank === undefined || starts.length !== ends.length) return undefined;
  const given = old ? ctx.ints('axes') : ctx.has(3) ? (ctx.numbers(3) ?? 'unknown') : undefined;
  if (given === 'unknown') return undefined;
  const axes = plainAxes(given ?? starts.map((_, axis) => axis), rank);
  const steps = old || !ctx.has(4) ? starts.map(() => 1) : unknownItems(ctx, 4);
  if (!axes || !steps) return undefined;
  return axes.map((axis, index) => ({ axis, start: starts[index], end: ends[index], step: steps[index] }));
}

/** Elements of a small vector, unknown ones included where only its length is known. */
function unknownItems(ctx: NodeContext, index: number): readonly Dim[] | undefined {
  const data = ctx.data(index);
  if (data) return data.items;
  const length = ctx.shape(index)?.[0];
  return typeof length === 'number' && length <= 64 ? unknownDims(length) : undefined;
}

/** Number of elements from `start` to `end` in steps, bounds counted from the end and cut to the extent as ONNX does. */
function sliceLength(dim: Dim, start: Dim, end: Dim, step: Dim): Dim {
  if (typeof step !== 'number' || step === 0 || dim === undefined) return undefined;
  if (step > 0) {
    const [first, last] = [cutBound(start, dim), cutBound(end, dim)];
    // An extent is never negative, whatever its expression looks like.
    const length = first === 0 ? last : maxDims(0, subDims(last, first));
    return ceilDivDims(length, step);
  }
  if (typeof dim === 'number' && typeof start === 'number' && typeof end === 'number') {
    if (dim === 0) return 0;
    // Runtimes differ in whether "to the end" is the beginning here.
    if (end >= farAway) return undefined;
    const first = backwardStart(start, dim);
    const last = Math.max(-1, end < 0 ? end + dim : end);
    return Math.max(0, Math.ceil((last - first) / step));
  }
  const fromEnd = typeof start === 'number' && (start === -1 || start >= farAway);
  const toBegin = typeof end === 'number' && end <= -farAway;
  return fromEnd && toBegin ? ceilDivDims(dim, -step) : undefined;
}

/** Where a Slice with a negative step begins: within 0 … dim − 1, also where it was said to begin further in front. */
const backwardStart = (start: number, dim: number): number =>
  Math.min(dim - 1, Math.max(0, start < 0 ? start + dim : start));

/** A bound within 0 … dim. */
function cutBound(bound: Dim, dim: Dim): Dim {
  if (typeof bound === 'number') {
    if (bound >= farAway) return dim;
    if (bound <= -farAway || bound === 0) return 0;
    return bound < 0 ? maxDims(0, addDims(dim, bound)) : minDims(bound, dim);
  }
  return isNonNegativeDim(bound) ? minDims(bound, dim) : undefined;
}

function slicedData(data: Data | undefined, bounds: readonly Bounds[]): Data | undefined {
  if (!data) return undefined;
  const positions = data.shape.map((length) => Array.from({ length }, (_, at) => at));
  for (const { axis, start, end, step } of bounds) {
    const length = data.shape[axis];
    if (typeof start !== 'number' || typeof end !== 'number' || typeof step !== 'number') return undefined;
    if (step === 0 || length === undefined) return undefined;
    if (step < 0 && end >= farAway) return undefined;
    const low = step > 0 ? 0 : -1;
    const cut = (bound: number): number => Math.min(length + low, Math.max(low, bound < 0 ? bound + length : bound));
    const picked: number[] = [];
    const first = step > 0 ? cut(start) : backwardStart(start, length);
    for (let at = first; step > 0 ? at < cut(end) : at > cut(end); at += step) picked.push(at);
    positions[axis] = picked;
  }
  return pickData(data, positions);
}

const gather: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const indices = ctx.shape(1);
  const axis = shape && plainAxis(ctx.int('axis', 0), shape.length);
  if (!shape || !indices || axis === undefined) return ctx.set(0, ctx.dtype(0));
  ctx.set(0, ctx.dtype(0), [...shape.slice(0, axis), ...indices, ...shape.slice(axis + 1)]);
  ctx.setData(0, gatheredData(ctx.data(0), ctx.data(1), axis));
};

function gatheredData(data: Data | undefined, indices: Data | undefined, axis: number): Data | undefined {
  const length = data?.shape[axis];
  if (!data || !indices || length === undefined) return undefined;
  if (data.shape.length === 1) {
    const pick = (at: Dim): Dim => (typeof at === 'number' ? data.items[at < 0 ? at + length : at] : undefined);
    return { shape: indices.shape, items: indices.items.map(pick) };
  }
  const numbers = numbersOf(indices)?.map((at) => (at < 0 ? at + length : at));
  if (!numbers || numbers.some((at) => at < 0 || at >= length)) return undefined;
  const positions = data.shape.map((size, other) =>
    other === axis ? numbers : Array.from({ length: size }, (_, at) => at),
  );
  const picked = pickData(data, positions);
  return (
    picked && {
      shape: [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)],
      items: picked.items,
    }
  );
}

const gatherNd: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const indices = ctx.shape(1);
  const depth = indices?.at(-1);
  const batch = ctx.int('batch_dims', 0);
  if (!shape || !indices || typeof depth !== 'number' || batch + depth > shape.length) return ctx.set(0, ctx.dtype(0));
  ctx.set(0, ctx.dtype(0), [...indices.slice(0, -1), ...shape.slice(batch + depth)]);
};

const pad: Rule = (ctx) => {
  const shape = ctx.shape(0);
  if (!shape) return ctx.set(0, ctx.dtype(0));
  const pads = ctx.opset < 11 ? (ctx.ints('pads') ?? ctx.ints('paddings')) : ctx.data(1)?.items;
  const given = ctx.has(3) ? ctx.numbers(3) : undefined;
  if (!pads || (ctx.has(3) && !given))
    return ctx.set(
      0,
      ctx.dtype(0),
      shape.map(() => undefined),
    );
  const axes = given ? plainAxes(given, shape.length) : shape.map((_, axis) => axis);
  if (!axes || pads.length !== 2 * axes.length)
    return ctx.set(
      0,
      ctx.dtype(0),
      shape.map(() => undefined),
    );
  const out = [...shape];
  for (const [index, axis] of axes.entries()) {
    out[axis] = addDims(addDims(shape[axis], pads[index]), pads[index + axes.length]);
  }
  ctx.set(0, ctx.dtype(0), out);
};

const oneHot: Rule = (ctx) => {
  const indices = ctx.shape(0);
  const depth = ctx.data(1)?.items[0];
  const axis = ctx.int('axis', -1);
  if (!indices) return ctx.set(0, ctx.dtype(2));
  const at = plainAxis(axis, indices.length + 1);
  if (at === undefined) return;
  ctx.set(0, ctx.dtype(2), [
    ...indices.slice(0, at),
    isNonNegativeDim(depth) ? depth : undefined,
    ...indices.slice(at),
  ]);
};

const topK: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const k = ctx.opset < 10 ? ctx.int('k') : ctx.data(1)?.items[0];
  const axis = shape && plainAxis(ctx.int('axis', -1), shape.length);
  const out = shape && axis !== undefined ? shape.map((dim, at) => (at === axis ? k : dim)) : undefined;
  ctx.set(0, ctx.dtype(0), out);
  ctx.set(1, 'int64', out);
};

const unique: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const axis = ctx.int('axis');
  ctx.set(
    0,
    ctx.dtype(0),
    axis === undefined
      ? [undefined]
      : shape?.map((dim, at) => (at === plainAxis(axis, shape.length) ? undefined : dim)),
  );
  for (const index of [1, 2, 3]) ctx.set(index, 'int64', [undefined]);
};

const compress: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const axis = ctx.int('axis');
  if (axis === undefined) return ctx.set(0, ctx.dtype(0), [undefined]);
  ctx.set(
    0,
    ctx.dtype(0),
    shape?.map((dim, at) => (at === plainAxis(axis, shape.length) ? undefined : dim)),
  );
};

const depthToSpace: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const block = ctx.int('blocksize');
  if (!shape || block === undefined || shape.length !== 4) return ctx.set(0, ctx.dtype(0));
  const [batch, depth, ...space] = shape;
  ctx.set(0, ctx.dtype(0), [batch, exactDivDims(depth, block * block), ...space.map((dim) => mulDims(dim, block))]);
};

const spaceToDepth: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const block = ctx.int('blocksize');
  if (!shape || block === undefined || shape.length !== 4) return ctx.set(0, ctx.dtype(0));
  const [batch, depth, ...space] = shape;
  ctx.set(0, ctx.dtype(0), [batch, mulDims(depth, block * block), ...space.map((dim) => exactDivDims(dim, block))]);
};

const eyeLike: Rule = (ctx) => {
  const code = ctx.int('dtype');
  ctx.set(0, code === undefined ? ctx.dtype(0) : dtypeFromCode(code), ctx.shape(0));
};

const nonMaxSuppression: Rule = (ctx) => ctx.set(0, 'int64', [undefined, 3]);

const nonZero: Rule = (ctx) => {
  const rank = ctx.rank(0);
  ctx.set(0, 'int64', [rank === 0 ? undefined : rank, undefined]);
};

const centerCropPad: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const wanted = ctx.data(1)?.items;
  const axes = shape && plainAxes(ctx.ints('axes') ?? shape.map((_, axis) => axis), shape.length);
  if (!shape || !axes) return ctx.set(0, ctx.dtype(0));
  ctx.set(
    0,
    ctx.dtype(0),
    shape.map((dim, axis) => (axes.includes(axis) ? wanted?.[axes.indexOf(axis)] : dim)),
  );
};

export const indexing: RuleTable = {
  Slice: slice,
  Gather: gather,
  GatherElements: (ctx) => ctx.set(0, ctx.dtype(0), ctx.shape(1)),
  GatherND: gatherNd,
  Scatter: same,
  ScatterElements: same,
  ScatterND: same,
  Pad: pad,
  OneHot: oneHot,
  TopK: topK,
  Unique: unique,
  Compress: compress,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  EyeLike: eyeLike,
  NonZero: nonZero,
  NonMaxSuppression: nonMaxSuppression,
  CenterCropPad: centerCropPad,
};
