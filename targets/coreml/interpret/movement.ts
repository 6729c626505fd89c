import { elementCount } from '../../../src/ir/tensor.ts';
import { stridesOf, walk } from '../../../src/kernels/walk.ts';
import { around, type Held, type Kernel, take } from './values.ts';

export const reshape: Kernel = (p) => {
  const x = p.tensor('x');
  return { shape: p.ints('shape', []), values: x.values };
};

export const expandDims: Kernel = (p) => {
  const x = p.tensor('x');
  const shape = [...x.shape];
  for (const axis of [...p.ints('axes', [])].sort((a, b) => a - b)) shape.splice(axis, 0, 1);
  return { shape, values: x.values };
};

export const squeeze: Kernel = (p) => {
  const x = p.tensor('x');
  const axes = p.ints('axes', []);
  return { shape: x.shape.filter((_, axis) => !axes.includes(axis)), values: x.values };
};

export const transpose: Kernel = (p) => {
  const x = p.tensor('x');
  const perm = p.ints('perm', []);
  const shape = perm.map((axis) => x.shape[axis] ?? 1);
  const strides = stridesOf(x.shape);
  return {
    shape,
    values: take(
      x,
      walk(
        shape,
        perm.map((axis) => strides[axis] ?? 0),
      ),
    ),
  };
};

export const tile: Kernel = (p) => {
  const x = p.tensor('x');
  const reps = p.ints('reps', []);
  const shape = x.shape.map((dim, axis) => dim * (reps[axis] ?? 1));
  const [own, strides] = [stridesOf(shape), stridesOf(x.shape)];
  const index = Int32Array.from({ length: elementCount(shape) }, (_, at) =>
    x.shape.reduce(
      (sum, dim, axis) => sum + ((Math.floor(at / (own[axis] ?? 1)) % (shape[axis] ?? 1)) % dim) * (strides[axis] ?? 0),
      0,
    ),
  );
  return { shape, values: take(x, index) };
};

/** As numpy: [begin:end:stride], with masks for "from the first" and "to the last". */
export const sliceByIndex: Kernel = (p) => {
  const x = p.tensor('x');
  const strides = stridesOf(x.shape);
  const step = p.ints(
    'stride',
    x.shape.map(() => 1),
  );
  const open = p.ints('end_mask', []);
  const [begins, ends] = [p.ints('begin', []), p.ints('end', [])];
  const starts: number[] = [];
  const shape = x.shape.map((dim, axis) => {
    const by = step[axis] ?? 1;
    const wrap = (at: number): number => (at < 0 ? at + dim : at);
    const [low, high] = by > 0 ? [0, dim] : [-1, dim - 1];
    const begin = Math.min(Math.max(wrap(begins[axis] ?? 0), low), high);
    const end = open[axis] ? (by > 0 ? dim : -1) : Math.min(Math.max(wrap(ends[axis] ?? 0), low), high);
    starts.push(begin);
    return Math.max(0, Math.ceil((end - begin) / by));
  });
  const start = strides.reduce((sum, stride, axis) => sum + stride * (starts[axis] ?? 0), 0);
  const by = strides.map((stride, axis) => stride * (step[axis] ?? 1));
  return { shape, values: take(x, walk(shape, by, start)) };
};

function cut(x: Held, axis: number, from: number, length: number): Held {
  const [outer, extent, inner] = around(x.shape, axis);
  const values = new Float64Array(outer * length * inner);
  for (let o = 0; o < outer; o++) {
    const start = (o * extent + from) * inner;
    values.set(x.values.subarray(start, start + length * inner), o * length * inner);
  }
  return { shape: x.shape.map((dim, at) => (at === axis ? length : dim)), values };
}

export const split: Kernel = (p) => {
  const x = p.tensor('x');
  let from = 0;
  return p.ints('split_sizes', []).map((length) => {
    const part = cut(x, p.number('axis', 0), from, length);
    from += length;
    return part;
  });
};

export const concat: Kernel = (p) => {
  const parts = p.list('values');
  const axis = p.number('axis', 0);
  const [first] = parts as [Held];
  const total = parts.reduce((sum, { shape }) => sum + (shape[axis] ?? 1), 0);
  const shape = first.shape.map((dim, at) => (at === axis ? total : dim));
  const values = new Float64Array(elementCount(shape));
  const rows = parts.map((part) => elementCount(part.shape.slice(axis)));
  let at = 0;
  for (let o = 0; o < elementCount(shape.slice(0, axis)); o++)
    for (const [i, part] of parts.entries()) {
      const row = rows[i] ?? 0;
      values.set(part.values.subarray(o * row, (o + 1) * row), at);
      at += row;
    }
  return { shape, values };
};

export const pad: Kernel = (p) => {
  const x = p.tensor('x');
  const given = p.ints('pad', []);
  // The last axes are padded where there are fewer pairs than axes.
  const rows = [...Array<number>(2 * x.shape.length - given.length).fill(0), ...given];
  const mode = p.text('mode', 'constant');
  const fill = p.number('constant_val', 0);
  const shape = x.shape.map((dim, axis) => dim + (rows[2 * axis] ?? 0) + (rows[2 * axis + 1] ?? 0));
  const [own, strides] = [stridesOf(shape), stridesOf(x.shape)];
  const values = Float64Array.from({ length: elementCount(shape) }, (_, at) => {
    let from = 0;
    for (const [axis, dim] of x.shape.entries()) {
      let place = (Math.floor(at / (own[axis] ?? 1)) % (shape[axis] ?? 1)) - (rows[2 * axis] ?? 0);
      if (place < 0 || place >= dim) {
        if (mode === 'constant') return fill;
        if (mode === 'replicate') place = place < 0 ? 0 : dim - 1;
        else place = place < 0 ? -place : 2 * dim - 2 - place;
      }
      from += place * (strides[axis] ?? 0);
    }
    return x.values[from] ?? 0;
  });
  return { shape, values };
};

