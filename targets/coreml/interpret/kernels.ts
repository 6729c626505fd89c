import { elementCount } from '../../../src/ir/tensor.ts';
import { roundHalfEven } from '../../../src/kernels/round.ts';
import { broadcastIndex } from '../../../src/kernels/walk.ts';
import * as movement from './movement.ts';
import { instanceNorm, layerNorm, localResponse } from './norms.ts';
import { resizeBilinear, upsampleNearest } from './resize.ts';
import { around, type Held, type Kernel } from './values.ts';
import { avgPool, conv, convTranspose, linear, matmul, maxPool } from './windows.ts';

function unary(f: (x: number) => number): Kernel {
  return (p) => {
    const { shape, values } = p.tensor('x');
    return { shape, values: Float64Array.from(values, f) };
  };
}

/** A function of the element and of parameters that are numbers. */
function tuned(names: readonly string[], f: (x: number, ...parameters: number[]) => number, fallback = 0): Kernel {
  return (p) => {
    const given = names.map((name) => p.number(name, fallback));
    return unary((x) => f(x, ...given))(p);
  };
}

function binary(f: (a: number, b: number) => number): Kernel {
  return (p) => {
    const [x, y] = [p.tensor('x'), p.tensor('y')];
    const rank = Math.max(x.shape.length, y.shape.length);
    const [a, b] = [x, y].map(({ shape }) => [...Array<number>(rank - shape.length).fill(1), ...shape]) as [
      number[],
      number[],
    ];
    const shape = a.map((dim, axis) => (dim === 1 ? (b[axis] ?? 1) : dim));
    const [left, right] = [broadcastIndex(x.shape, shape), broadcastIndex(y.shape, shape)];
    return { shape, values: Float64Array.from(left, (at, i) => f(x.values[at] ?? 0, y.values[right[i] ?? 0] ?? 0)) };
  };
}

const truth = (value: boolean): number => (value ? 1 : 0);

/** Rows of elements that are reduced together, and what comes of each. */
function reduce(f: (row: Float64Array) => number): Kernel {
  return (p) => {
    const { shape, values } = p.tensor('x');
    const axes = p.ints(
      'axes',
      shape.map((_, axis) => axis),
    );
    const kept = shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
    const target = broadcastIndex(kept, shape);
    const rows = elementCount(kept);
    const length = values.length / rows;
    const gathered = new Float64Array(values.length);
    const filled = new Int32Array(rows);
    for (let at = 0; at < values.length; at++) {
      const row = target[at] ?? 0;
      const place = filled[row] ?? 0;
      gathered[row * length + place] = values[at] ?? 0;
      filled[row] = place + 1;
    }
    const result = Float64Array.from({ length: rows }, (_, row) =>
      f(gathered.subarray(row * length, (row + 1) * length)),
    );
    return { shape: p.flag('keep_dims') ? kept : shape.filter((_, axis) => !axes.includes(axis)), values: result };
  };
}

const sum = (row: Float64Array): number => row.reduce((total, x) => total + x, 0);
const largest = (row: Float64Array): number => row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);

function argument(better: (a: number, b: number) => boolean): Kernel {
  return (p) => {
    const { shape, values } = p.tensor('x');
    const axis = p.number('axis', -1);
    const [outer, extent, inner] = around(shape, axis);
    const result = Float64Array.from({ length: outer * inner }, (_, i) => {
      const base = Math.floor(i / inner) * extent * inner + (i % inner);
      let best = 0;
      for (let k = 1; k < extent; k++)
        if (better(values[base + k * inner] ?? 0, values[base + best * inner] ?? 0)) best = k;
      return best;
    });
    return {
      shape: p.flag('keep_dims')
        ? shape.map((dim, at) => (at === axis ? 1 : dim))
        : shape.filter((_, at) => at !== axis),
      values: result,
    };
  };
}

/** Calls `f` with every line of elements along the axis. */
function lines({ shape, values }: Held, axis: number, f: (line: Float64Array) => Float64Array): Float64Array {
  const [outer, extent, inner] = around(shape, axis);
  const result = new Float64Array(values.length);
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      const base = o * extent * inner + i;
      const line = f(Float64Array.from({ length: extent }, (_, k) => values[base + k * inner] ?? 0));
      for (let k = 0; k < extent; k++) result[base + k * inner] = line[k] ?? 0;
    }
  return result;
}

