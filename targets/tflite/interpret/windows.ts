import type { Table } from '../../../src/flatbuffer/schema.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import type { LiteTensor, Quant } from '../graph.ts';
import { activated, type Held, type Kernel, need, stored } from './values.ts';

interface Frame {
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  /** Rows and columns that SAME puts in front. */
  readonly before: readonly [number, number];
}

function frame(
  options: Table,
  input: readonly number[],
  out: readonly number[],
  kernel: readonly [number, number],
): Frame {
  const strides = [Number(options.stride_h ?? 1), Number(options.stride_w ?? 1)] as const;
  const dilations = [Number(options.dilation_h_factor ?? 1), Number(options.dilation_w_factor ?? 1)] as const;
  const before = [0, 1].map((axis) => {
    if (Number(options.padding ?? 0) === 1) return 0;
    const total =
      ((out[axis + 1] ?? 1) - 1) * (strides[axis] ?? 1) +
      ((kernel[axis] ?? 1) - 1) * (dilations[axis] ?? 1) +
      1 -
      (input[axis + 1] ?? 1);
    return Math.floor(Math.max(total, 0) / 2);
  });
  return { strides, dilations, before: [before[0] ?? 0, before[1] ?? 0] };
}

/** Stored − zero, as the multiplications see it. */
function centred({ values, tensor }: Held): Float64Array | Float32Array {
  const zero = tensor.quant?.zero[0] ?? 0;
  return zero === 0 ? values : Float64Array.from(values, (value) => value - zero);
}

/** What one step of an accumulator is worth in channel `c`: 1 for floats. */
function worth(x: Held, w: Held, c: number): number {
  const [a, b]: (Quant | undefined)[] = [x.tensor.quant, w.tensor.quant];
  return a && b ? (a.scale[0] ?? 1) * (b.scale[b.scale.length === 1 ? 0 : c] ?? 1) : 1;
}

export const conv: Kernel = ([x, w, bias], out, options) => {
  const [input, filter] = [x, w];
  const [o = 1, kh = 1, kw = 1, depth = 1] = filter.shape;
  const [, , , channels = 1] = input.shape;
  const perGroup = o / (channels / depth);
  return windowed(input, filter, bias, out, { options, kernel: [kh, kw] }, (position, values, weights, result) => {
    const { at, pixels } = position;
    for (let c = 0; c < o; c++) {
      const group = Math.floor(c / perGroup) * depth;
      let sum = 0;
      for (const { tap, pixel } of pixels) {
        const wAt = (c * kh * kw + tap) * depth;
        const xAt = pixel * channels + group;
        for (let i = 0; i < depth; i++) sum += (values[xAt + i] ?? 0) * (weights[wAt + i] ?? 0);
      }
      result[at * o + c] = sum;
    }
  });
};

export const depthwise: Kernel = ([x, w, bias], out, options) => {
  const [input, filter] = [x, w];
  const [, kh = 1, kw = 1, o = 1] = filter.shape;
  const channels = input.shape[3] ?? 1;
  const multiplier = o / channels;
  return windowed(
    input,
    filter,
    bias,
    out,
    { options, kernel: [kh, kw] },
    ({ at, pixels }, values, weights, result) => {
      for (let c = 0; c < o; c++) {
        let sum = 0;
        for (const { tap, pixel } of pixels)
          sum += (values[pixel * channels + Math.floor(c / multiplier)] ?? 0) * (weights[tap * o + c] ?? 0);
        result[at * o + c] = sum;
      }
    },
  );
};

interface Position {
  /** Number of the output pixel. */
  readonly at: number;
  /** Taps of the kernel that lie on the picture, and the input pixel below each. */
  readonly pixels: readonly { readonly tap: number; readonly pixel: number }[];
}

type Numbers = Float64Array | Float32Array;

function windowed(
  x: Held,
  w: Held,
  bias: Held | undefined,
  out: LiteTensor,
  { options, kernel }: { options: Table; kernel: readonly [number, number] },
  accumulate: (position: Position, values: Numbers, weights: Numbers, result: Float64Array) => void,
): Numbers {
  const result = new Float64Array(elementCount(out.shape));
  const [values, weights] = [centred(x), centred(w)];
  for (const position of positions(x.shape, out.shape, options, kernel)) accumulate(position, values, weights, result);
  const o = out.shape[3] ?? 1;
  for (let at = 0; at < result.length; at++)
    result[at] = ((result[at] ?? 0) + (bias?.values[at % o] ?? 0)) * worth(x, w, at % o);
  return stored(out, activated(result, options));
}

function* positions(
  input: readonly number[],
  out: readonly number[],
  options: Table,
  kernel: readonly [number, number],
): Generator<Position> {
  const { strides, dilations, before } = frame(options, input, out, kernel);
  const [n = 1, h = 1, w = 1] = input;
  const [, outH = 1, outW = 1] = out;
  let at = 0;
  for (let b = 0; b < n; b++)
    for (let row = 0; row < outH; row++)
      for (let column = 0; column < outW; column++) {
        const pixels: { tap: number; pixel: number }[] = [];
        for (let y = 0; y < kernel[0]; y++) {
          const place = row * strides[0] - before[0] + y * dilations[0];
          if (place < 0 || place >= h) continue;
          for (let x = 0; x < kernel[1]; x++) {
            const across = column * strides[1] - before[1] + x * dilations[1];
            if (across >= 0 && across < w) pixels.push({ tap: y * kernel[1] + x, pixel: (b * h + place) * w + across });
          }
        }
        yield { at: at++, pixels };
      }
}