export const gather: Kernel = (p) => {
  const [x, indices] = [p.tensor('x'), p.tensor('indices')];
  const axis = p.number('axis', 0);
  const [outer, extent, inner] = around(x.shape, axis);
  const values = new Float64Array(outer * indices.values.length * inner);
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (const index of indices.values) {
      const row = index < 0 ? index + extent : index;
      for (let i = 0; i < inner; i++) values[at++] = x.values[(o * extent + row) * inner + i] ?? Number.NaN;
    }
  return { shape: [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)], values };
};

export const gatherAlongAxis: Kernel = (p) => {
  const [x, indices] = [p.tensor('x'), p.tensor('indices')];
  const axis = p.number('axis', 0);
  const [, extent, inner] = around(x.shape, axis);
  const own = indices.shape[axis] ?? 1;
  const values = Float64Array.from(indices.values, (index, at) => {
    const outer = Math.floor(at / (own * inner));
    return x.values[(outer * extent + (index < 0 ? index + extent : index)) * inner + (at % inner)] ?? Number.NaN;
  });
  return { shape: indices.shape, values };
};

/** First element of each slice that a row of indices names, and how long slices are. */
function slices(shape: readonly number[], indices: Held): { starts: number[]; size: number; tail: readonly number[] } {
  const depth = indices.shape.at(-1) ?? 1;
  const strides = stridesOf(shape);
  const starts = Array.from({ length: indices.values.length / depth }, (_, row) => {
    let at = 0;
    for (let axis = 0; axis < depth; axis++) {
      const index = indices.values[row * depth + axis] ?? 0;
      at += (index < 0 ? index + (shape[axis] ?? 1) : index) * (strides[axis] ?? 0);
    }
    return at;
  });
  const tail = shape.slice(depth);
  return { starts, size: elementCount(tail), tail };
}

export const gatherNd: Kernel = (p) => {
  const [x, indices] = [p.tensor('x'), p.tensor('indices')];
  const { starts, size, tail } = slices(x.shape, indices);
  const values = new Float64Array(starts.length * size);
  for (const [row, start] of starts.entries()) values.set(x.values.subarray(start, start + size), row * size);
  return { shape: [...indices.shape.slice(0, -1), ...tail], values };
};

const combine: Readonly<Record<string, (a: number, b: number) => number>> = {
  update: (_, b) => b,
  add: (a, b) => a + b,
  mul: (a, b) => a * b,
  max: Math.max,
  min: Math.min,
};

export const scatterNd: Kernel = (p) => {
  const [data, indices, updates] = [p.tensor('data'), p.tensor('indices'), p.tensor('updates')];
  const { starts, size } = slices(data.shape, indices);
  const values = Float64Array.from(data.values);
  const with_ = combine[p.text('mode', 'add')] ?? ((a: number) => a);
  for (const [row, start] of starts.entries())
    for (let i = 0; i < size; i++)
      values[start + i] = with_(values[start + i] ?? 0, updates.values[row * size + i] ?? 0);
  return { shape: data.shape, values };
};

/** Channels become columns and rows: `outer` first, as TensorFlow orders them, or channels first, as PyTorch does. */
function blocks(outer: boolean, parameter: string): Kernel {
  return (p) => {
    const x = p.tensor('x');
    const block = p.number(parameter, 1);
    const [n = 1, channels = 1, h = 1, w = 1] = x.shape;
    const depth = channels / (block * block);
    const shape = [n, depth, h * block, w * block];
    const own = stridesOf(shape);
    const values = Float64Array.from({ length: x.values.length }, (_, at) => {
      const [b, c, row, column] = shape.map((dim, axis) => Math.floor(at / (own[axis] ?? 1)) % dim) as [
        number,
        number,
        number,
        number,
      ];
      const part = (row % block) * block + (column % block);
      const channel = outer ? part * depth + c : c * block * block + part;
      return x.values[((b * channels + channel) * h + Math.floor(row / block)) * w + Math.floor(column / block)] ?? 0;
    });
    return { shape, values };
  };
}

export const depthToSpace = blocks(true, 'block_size');
export const pixelShuffle = blocks(false, 'upscale_factor');

export const spaceToDepth: Kernel = (p) => {
  const x = p.tensor('x');
  const block = p.number('block_size', 1);
  const [n = 1, channels = 1, h = 1, w = 1] = x.shape;
  const shape = [n, channels * block * block, h / block, w / block];
  const own = stridesOf(shape);
  const values = Float64Array.from({ length: x.values.length }, (_, at) => {
    const [b, c, row, column] = shape.map((dim, axis) => Math.floor(at / (own[axis] ?? 1)) % dim) as [
      number,
      number,
      number,
      number,
    ];
    const part = Math.floor(c / channels);
    const [y, z] = [row * block + Math.floor(part / block), column * block + (part % block)];
    return x.values[((b * channels + (c % channels)) * h + y) * w + z] ?? 0;
  });
  return { shape, values };
};

/** Keeps `lower` diagonals below the main one and `upper` above; −1 keeps all. */
export const bandPart: Kernel = (p) => {
  const x = p.tensor('x');
  const [lower, upper] = [p.number('lower', -1), p.number('upper', -1)];
  const [rows = 1, columns = 1] = x.shape.slice(-2);
  const values = Float64Array.from(x.values, (value, at) => {
    const [m, n] = [Math.floor(at / columns) % rows, at % columns];
    return (lower < 0 || m - n <= lower) && (upper < 0 || n - m <= upper) ? value : 0;
  });
  return { shape: x.shape, values };
};