const softmax: Kernel = (p) => {
  const x = p.tensor('x');
  const axis = (p.number('axis', -1) + x.shape.length) % x.shape.length;
  const values = lines(x, axis, (line) => {
    const top = largest(line);
    const powers = line.map((value) => Math.exp(value - top));
    const total = sum(powers);
    return powers.map((power) => power / total);
  });
  return { shape: x.shape, values };
};

const cumsum: Kernel = (p) => {
  const x = p.tensor('x');
  const [exclusive, reverse] = [p.flag('exclusive'), p.flag('reverse')];
  const values = lines(x, p.number('axis', 0), (line) => {
    const ordered = reverse ? line.toReversed() : line;
    let total = 0;
    const sums = ordered.map((value) => {
      const before = total;
      total += value;
      return exclusive ? before : total;
    });
    return reverse ? sums.toReversed() : sums;
  });
  return { shape: x.shape, values };
};

const topk: Kernel = (p) => {
  const { shape, values } = p.tensor('x');
  const axis = p.number('axis', -1);
  const [outer, extent, inner] = around(shape, axis);
  const k = p.number('k', 1);
  const sign = p.flag('ascending') ? 1 : -1;
  const result = new Float64Array(outer * k * inner);
  const indices = new Float64Array(outer * k * inner);
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      const base = o * extent * inner + i;
      const order = Array.from({ length: extent }, (_, at) => at).sort(
        (a, b) => sign * ((values[base + a * inner] ?? 0) - (values[base + b * inner] ?? 0)) || a - b,
      );
      for (let rank = 0; rank < k; rank++) {
        const to = (o * k + rank) * inner + i;
        result[to] = values[base + (order[rank] ?? 0) * inner] ?? 0;
        indices[to] = order[rank] ?? 0;
      }
    }
  const to = shape.map((dim, at) => (at === axis ? k : dim));
  return [
    { shape: to, values: result },
    { shape: to, values: indices },
  ];
};

const select: Kernel = (p) => {
  const [cond, a, b] = [p.tensor('cond'), p.tensor('a'), p.tensor('b')];
  return { shape: a.shape, values: Float64Array.from(cond.values, (chosen, at) => (chosen ? a : b).values[at] ?? 0) };
};

const prelu: Kernel = (p) => {
  const [x, alpha] = [p.tensor('x'), p.tensor('alpha')];
  const [, channels, inner] = around(x.shape, 1);
  const values = Float64Array.from(x.values, (value, at) =>
    value > 0 ? value : value * (alpha.values[Math.floor(at / inner) % channels] ?? 0),
  );
  return { shape: x.shape, values };
};

/** By its series, or its continued fraction beyond 2.5. */
function erf(x: number): number {
  const size = Math.abs(x);
  let total = 0;
  if (size < 2.5) {
    for (let n = 0, term = size; n < 60; n++) {
      total += term / (2 * n + 1);
      term *= -(size * size) / (n + 1);
    }
    return (Math.sign(x) * 2 * total) / Math.sqrt(Math.PI);
  }
  for (let n = 40; n > 0; n--) total = n / 2 / (size + total);
  return Math.sign(x) * (1 - Math.exp(-size * size) / ((size + total) * Math.sqrt(Math.PI)));
}

