import { elementCount } from '../../../src/ir/tensor.ts';
import type { Held, Kernel, Numbers, Parameters } from './values.ts';

/** Windows over up to three axes, the missing ones in front of one element. */
interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly before: readonly number[];
  readonly after: readonly number[];
}

function three(values: readonly number[], fallback: number): number[] {
  return [...Array<number>(3 - values.length).fill(fallback), ...values];
}

function windowOf(p: Parameters, kernel: readonly number[]): Window {
  const ones = kernel.map(() => 1);
  const pad = p.text('pad_type', 'valid') === 'custom' ? p.ints('pad', []) : [];
  return {
    kernel: three(kernel, 1),
    strides: three(p.ints('strides', ones), 1),
    dilations: three(p.ints('dilations', ones), 1),
    before: three(
      kernel.map((_, axis) => pad[2 * axis] ?? 0),
      0,
    ),
    after: three(
      kernel.map((_, axis) => pad[2 * axis + 1] ?? 0),
      0,
    ),
  };
}

/** d_out = floor((d_in + pads − (k − 1)·dilation − 1) / stride) + 1 */
function outputs(space: readonly number[], { kernel, strides, dilations, before, after }: Window): number[] {
  return space.map((dim, axis) => {
    const reach = ((kernel[axis] ?? 1) - 1) * (dilations[axis] ?? 1) + 1;
    return Math.floor((dim + (before[axis] ?? 0) + (after[axis] ?? 0) - reach) / (strides[axis] ?? 1)) + 1;
  });
}

/** A stretch of elements in a row that one place in the window meets: `count` of them, one after the other in the output and `step` apart in the input. */
type Row = (out: number, x: number, count: number, step: number) => void;

/** Calls back for every row of the output with what one place in the window meets there. */
function each(
  to: readonly number[],
  from: readonly number[],
  { strides, dilations, before }: Window,
  tap: readonly [number, number, number],
  use: Row,
): void {
  const [, h = 1, w = 1] = to;
  const [depth = 1, rows = 1, columns = 1] = from;
  const step = strides[2] ?? 1;
  const start = tap[2] * (dilations[2] ?? 1) - (before[2] ?? 0);
  const first = Math.max(0, Math.ceil(-start / step));
  const count = Math.min(w - 1, Math.floor((columns - 1 - start) / step)) - first + 1;
  if (count <= 0) return;
  for (let d = 0; d < (to[0] ?? 1); d++) {
    const z = d * (strides[0] ?? 1) - (before[0] ?? 0) + tap[0] * (dilations[0] ?? 1);
    if (z < 0 || z >= depth) continue;
    for (let i = 0; i < h; i++) {
      const y = i * (strides[1] ?? 1) - (before[1] ?? 0) + tap[1] * (dilations[1] ?? 1);
      if (y >= 0 && y < rows)
        use((d * h + i) * w + first, (z * rows + y) * columns + first * step + start, count, step);
    }
  }
}

/** out[i] += factor · x[i] */
function add(out: Float64Array, x: Numbers, factor: number): Row {
  return (at, from, count, step) => {
    for (let i = 0; i < count; i++) out[at + i] = (out[at + i] ?? 0) + factor * (x[from + i * step] ?? 0);
  };
}

function* taps(kernel: readonly number[]): Generator<[number, number, number]> {
  const [a = 1, b = 1, c = 1] = kernel;
  for (let i = 0; i < a; i++) for (let j = 0; j < b; j++) for (let k = 0; k < c; k++) yield [i, j, k];
}

export const conv: Kernel = (p) => {
  const [x, weight, bias] = [p.tensor('x'), p.tensor('weight'), p.optional('bias')];
  const groups = p.number('groups', 1);
  const window = windowOf(p, weight.shape.slice(2));
  const [n = 1, channels = 1] = x.shape;
  const [count = 1, own = 1] = weight.shape;
  const space = three(x.shape.slice(2), 1);
  const to = outputs(space, window);
  const [area, size, k] = [elementCount(space), elementCount(to), elementCount(window.kernel)];
  const result = new Float64Array(n * count * size);
  for (let b = 0; b < n; b++)
    for (let o = 0; o < count; o++) {
      const out = result.subarray((b * count + o) * size, (b * count + o + 1) * size);
      out.fill(bias?.values[o] ?? 0);
      const first = Math.floor(o / (count / groups)) * own;
      for (let c = 0; c < own; c++) {
        const from = x.values.subarray((b * channels + first + c) * area, (b * channels + first + c + 1) * area);
        let at = (o * own + c) * k;
        for (const tap of taps(window.kernel)) {
          const factor = weight.values[at++] ?? 0;
          each(to, space, window, tap, add(out, from, factor));
        }
      }
    }
  return { shape: [n, count, ...to.slice(3 - (x.shape.length - 2))], values: result };
};

