import { elementCount } from '../../../src/ir/tensor.ts';
import { broadcastIndex, stridesOf, walk } from '../../../src/kernels/walk.ts';
import type { OpName } from '../schema.ts';
import { activated, type Held, type Kernel, need, real, stored } from './values.ts';
import { averagePool, batchMatMul, conv, depthwise, fullyConnected, maxPool, transposeConv } from './windows.ts';

function unary(f: (x: number) => number): Kernel {
  return ([x], out) => stored(out, Float64Array.from(real(x), f));
}

function binary(f: (a: number, b: number) => number): Kernel {
  return ([a, b], out, options) => {
    const [x, y] = [real(a), real(b)];
    const [left, right] = [broadcastIndex(a.shape, out.shape), broadcastIndex(b.shape, out.shape)];
    return stored(
      out,
      activated(
        Float64Array.from(left, (at, i) => f(x[at] ?? 0, y[right[i] ?? 0] ?? 0)),
        options,
      ),
    );
  };
}

const take = (x: Held, index: Int32Array): Float64Array => Float64Array.from(index, (at) => x.values[at] ?? 0);
const copy: Kernel = ([x]) => x.values;

function reduce(
  f: (sum: number, x: number) => number,
  start: number,
  finish = (sum: number, _: number): number => sum,
): Kernel {
  return ([x, axes], out) => {
    const { shape } = x;
    const gone = new Set(Array.from(axes.values, (axis) => (axis < 0 ? axis + shape.length : axis)));
    const kept = shape.map((dim, axis) => (gone.has(axis) ? 1 : dim));
    const target = broadcastIndex(kept, shape);
    const sums = new Float64Array(elementCount(kept)).fill(start);
    const values = real(x);
    for (let at = 0; at < values.length; at++) sums[target[at] ?? 0] = f(sums[target[at] ?? 0] ?? 0, values[at] ?? 0);
    const count = values.length / sums.length;
    return stored(
      out,
      sums.map((sum) => finish(sum, count)),
    );
  };
}

const softmax: Kernel = ([x], out) => {
  const values = Float64Array.from(real(x));
  const row = x.shape.at(-1) ?? 1;
  const result = new Float64Array(values.length);
  for (let start = 0; start < values.length; start += row) {
    const part = values.subarray(start, start + row);
    const top = part.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const powers = Float64Array.from(part, (value) => Math.exp(value - top));
    const sum = powers.reduce((a, b) => a + b, 0);
    result.set(
      powers.map((power) => power / sum),
      start,
    );
  }
  return stored(out, result);
};

const pad: Kernel = ([x, pads, fill], out) => {
  const { shape, values, tensor } = x;
  const rows = pads.values;
  const empty = fill ? (fill.values[0] ?? 0) : (tensor.quant?.zero[0] ?? 0);
  const result = new Float64Array(elementCount(out.shape)).fill(empty);
  const strides = stridesOf(out.shape);
  const start = shape.reduce((sum, _, axis) => sum + (rows[2 * axis] ?? 0) * (strides[axis] ?? 0), 0);
  const to = walk(shape, strides, start);
  for (let at = 0; at < values.length; at++) result[to[at] ?? 0] = values[at] ?? 0;
  return result;
};

const mirrorPad: Kernel = ([x, pads], out) => {
  const { shape } = x;
  const rows = pads.values;
  const strides = stridesOf(shape);
  const own = stridesOf(out.shape);
  return take(
    x,
    Int32Array.from({ length: elementCount(out.shape) }, (_, at) =>
      shape.reduce((sum, dim, axis) => {
        let place = (Math.floor(at / (own[axis] ?? 1)) % (out.shape[axis] ?? 1)) - (rows[2 * axis] ?? 0);
        if (place < 0) place = -place;
        if (place >= dim) place = 2 * dim - 2 - place;
        return sum + place * (strides[axis] ?? 0);
      }, 0),
    ),
  );
};