function pooled(f: (values: readonly number[]) => number): Kernel {
  return ([x], out, options) => {
    const input = x;
    const channels = input.shape[3] ?? 1;
    const kernel = [Number(options.filter_height ?? 1), Number(options.filter_width ?? 1)] as const;
    const result = new Float64Array(elementCount(out.shape));
    for (const { at, pixels } of positions(input.shape, out.shape, options, kernel)) {
      for (let c = 0; c < channels; c++)
        result[at * channels + c] = f(pixels.map(({ pixel }) => input.values[pixel * channels + c] ?? 0));
    }
    const whole = out.type === 'int8' || out.type === 'uint8';
    return whole ? result.map((value) => Math.sign(value) * Math.round(Math.abs(value))) : stored(out, result);
  };
}

export const maxPool: Kernel = pooled((values) => values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY));
export const averagePool: Kernel = pooled((values) => values.reduce((a, b) => a + b, 0) / values.length);

export const transposeConv: Kernel = ([, w, x, bias], out, options) => {
  const [input, filter] = [need(x), w];
  const [o = 1, kh = 1, kw = 1, depth = 1] = filter.shape;
  const [n = 1, h = 1, wide = 1] = input.shape;
  const [, outH = 1, outW = 1] = out.shape;
  const [sh, sw] = [Number(options.stride_h ?? 1), Number(options.stride_w ?? 1)];
  const result = new Float64Array(elementCount(out.shape));
  for (let b = 0; b < n; b++)
    for (let y = 0; y < h; y++)
      for (let c = 0; c < wide; c++)
        for (let ky = 0; ky < kh; ky++)
          for (let kx = 0; kx < kw; kx++)
            for (let to = 0; to < o; to++) {
              let sum = 0;
              for (let i = 0; i < depth; i++)
                sum +=
                  (input.values[((b * h + y) * wide + c) * depth + i] ?? 0) *
                  (filter.values[((to * kh + ky) * kw + kx) * depth + i] ?? 0);
              const at = ((b * outH + y * sh + ky) * outW + c * sw + kx) * o + to;
              result[at] = (result[at] ?? 0) + sum;
            }
  for (let at = 0; at < result.length; at++) result[at] = (result[at] ?? 0) + (bias?.values[at % o] ?? 0);
  return stored(out, result);
};

export const fullyConnected: Kernel = ([x, w, bias], out, options) => {
  const [input, filter] = [x, w];
  const [columns = 1, rows = 1] = filter.shape;
  const [values, weights] = [centred(input), centred(filter)];
  const result = new Float64Array((values.length / rows) * columns);
  for (let row = 0; row < values.length / rows; row++)
    for (let c = 0; c < columns; c++) {
      let sum = bias?.values[c] ?? 0;
      for (let i = 0; i < rows; i++) sum += (values[row * rows + i] ?? 0) * (weights[c * rows + i] ?? 0);
      result[row * columns + c] = sum * worth(input, filter, c);
    }
  return stored(out, activated(result, options));
};

export const batchMatMul: Kernel = ([a, b], out, options) => {
  const [left, right] = [a, b];
  const [m = 1, n = 1] = out.shape.slice(-2);
  const k = (options.adj_x === true ? left.shape.at(-2) : left.shape.at(-1)) ?? 1;
  const batch = out.shape.slice(0, -2);
  const result = new Float64Array(elementCount(out.shape));
  for (let at = 0; at < elementCount(batch); at++) {
    const [x, y] = [left, right].map(({ shape }) => batchAt(at, batch, shape.slice(0, -2)) * k) as [number, number];
    for (let row = 0; row < m; row++)
      for (let column = 0; column < n; column++) {
        let sum = 0;
        for (let i = 0; i < k; i++) {
          const p = options.adj_x === true ? i * m + row : row * k + i;
          const q = options.adj_y === true ? column * k + i : i * n + column;
          sum += (left.values[x * m + p] ?? 0) * (right.values[y * n + q] ?? 0);
        }
        result[(at * m + row) * n + column] = sum;
      }
  }
  return stored(out, result);
};

/** Which matrix of a broadcast operand belongs to matrix `at` of the result. */
function batchAt(at: number, batch: readonly number[], own: readonly number[]): number {
  let [index, stride, rest] = [0, 1, at];
  for (let axis = batch.length - 1; axis >= 0; axis--) {
    const dim = own[axis - (batch.length - own.length)] ?? 1;
    const place = rest % (batch[axis] ?? 1);
    if (dim !== 1) index += place * stride;
    stride *= dim;
    rest = Math.floor(rest / (batch[axis] ?? 1));
  }
  return index;
}