/** Each input element adds its window to the output. */
export const convTranspose: Kernel = (p) => {
  const [x, weight, bias] = [p.tensor('x'), p.tensor('weight'), p.optional('bias')];
  const groups = p.number('groups', 1);
  const window = windowOf(p, weight.shape.slice(2));
  const [n = 1, channels = 1] = x.shape;
  const own = weight.shape[1] ?? 1;
  const count = own * groups;
  const space = three(x.shape.slice(2), 1);
  const to = space.map(
    (dim, axis) =>
      (dim - 1) * (window.strides[axis] ?? 1) +
      ((window.kernel[axis] ?? 1) - 1) * (window.dilations[axis] ?? 1) +
      1 -
      (window.before[axis] ?? 0) -
      (window.after[axis] ?? 0),
  );
  const [area, size, k] = [elementCount(space), elementCount(to), elementCount(window.kernel)];
  const result = new Float64Array(n * count * size);
  for (let b = 0; b < n; b++)
    for (let c = 0; c < channels; c++) {
      const from = x.values.subarray((b * channels + c) * area, (b * channels + c + 1) * area);
      const group = Math.floor(c / (channels / groups));
      for (let o = 0; o < own; o++) {
        const channel = b * count + group * own + o;
        const out = result.subarray(channel * size, (channel + 1) * size);
        let at = (c * own + o) * k;
        for (const tap of taps(window.kernel)) {
          const factor = weight.values[at++] ?? 0;
          // The window of a convolution from the output to the input, seen from the other side.
          each(space, to, window, tap, (element, place, length, step) => {
            for (let i = 0; i < length; i++) {
              const target = place + i * step;
              out[target] = (out[target] ?? 0) + factor * (from[element + i] ?? 0);
            }
          });
        }
      }
    }
  if (bias)
    for (let at = 0; at < result.length; at++)
      result[at] = (result[at] ?? 0) + (bias.values[Math.floor(at / size) % count] ?? 0);
  return { shape: [n, count, ...to.slice(3 - (x.shape.length - 2))], values: result };
};

function pooled(p: Parameters, average: boolean): Held {
  const x = p.tensor('x');
  const window = windowOf(p, p.ints('kernel_sizes', []));
  const [n = 1, channels = 1] = x.shape;
  const space = three(x.shape.slice(2), 1);
  const to = outputs(space, window);
  const [area, size, k] = [elementCount(space), elementCount(to), elementCount(window.kernel)];
  const result = new Float64Array(n * channels * size).fill(average ? 0 : Number.NEGATIVE_INFINITY);
  const counts = new Int32Array(size);
  for (const tap of taps(window.kernel))
    each(to, space, window, tap, (place, _, count) => {
      for (let i = place; i < place + count; i++) counts[i] = (counts[i] ?? 0) + 1;
    });
  for (let c = 0; c < n * channels; c++) {
    const [out, from] = [result.subarray(c * size, (c + 1) * size), x.values.subarray(c * area, (c + 1) * area)];
    for (const tap of taps(window.kernel))
      each(to, space, window, tap, (place, element, count, step) => {
        for (let i = 0; i < count; i++) {
          const [sum, value] = [out[place + i] ?? 0, from[element + i * step] ?? 0];
          out[place + i] = average ? sum + value : Math.max(sum, value);
        }
      });
    if (average)
      for (let at = 0; at < size; at++)
        out[at] = (out[at] ?? 0) / (p.flag('exclude_padding_from_average') ? (counts[at] ?? 1) : k);
  }
  return { shape: [n, channels, ...to.slice(3 - (x.shape.length - 2))], values: result };
}

export const maxPool: Kernel = (p) => pooled(p, false);
export const avgPool: Kernel = (p) => pooled(p, true);

/** Both are matrices at least; axes in front broadcast. */
export const matmul: Kernel = (p) => {
  const [x, y] = [p.tensor('x'), p.tensor('y')];
  const [turnX, turnY] = [p.flag('transpose_x'), p.flag('transpose_y')];
  const dims = ({ shape }: Held, turned: boolean): [number, number] => {
    const [a = 1, b = 1] = shape.slice(-2);
    return turned ? [b, a] : [a, b];
  };
  const [[rows, inner], [, columns]] = [dims(x, turnX), dims(y, turnY)];
  const rank = Math.max(x.shape.length, y.shape.length) - 2;
  const fronts = [x, y].map(({ shape }) => [
    ...Array<number>(rank + 2 - shape.length).fill(1),
    ...shape.slice(0, -2),
  ]) as [number[], number[]];
  const front = fronts[0].map((dim, axis) => (dim === 1 ? (fronts[1][axis] ?? 1) : dim));
  const pick = (own: readonly number[], batch: number): number => {
    let rest = batch;
    let [at, stride] = [0, 1];
    for (let axis = rank - 1; axis >= 0; axis--) {
      const place = rest % (front[axis] ?? 1);
      rest = Math.floor(rest / (front[axis] ?? 1));
      if (own[axis] !== 1) at += place * stride;
      stride *= own[axis] ?? 1;
    }
    return at;
  };
  const batches = elementCount(front);
  const result = new Float64Array(batches * rows * columns);
  for (let b = 0; b < batches; b++) {
    const [atX, atY] = [pick(fronts[0], b) * rows * inner, pick(fronts[1], b) * inner * columns];
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        let sum = 0;
        for (let k = 0; k < inner; k++) {
          const left = x.values[atX + (turnX ? k * rows + i : i * inner + k)] ?? 0;
          sum += left * (y.values[atY + (turnY ? j * inner + k : k * columns + j)] ?? 0);
        }
        result[(b * rows + i) * columns + j] = sum;
      }
  }
  return { shape: [...front, rows, columns], values: result };
};

/** x · weightᵀ + bias over the last axis. */
export const linear: Kernel = (p) => {
  const [x, weight, bias] = [p.tensor('x'), p.tensor('weight'), p.optional('bias')];
  const [columns = 1, inner = 1] = weight.shape;
  const rows = x.values.length / inner;
  const result = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      let sum = bias?.values[j] ?? 0;
      for (let k = 0; k < inner; k++) sum += (x.values[i * inner + k] ?? 0) * (weight.values[j * inner + k] ?? 0);
      result[i * columns + j] = sum;
    }
  return { shape: [...x.shape.slice(0, -1), columns], values: result };
};
