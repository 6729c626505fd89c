import { constantOf } from '../../constant.ts';
import {
  addDims,
  ceilDivDims,
  exactDivDims,
  isNonNegativeDim,
  maxDims,
  mulDims,
  productDims,
  subDims,
} from '../../dim.ts';
import { isFloat } from '../../dtype.ts';
import { clampBigInt, elementCount, toNumbers } from '../../tensor.ts';
import type { Dim, Shape } from '../../types.ts';
import type { NodeContext, Rule, RuleTable } from '../context.ts';
import { type Data, maxItems, scalar, transposeData, vector } from '../data.ts';
import { broadcastShapes, plainAxes, plainAxis, unifyDims, unknownDims, withDim } from '../shapes.ts';

const shapeOf: Rule = (ctx) => {
  const shape = ctx.shape(0);
  if (!shape) return ctx.set(0, 'int64', [undefined]);
  const clamp = (at: number): number => Math.min(shape.length, Math.max(0, at < 0 ? at + shape.length : at));
  const part = shape.slice(clamp(ctx.int('start', 0)), clamp(ctx.int('end', shape.length)));
  ctx.set(0, 'int64', [part.length]);
  ctx.setData(0, vector(part));
};

const size: Rule = (ctx) => {
  ctx.set(0, 'int64', []);
  const shape = ctx.shape(0);
  if (shape) ctx.setData(0, scalar(productDims(shape)));
};

/** Elements keep their order when a small tensor changes its shape. */
function reshaped(data: Data | undefined, shape: Shape | undefined): Data | undefined {
  if (!data || !shape?.every((dim) => typeof dim === 'number')) return undefined;
  return elementCount(shape) === data.items.length ? { shape, items: data.items } : undefined;
}

const reshape: Rule = (ctx) => {
  const input = ctx.shape(0);
  const wanted = ctx.opset < 5 ? ctx.ints('shape') : ctx.data(1)?.items;
  if (!wanted) {
    const count = ctx.shape(1)?.[0];
    return ctx.set(0, ctx.dtype(0), typeof count === 'number' ? unknownDims(count) : undefined);
  }
  const shape = reshapeTo(input, wanted, ctx.int('allowzero', 0) === 1);
  ctx.set(0, ctx.dtype(0), shape);
  ctx.setData(0, reshaped(ctx.data(0), shape));
};

/** 0 copies the input's dimension, one −1 takes what is left. */
function reshapeTo(input: Shape | undefined, wanted: readonly Dim[], allowZero: boolean): Dim[] {
  const shape = wanted.map((dim, axis): Dim => {
    if (dim === 0 && !allowZero) return input?.[axis];
    return dim === -1 ? undefined : isNonNegativeDim(dim) ? dim : undefined;
  });
  const open = wanted.indexOf(-1);
  if (open >= 0)
    shape[open] =
      input &&
      quotient(
        input,
        shape.filter((_, axis) => axis !== open),
      );
  else if (input) fillOnlyUnknown(input, wanted, shape);
  return shape;
}

/** With one dimension not known and no −1, the element count gives it, whatever the request is: a copy, a −1 or the extent. */
function fillOnlyUnknown(input: Shape, wanted: readonly Dim[], shape: Dim[]): void {
  const unknown = wanted.filter((dim) => dim === undefined).length;
  const at = shape.indexOf(undefined);
  if (unknown !== 1 || shape.filter((dim) => dim === undefined).length !== 1) return;
  shape[at] = quotient(
    input,
    shape.filter((_, axis) => axis !== at),
  );
}

/** product(input) / product(others): equal factors cancel first, so that unknown ones may be among them. */
function quotient(input: Shape, others: readonly Dim[]): Dim {
  const left = [...input];
  const divisors: Dim[] = [];
  for (const other of others) {
    const at = other === undefined || other === 0 ? -1 : left.indexOf(other);
    if (at >= 0) left.splice(at, 1);
    else divisors.push(other);
  }
  const total = productDims(left);
  const divisor = productDims(divisors);
  return divisor === 0 ? undefined : exactDivDims(total, divisor);
}

const flatten: Rule = (ctx) => {
  const shape = ctx.shape(0);
  if (!shape) return ctx.set(0, ctx.dtype(0), [undefined, undefined]);
  const axis = ctx.int('axis', 1);
  const at = axis < 0 ? axis + shape.length : axis;
  if (at < 0 || at > shape.length) return;
  ctx.set(0, ctx.dtype(0), [productDims(shape.slice(0, at)), productDims(shape.slice(at))]);
};