const gelu: Kernel = (p) =>
  unary(
    p.text('mode', 'EXACT') === 'EXACT'
      ? (x) => 0.5 * x * (1 + erf(x / Math.SQRT2))
      : (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  )(p);

const cast: Kernel = (p) => {
  const to = p.text('dtype', 'fp32');
  if (to === 'bool') return unary((x) => truth(x !== 0))(p);
  return to === 'int32' ? unary(Math.trunc)(p) : unary((x) => x)(p);
};

/** What the operations compute, by the words of coremltools 9 (converters/mil/mil/ops/defs), without regard to speed. */
export const kernels: Readonly<Record<string, Kernel>> = {
  identity: unary((x) => x),
  cast,
  relu: unary((x) => Math.max(x, 0)),
  relu6: unary((x) => Math.min(Math.max(x, 0), 6)),
  sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  tanh: unary(Math.tanh),
  softplus: unary((x) => Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0)),
  softsign: unary((x) => x / (1 + Math.abs(x))),
  erf: unary(erf),
  exp: unary(Math.exp),
  sqrt: unary(Math.sqrt),
  sin: unary(Math.sin),
  cos: unary(Math.cos),
  tan: unary(Math.tan),
  asin: unary(Math.asin),
  acos: unary(Math.acos),
  atan: unary(Math.atan),
  sinh: unary(Math.sinh),
  cosh: unary(Math.cosh),
  atanh: unary(Math.atanh),
  floor: unary(Math.floor),
  ceil: unary(Math.ceil),
  round: unary(roundHalfEven),
  abs: unary(Math.abs),
  sign: unary(Math.sign),
  logical_not: unary((x) => truth(x === 0)),
  log: tuned(['epsilon'], (x, epsilon = 0) => Math.log(x + epsilon)),
  clip: tuned(['alpha', 'beta'], (x, low = 0, high = 0) => Math.min(Math.max(x, low), high)),
  leaky_relu: tuned(['alpha'], (x, alpha = 0) => (x >= 0 ? x : alpha * x)),
  elu: tuned(['alpha'], (x, alpha = 1) => (x > 0 ? x : alpha * Math.expm1(x))),
  sigmoid_hard: tuned(['alpha', 'beta'], (x, alpha = 0, beta = 0) => Math.min(Math.max(alpha * x + beta, 0), 1)),
  gelu,
  prelu,
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b),
  real_div: binary((a, b) => a / b),
  pow: binary((a, b) => a ** b),
  mod: binary((a, b) => a - b * Math.floor(a / b)),
  maximum: binary(Math.max),
  minimum: binary(Math.min),
  equal: binary((a, b) => truth(a === b)),
  greater: binary((a, b) => truth(a > b)),
  greater_equal: binary((a, b) => truth(a >= b)),
  less: binary((a, b) => truth(a < b)),
  less_equal: binary((a, b) => truth(a <= b)),
  logical_and: binary((a, b) => truth(a !== 0 && b !== 0)),
  logical_or: binary((a, b) => truth(a !== 0 || b !== 0)),
  logical_xor: binary((a, b) => truth((a !== 0) !== (b !== 0))),
  select,
  softmax,
  reduce_mean: reduce((row) => sum(row) / row.length),
  reduce_sum: reduce(sum),
  reduce_max: reduce(largest),
  reduce_min: reduce((row) => row.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)),
  reduce_prod: reduce((row) => row.reduce((a, b) => a * b, 1)),
  reduce_l1_norm: reduce((row) => sum(row.map(Math.abs))),
  reduce_l2_norm: reduce((row) => Math.sqrt(sum(row.map((x) => x * x)))),
  reduce_sum_square: reduce((row) => sum(row.map((x) => x * x))),
  reduce_log_sum: reduce((row) => Math.log(sum(row))),
  reduce_log_sum_exp: reduce((row) => {
    const top = largest(row);
    return top + Math.log(sum(row.map((x) => Math.exp(x - top))));
  }),
  reduce_argmax: argument((a, b) => a > b),
  reduce_argmin: argument((a, b) => a < b),
  topk,
  cumsum,
  conv,
  conv_transpose: convTranspose,
  max_pool: maxPool,
  avg_pool: avgPool,
  linear,
  matmul,
  reshape: movement.reshape,
  expand_dims: movement.expandDims,
  squeeze: movement.squeeze,
  transpose: movement.transpose,
  tile: movement.tile,
  gather: movement.gather,
  gather_along_axis: movement.gatherAlongAxis,
  gather_nd: movement.gatherNd,
  scatter_nd: movement.scatterNd,
  slice_by_index: movement.sliceByIndex,
  split: movement.split,
  concat: movement.concat,
  pad: movement.pad,
  depth_to_space: movement.depthToSpace,
  space_to_depth: movement.spaceToDepth,
  pixel_shuffle: movement.pixelShuffle,
  band_part: movement.bandPart,
  upsample_nearest_neighbor: upsampleNearest,
  resize_bilinear: resizeBilinear,
  layer_norm: layerNorm,
  instance_norm: instanceNorm,
  local_response_norm: localResponse,
};