const concatenation: Kernel = (given, out, options) => {
  const inputs = given.map(need);
  const rank = out.shape.length;
  const axis = (Number(options.axis ?? 0) + rank) % rank;
  const outer = elementCount(out.shape.slice(0, axis));
  const result = new Float64Array(elementCount(out.shape));
  const rows = inputs.map(({ shape }) => elementCount(shape.slice(axis)));
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (const [i, x] of inputs.entries()) {
      const row = rows[i] ?? 0;
      result.set(x.values.subarray(o * row, (o + 1) * row), at);
      at += row;
    }
  return result;
};

const gather: Kernel = ([x, indices], _, options) => {
  const { shape, values } = x;
  const axis = (Number(options.axis ?? 0) + shape.length) % shape.length;
  const [outer, extent, inner] = [
    elementCount(shape.slice(0, axis)),
    shape[axis] ?? 1,
    elementCount(shape.slice(axis + 1)),
  ];
  const chosen = indices.values;
  const result = new Float64Array(outer * chosen.length * inner);
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (const own of chosen)
      for (let i = 0; i < inner; i++) result[at++] = values[(o * extent + own) * inner + i] ?? 0;
  return result;
};

const stridedSlice: Kernel = ([x, begin, , steps], out) => {
  const strides = stridesOf(x.shape);
  const start = strides.reduce((sum, stride, axis) => sum + stride * (begin.values[axis] ?? 0), 0);
  const by = strides.map((stride, axis) => stride * (need(steps).values[axis] ?? 1));
  return take(x, walk(out.shape, by, start));
};

const transpose: Kernel = ([x, perm], out) => {
  const strides = stridesOf(x.shape);
  return take(
    x,
    walk(
      out.shape,
      Array.from(perm.values, (axis) => strides[axis] ?? 0),
      0,
    ),
  );
};

const depthToSpace: Kernel = ([x], out, options) => {
  const block = Number(options.block_size ?? 1);
  const [, h = 1, w = 1, channels = 1] = x.shape;
  const [, outH = 1, outW = 1, depth = 1] = out.shape;
  return Float64Array.from({ length: elementCount(out.shape) }, (_, at) => {
    const d = at % depth;
    const col = Math.floor(at / depth) % outW;
    const row = Math.floor(at / (depth * outW)) % outH;
    const n = Math.floor(at / (depth * outW * outH));
    const channel = ((row % block) * block + (col % block)) * depth + d;
    return x.values[((n * h + Math.floor(row / block)) * w + Math.floor(col / block)) * channels + channel] ?? 0;
  });
};

/** Place in the input for each row or column of a resized picture. */
function resizePlaces(from: number, to: number, align: boolean, half: boolean): number[] {
  const scale = align && to > 1 ? (from - 1) / (to - 1) : from / to;
  return Array.from({ length: to }, (_, at) => (half ? (at + 0.5) * scale - 0.5 : at * scale));
}

const resizeNearest: Kernel = ([x], out, options) => {
  const [n = 1, h = 1, w = 1, depth = 1] = x.shape;
  const [, outH = 1, outW = 1] = out.shape;
  const [align, half] = [options.align_corners === true, options.half_pixel_centers === true];
  const pick = (from: number, to: number): number[] =>
    resizePlaces(from, to, align, false).map((at, i) => {
      const place = half ? (i + 0.5) * (from / to) : at;
      return Math.min(align ? Math.round(place) : Math.floor(place), from - 1);
    });
  const [rows, columns] = [pick(h, outH), pick(w, outW)];
  const result = new Float64Array(elementCount(out.shape));
  let at = 0;
  for (let b = 0; b < n; b++)
    for (const row of rows)
      for (const column of columns)
        for (let d = 0; d < depth; d++) result[at++] = x.values[((b * h + row) * w + column) * depth + d] ?? 0;
  return result;
};