const squeeze: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const { given, values } = ctx.listAt('axes', 1);
  if (!shape || (given && !values)) return ctx.set(0, ctx.dtype(0));
  let kept: Dim[];
  // No axes at all are as if none were given (ONNX Runtime).
  if (values && values.length > 0) {
    const axes = plainAxes(values, shape.length);
    if (!axes) return ctx.set(0, ctx.dtype(0));
    kept = shape.filter((_, axis) => !axes.includes(axis));
  } else {
    // Whether a symbol is 1 decides the rank: then nothing is known.
    if (!shape.every((dim) => typeof dim === 'number')) return ctx.set(0, ctx.dtype(0));
    kept = shape.filter((dim) => dim !== 1);
  }
  ctx.set(0, ctx.dtype(0), kept);
  ctx.setData(0, reshaped(ctx.data(0), kept));
};

const unsqueeze: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const { values } = ctx.listAt('axes', 1);
  const axes = shape && values && plainAxes(values, shape.length + values.length);
  if (!shape || !axes) return ctx.set(0, ctx.dtype(0));
  const rest = [...shape];
  const grown = Array.from(
    { length: shape.length + axes.length },
    (_, axis): Dim => (axes.includes(axis) ? 1 : rest.shift()),
  );
  ctx.set(0, ctx.dtype(0), grown);
  ctx.setData(0, reshaped(ctx.data(0), grown));
};

const transpose: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const perm = ctx.ints('perm') ?? shape?.map((_, axis) => shape.length - 1 - axis);
  if (!perm) return ctx.set(0, ctx.dtype(0));
  const fits = !shape || (shape.length === perm.length && plainAxes(perm, shape.length) !== undefined);
  ctx.set(0, ctx.dtype(0), fits ? perm.map((axis) => shape?.[axis]) : undefined);
  const data = ctx.data(0);
  if (data && fits) ctx.setData(0, transposeData(data, perm));
};

const concat: Rule = (ctx) => {
  const shapes = ctx.node.inputs.map((_, index) => ctx.shape(index));
  const known = shapes.find((shape) => shape !== undefined);
  const rank = known?.length;
  const axis = rank === undefined ? undefined : plainAxis(ctx.int('axis', 1), rank);
  if (!known || axis === undefined) return ctx.set(0, ctx.dtype(0));
  const out: Dim[] = known.map((_, at) => {
    const dims = shapes.map((shape) => (shape?.length === rank ? shape?.[at] : undefined));
    return at === axis ? dims.reduce(addDims) : dims.reduce(unifyDims);
  });
  ctx.set(0, ctx.dtype(0) ?? ctx.dtype(1), out);
  if (rank === 1) ctx.setData(0, concatData(ctx));
  else if (axis === 0) ctx.setData(0, stackedData(ctx));
};

/** Elements of vectors put together; those of an input that is not known, but of known length, are unknown. */
function concatData(ctx: NodeContext): Data | undefined {
  const items: Dim[] = [];
  let anyKnown = false;
  for (let index = 0; index < ctx.inputCount; index++) {
    const data = ctx.data(index);
    const length = ctx.shape(index)?.[0];
    if (data) {
      items.push(...data.items);
      anyKnown = true;
    } else if (typeof length === 'number' && length <= maxItems) items.push(...unknownDims(length));
    else return undefined;
    if (items.length > maxItems) return undefined;
  }
  return anyKnown ? vector(items) : undefined;
}

/** Small tensors put together along their first axis, all of them known. */
function stackedData(ctx: NodeContext): Data | undefined {
  const parts = ctx.node.inputs.map((_, index) => ctx.data(index));
  const known = parts.filter((data) => data !== undefined);
  const items = known.flatMap((data) => data.items);
  const [first] = known;
  if (!first || known.length < parts.length || items.length > maxItems) return undefined;
  const rows = known.map((data) => data.shape[0] ?? 0).reduce((a, b) => a + b);
  return { shape: [rows, ...first.shape.slice(1)], items };
}

const split: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const axis = shape && plainAxis(ctx.int('axis', 0), shape.length);
  const { given, values } = ctx.listAt('split', 1);
  const parts = ctx.int('num_outputs', ctx.outputCount);
  let begin: number | undefined = 0;
  const data = ctx.data(0);
  for (let index = 0; index < ctx.outputCount; index++) {
    if (!shape || axis === undefined) {
      ctx.set(index, ctx.dtype(0));
      continue;
    }
    const dim = given ? values?.[index] : evenPart(shape[axis], parts, index);
    ctx.set(index, ctx.dtype(0), withDim(shape, axis, dim));
    if (data?.shape.length !== 1 || begin === undefined) continue;
    if (typeof dim === 'number') ctx.setData(index, vector(data.items.slice(begin, begin + dim)));
    begin = typeof dim === 'number' ? begin + dim : undefined;
  }
};