const resizeBilinear: Kernel = ([x], out, options) => {
  const [n = 1, h = 1, w = 1, depth = 1] = x.shape;
  const [, outH = 1, outW = 1] = out.shape;
  const flags = [options.align_corners === true, options.half_pixel_centers === true] as const;
  const [rows, columns] = [resizePlaces(h, outH, ...flags), resizePlaces(w, outW, ...flags)];
  const result = new Float64Array(elementCount(out.shape));
  const clamp = (at: number, extent: number): number => Math.min(Math.max(at, 0), extent - 1);
  let place = 0;
  for (let b = 0; b < n; b++)
    for (const row of rows)
      for (const column of columns)
        for (let d = 0; d < depth; d++) {
          const [y0, x0] = [Math.floor(row), Math.floor(column)];
          const [fy, fx] = [row - y0, column - x0];
          const at = (y: number, c: number): number =>
            x.values[((b * h + clamp(y, h)) * w + clamp(c, w)) * depth + d] ?? 0;
          result[place++] =
            (at(y0, x0) * (1 - fx) + at(y0, x0 + 1) * fx) * (1 - fy) +
            (at(y0 + 1, x0) * (1 - fx) + at(y0 + 1, x0 + 1) * fx) * fy;
        }
  return stored(out, result);
};

const argMax: Kernel = ([x, axis]) => {
  const { shape, values } = x;
  const at = ((axis.values[0] ?? 0) + shape.length) % shape.length;
  const [outer, extent, inner] = [elementCount(shape.slice(0, at)), shape[at] ?? 1, elementCount(shape.slice(at + 1))];
  return Float64Array.from({ length: outer * inner }, (_, i) => {
    const base = Math.floor(i / inner) * extent * inner + (i % inner);
    let best = 0;
    for (let k = 1; k < extent; k++) if ((values[base + k * inner] ?? 0) > (values[base + best * inner] ?? 0)) best = k;
    return best;
  });
};