/** Equal parts; where they do not come out even (opset 18) the last one is smaller. */
function evenPart(dim: Dim, parts: number, index: number): Dim {
  const exact = exactDivDims(dim, parts);
  if (exact !== undefined || typeof dim !== 'number') return exact;
  const chunk = Math.ceil(dim / parts);
  return Math.max(0, Math.min(chunk, dim - index * chunk));
}

/** An element that is used as an extent: negative numbers and fractions are none. */
function extent(item: Dim): Dim {
  if (typeof item === 'number' && !Number.isSafeInteger(item)) return undefined;
  return isNonNegativeDim(item) ? item : undefined;
}

const expand: Rule = (ctx) => {
  const items = ctx.data(1)?.items;
  const count = ctx.shape(1)?.[0];
  const wanted = items?.map(extent) ?? (typeof count === 'number' ? unknownDims(count) : undefined);
  const shape = broadcastShapes(ctx.shape(0), wanted);
  ctx.set(0, ctx.dtype(0), shape);
  const data = ctx.data(0);
  if (data?.items.length !== 1 || !shape?.every((dim) => typeof dim === 'number')) return;
  const fixed = shape as number[];
  const length = elementCount(fixed);
  if (length <= maxItems) ctx.setData(0, { shape: fixed, items: Array.from({ length }, () => data.items[0]) });
};

const tile: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const repeats = ctx.data(1)?.items;
  ctx.set(
    0,
    ctx.dtype(0),
    shape?.map((dim, axis) => (repeats ? mulDims(dim, repeats[axis]) : undefined)),
  );
};

const constantOfShape: Rule = (ctx) => {
  const attr = ctx.attr('value');
  const fill = attr?.type === 'tensor' ? attr.value : undefined;
  const count = ctx.shape(0)?.[0];
  const items = ctx.data(0)?.items;
  const shape = items?.map(extent) ?? (typeof count === 'number' ? unknownDims(count) : undefined);
  ctx.set(0, fill?.dtype ?? 'float32', shape);
  const length = shape ? productDims(shape) : undefined;
  const item = fill ? toNumbers(fill)?.[0] : 0;
  if (
    typeof length === 'number' &&
    length <= maxItems &&
    item !== undefined &&
    shape?.every((dim) => typeof dim === 'number')
  ) {
    ctx.setData(0, { shape, items: Array.from({ length }, () => item) });
  }
};

const range: Rule = (ctx) => {
  const [start, limit, delta] = [ctx.data(0)?.items[0], ctx.data(1)?.items[0], ctx.data(2)?.items[0]];
  ctx.set(0, ctx.dtype(0), [rangeLength(start, limit, delta)]);
  const dtype = ctx.dtype(0);
  if (!dtype || isFloat(dtype)) return;
  if (typeof start !== 'number' || typeof limit !== 'number' || typeof delta !== 'number' || delta === 0) return;
  const length = Math.max(0, Math.ceil((limit - start) / delta));
  if (length <= maxItems) ctx.setData(0, vector(Array.from({ length }, (_, index) => start + index * delta)));
};

function rangeLength(start: Dim, limit: Dim, delta: Dim): Dim {
  if (typeof start === 'number' && typeof limit === 'number' && typeof delta === 'number') {
    return delta === 0 ? undefined : Math.max(0, Math.ceil((limit - start) / delta));
  }
  if (typeof delta !== 'number' || !Number.isInteger(delta) || delta === 0) return undefined;
  const span = delta > 0 ? subDims(limit, start) : subDims(start, limit);
  return maxDims(0, ceilDivDims(span, Math.abs(delta)));
}

const constant: Rule = (ctx) => {
  const tensor = constantOf(ctx.node.outputs[0]);
  if (tensor) return ctx.set(0, tensor.dtype, tensor.shape);
  // Inside a function body the attribute may come from the call.
  for (const name of ctx.node.attrs.keys()) {
    const attr = ctx.attr(name);
    if (attr?.type === 'tensor') ctx.set(0, attr.value.dtype, attr.value.shape);
    else if (attr?.type === 'int') {
      ctx.set(0, 'int64', []);
      ctx.setData(0, scalar(clampBigInt(attr.value)));
    } else if (attr?.type === 'float') ctx.set(0, 'float32', []);
    else if (attr?.type === 'ints') {
      ctx.set(0, 'int64', [attr.value.length]);
      ctx.setData(0, vector(attr.value.map(clampBigInt)));
    } else if (attr?.type === 'floats') ctx.set(0, 'float32', [attr.value.length]);
    else if (attr?.type === 'string') ctx.set(0, 'string', []);
    else if (attr?.type === 'strings') ctx.set(0, 'string', [attr.value.length]);
  }
};

export const shape: RuleTable = {
  Shape: shapeOf,
  Size: size,
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Expand: expand,
  Tile: tile,
  ConstantOfShape: constantOfShape,
  Range: range,
  Constant: constant,
};