const select: Kernel = ([condition, a, b], out) => {
  const [c, x, y] = [condition, a, need(b)].map((input) => broadcastIndex(input.shape, out.shape)) as [
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  return stored(
    out,
    c.length === 0
      ? new Float64Array()
      : Float64Array.from(c, (at, i) => (condition.values[at] ? a.values[x[i] ?? 0] : need(b).values[y[i] ?? 0]) ?? 0),
  );
};

const tile: Kernel = ([x], out) => {
  const { shape } = x;
  const strides = stridesOf(shape);
  const own = stridesOf(out.shape);
  return take(
    x,
    Int32Array.from({ length: elementCount(out.shape) }, (_, at) =>
      shape.reduce(
        (sum, dim, axis) =>
          sum + ((Math.floor(at / (own[axis] ?? 1)) % (out.shape[axis] ?? 1)) % dim) * (strides[axis] ?? 0),
        0,
      ),
    ),
  );
};

/** Half to even, as the kernel of ROUND and ONNX have it. */
function roundEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

const truth = (value: boolean): number => (value ? 1 : 0);

/** The error function by its series, or its continued fraction beyond 2.5: full precision, for GELU. */
function erf(x: number): number {
  const size = Math.abs(x);
  let sum = 0;
  if (size < 2.5) {
    for (let n = 0, term = size; n < 60; n++) {
      sum += term / (2 * n + 1);
      term *= -(size * size) / (n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  for (let n = 40; n > 0; n--) sum = n / 2 / (size + sum);
  return Math.sign(x) * (1 - Math.exp(-size * size) / ((size + sum) * Math.sqrt(Math.PI)));
}

/** What the operators compute, element by element, without regard to speed. */
export const kernels: Readonly<Partial<Record<OpName, Kernel>>> = {
  ADD: binary((a, b) => a + b),
  SUB: binary((a, b) => a - b),
  MUL: binary((a, b) => a * b),
  DIV: binary((a, b) => a / b),
  FLOOR_MOD: binary((a, b) => a - b * Math.floor(a / b)),
  POW: binary((a, b) => a ** b),
  MAXIMUM: binary(Math.max),
  MINIMUM: binary(Math.min),
  SQUARED_DIFFERENCE: binary((a, b) => (a - b) ** 2),
  EQUAL: binary((a, b) => truth(a === b)),
  NOT_EQUAL: binary((a, b) => truth(a !== b)),
  LESS: binary((a, b) => truth(a < b)),
  LESS_EQUAL: binary((a, b) => truth(a <= b)),
  GREATER: binary((a, b) => truth(a > b)),
  GREATER_EQUAL: binary((a, b) => truth(a >= b)),
  LOGICAL_AND: binary((a, b) => truth(a !== 0 && b !== 0)),
  LOGICAL_OR: binary((a, b) => truth(a !== 0 || b !== 0)),
  PRELU: binary((a, b) => (a < 0 ? a * b : a)),
  LOGICAL_NOT: unary((x) => truth(x === 0)),
  RELU: unary((x) => Math.max(x, 0)),
  RELU6: unary((x) => Math.min(Math.max(x, 0), 6)),
  LOGISTIC: unary((x) => 1 / (1 + Math.exp(-x))),
  TANH: unary(Math.tanh),
  HARD_SWISH: unary((x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6),
  ELU: unary((x) => (x < 0 ? Math.expm1(x) : x)),
  EXP: unary(Math.exp),
  LOG: unary(Math.log),
  SQRT: unary(Math.sqrt),
  RSQRT: unary((x) => 1 / Math.sqrt(x)),
  SIN: unary(Math.sin),
  COS: unary(Math.cos),
  ABS: unary(Math.abs),
  NEG: unary((x) => -x),
  FLOOR: unary(Math.floor),
  CEIL: unary(Math.ceil),
  ROUND: unary(roundEven),
  SIGN: unary(Math.sign),
  LEAKY_RELU: ([x], out, { alpha }) =>
    unary((value) => (value < 0 ? value * Number(alpha ?? 0) : value))([x, x, undefined, undefined], out, {}),
  GELU: ([x], out, { approximate }) =>
    unary((value) =>
      approximate === true
        ? 0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3)))
        : 0.5 * value * (1 + erf(value / Math.SQRT2)),
    )([x, x, undefined, undefined], out, {}),
  CAST: ([x], out) => {
    const { values } = x;
    if (out.type === 'bool') return Float64Array.from(values, (value) => truth(value !== 0));
    return out.type === 'float32' ? Float32Array.from(values) : Float64Array.from(values, Math.trunc);
  },
  DEQUANTIZE: ([x], out) => stored(out, real(x)),
  QUANTIZE: ([x], out) => stored(out, real(x)),
  RESHAPE: copy,
  TRANSPOSE: transpose,
  SOFTMAX: softmax,
  LOG_SOFTMAX: (inputs, out) => Float32Array.from(softmax(inputs, { ...out, type: 'float64' }, {}), Math.log),
  PAD: pad,
  PADV2: pad,
  MIRROR_PAD: mirrorPad,
  CONCATENATION: concatenation,
  GATHER: gather,
  STRIDED_SLICE: stridedSlice,
  BROADCAST_TO: ([x], out) => take(x, broadcastIndex(x.shape, out.shape)),
  TILE: tile,
  SELECT_V2: select,
  DEPTH_TO_SPACE: depthToSpace,
  RESIZE_NEAREST_NEIGHBOR: resizeNearest,
  RESIZE_BILINEAR: resizeBilinear,
  ARG_MAX: argMax,
  MEAN: reduce(
    (sum, x) => sum + x,
    0,
    (sum, count) => sum / count,
  ),
  SUM: reduce((sum, x) => sum + x, 0),
  REDUCE_MAX: reduce(Math.max, Number.NEGATIVE_INFINITY),
  REDUCE_MIN: reduce(Math.min, Number.POSITIVE_INFINITY),
  REDUCE_PROD: reduce((sum, x) => sum * x, 1),
  CONV_2D: conv,
  DEPTHWISE_CONV_2D: depthwise,
  TRANSPOSE_CONV: transposeConv,
  MAX_POOL_2D: maxPool,
  AVERAGE_POOL_2D: averagePool,
  FULLY_CONNECTED: fullyConnected,
  BATCH_MATMUL: batchMatMul,
};
