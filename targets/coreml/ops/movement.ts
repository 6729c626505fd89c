import type { Node } from '../../../src/ir/graph.ts';
import type { Converter, Handler } from '../converter.ts';
import type { Ref } from '../graph.ts';

/** Whatever changes the shape alone. */
export const reshape: Handler = (node, c) => c.put(node.output(), c.reshape(c.in(node, 0), c.shape(node.output())));

export const transpose: Handler = (node, c) => {
  const x = c.in(node, 0);
  const perm = node.ints('perm') ?? x.shape.map((_, axis) => x.shape.length - 1 - axis);
  c.put(node.output(), c.transpose(x, perm));
};

/** Truth values go through gathers and pads as numbers, whole ones through pads as floats. */
function through(c: Converter, node: Node, type: Ref['type'], work: (x: Ref) => Ref): void {
  const x = c.in(node, 0);
  c.put(node.output(), c.cast(work(c.cast(x, type)), x.type));
}

/** Floats that hold the value as it is: halves would hold whole numbers up to 2048 only. */
function exactFloat(c: Converter, x: Ref): 'fp16' | 'fp32' {
  return x.type === 'fp16' ? c.float : 'fp32';
}

export const gather: Handler = (node, c) => {
  const x = c.in(node, 0);
  const axis = (node.int('axis', 0) + x.shape.length) % x.shape.length;
  const known = c.constant(node.input(1));
  const out = c.shape(node.output());
  through(c, node, x.type === 'bool' ? 'int32' : x.type, (from) => {
    if (known) {
      const chosen = Array.from(known.values, (at) => (at < 0 ? at + (x.shape[axis] ?? 1) : at));
      return c.reshape(c.choose(from, axis, chosen), out);
    }
    const inputs = { x: from, indices: c.in(node, 1), axis: c.int(axis) };
    return c.op('gather', inputs, { name: node.output().name, shape: out, type: from.type });
  });
};

export const gatherElements: Handler = (node, c) => {
  const x = c.in(node, 0);
  const axis = (node.int('axis', 0) + x.shape.length) % x.shape.length;
  const indices = c.in(node, 1);
  if (indices.shape.some((dim, at) => at !== axis && dim !== x.shape[at]))
    c.fail(node, 'indices that leave out rows of other axes have no counterpart');
  c.emit(node, 'gather_along_axis', { x, indices, axis: c.int(axis) });
};

export const gatherNd: Handler = (node, c) => {
  if (node.int('batch_dims', 0) !== 0) c.fail(node, 'batch_dims have no counterpart');
  c.emit(node, 'gather_nd', { x: c.in(node, 0), indices: c.in(node, 1) });
};

export const scatterNd: Handler = (node, c) => {
  const reduction = node.string('reduction') ?? 'none';
  const mode = { none: 'update', add: 'add', mul: 'mul', max: 'max', min: 'min' }[reduction];
  if (!mode) return c.fail(node, `reduction ${reduction} has no counterpart`);
  const [data, indices, updates] = [0, 1, 2].map((i) => c.in(node, i)) as [Ref, Ref, Ref];
  c.emit(node, 'scatter_nd', { data, indices, updates, mode: c.text(mode) });
};

/** Slice, by inputs or (before opset 10) attributes, with bounds inside the extents. */
export const slice: Handler = (node, c) => {
  const x = c.in(node, 0);
  const rank = x.shape.length;
  const old = c.model.opset < 10;
  const list = (index: number, attr: string, fallback: number[]): number[] => {
    if (old) return node.ints(attr) ?? fallback;
    return c.has(node, index) ? c.numbers(node, index, 'where it begins and ends') : fallback;
  };
  const starts = list(1, 'starts', []);
  const ends = list(2, 'ends', []);
  const axes = list(
    3,
    'axes',
    starts.map((_, i) => i),
  ).map((axis) => (axis + rank) % rank);
  const steps = list(
    4,
    'steps',
    starts.map(() => 1),
  );
  const begin = x.shape.map(() => 0);
  const end = [...x.shape];
  const stride = x.shape.map(() => 1);
  const open = x.shape.map(() => false);
  for (const [i, axis] of axes.entries()) {
    const dim = x.shape[axis] ?? 1;
    const step = steps[i] ?? 1;
    const inside = (at: number, low: number, high: number): number =>
      Math.min(Math.max(at < 0 ? at + dim : at, low), high);
    begin[axis] = step > 0 ? inside(starts[i] ?? 0, 0, dim) : inside(starts[i] ?? 0, 0, dim - 1);
    end[axis] = step > 0 ? inside(ends[i] ?? dim, 0, dim) : inside(ends[i] ?? 0, -1, dim - 1);
    stride[axis] = step;
    // Backwards to the first element: −1 would be the last one.
    if (end[axis] === -1) [open[axis], end[axis]] = [true, 0];
  }
  const out = c.shape(node.output());
  if (out.join() === x.shape.join() && stride.every((step) => step === 1)) return c.put(node.output(), x);
  c.emit(node, 'slice_by_index', {
    x,
    begin: c.ints(begin),
    end: c.ints(end),
    stride: stride.some((step) => step !== 1) ? c.ints(stride) : undefined,
    end_mask: open.some(Boolean) ? c.bools(open) : undefined,
  });
};

export const split: Handler = (node, c) => {
  const x = c.in(node, 0);
  const axis = (node.int('axis', 0) + x.shape.length) % x.shape.length;
  const outputs = node.outputs.map((_, i) => node.output(i));
  const shapes = outputs.map((value) => c.shape(value));
  const sizes = c.ints(shapes.map((shape) => shape[axis] ?? 1));
  const made = c.mil.op(
    'split',
    { x, split_sizes: sizes, axis: c.int(axis) },
    outputs.map((value, i) => ({ name: value.name, shape: shapes[i] ?? [], type: x.type })),
  );
  for (const [i, ref] of made.entries()) c.put(node.output(i), ref);
};

export const concat: Handler = (node, c) => {
  const values = node.inputs.map((_, i) => c.in(node, i)).filter(({ shape }) => !shape.includes(0));
  const [first] = values;
  if (values.length === 1 && first) return c.put(node.output(), first);
  const rank = c.shape(node.output()).length;
  const axis = (node.int('axis', 0) + rank) % rank;
  c.emit(node, 'concat', { values, axis: c.int(axis), interleave: c.bool(false) });
};

export const pad: Handler = (node, c) => {
  const x = c.in(node, 0);
  const rank = x.shape.length;
  const old = c.model.opset < 11;
  const given = old ? (node.ints('pads') ?? []) : c.numbers(node, 1, 'how far it pads');
  const axes = c.has(node, 3)
    ? c.numbers(node, 3, 'which axes it pads').map((axis) => (axis + rank) % rank)
    : x.shape.map((_, i) => i);
  const rows = x.shape.map((_, axis): [number, number] => {
    const at = axes.indexOf(axis);
    return at < 0 ? [0, 0] : [given[at] ?? 0, given[at + axes.length] ?? 0];
  });
  const mode = { constant: 'constant', reflect: 'reflect', edge: 'replicate' }[node.string('mode') ?? 'constant'];
  if (!mode) return c.fail(node, `mode ${node.string('mode')} has no counterpart`);
  if (mode !== 'constant' && rows.slice(0, -2).some(([a, b]) => a !== 0 || b !== 0))
    c.fail(node, 'only the last two axes can be padded by what is there');
  const value = old ? node.float('value', 0) : c.has(node, 2) ? (c.numbers(node, 2, 'what it pads with')[0] ?? 0) : 0;
  const name = node.output().name;
  const type = exactFloat(c, x);
  through(c, node, type, (from) => {
    let result = from;
    if (rows.flat().some((pads) => pads < 0)) {
      const begin = rows.map(([before]) => Math.max(0, -before));
      const end = rows.map(([, after], axis) => (x.shape[axis] ?? 1) - Math.max(0, -after));
      const shape = end.map((to, axis) => to - (begin[axis] ?? 0));
      result = c.op('slice_by_index', { x: from, begin: c.ints(begin), end: c.ints(end) }, { name, shape, type });
    }
    const added = rows.flat().map((pads) => Math.max(0, pads));
    if (added.every((pads) => pads === 0)) return result;
    const fill = c.mil.constant('number', type, [], Float32Array.of(value));
    const inputs = { x: result, pad: c.ints(added), mode: c.text(mode), constant_val: fill };
    return c.op('pad', inputs, { name, shape: c.shape(node.output()), type });
  });
};

export const expand: Handler = (node, c) => c.put(node.output(), c.broadcast(c.in(node, 0), c.shape(node.output())));

export const tile: Handler = (node, c) => {
  const x = c.in(node, 0);
  c.emit(node, 'tile', { x, reps: c.ints(c.numbers(node, 1, 'how often it repeats')) });
};

export const depthToSpace: Handler = (node, c) => {
  const block = c.int(node.int('blocksize', 1));
  const x = c.in(node, 0);
  // By columns and rows first, as TensorFlow has it, or by channels first, as PyTorch's pixel_shuffle.
  if (node.string('mode') === 'CRD') return c.emit(node, 'pixel_shuffle', { x, upscale_factor: block });
  c.emit(node, 'depth_to_space', { x, block_size: block });
};

export const spaceToDepth: Handler = (node, c) =>
  c.emit(node, 'space_to_depth', { x: c.in(node, 0), block_size: c.int(node.int('blocksize', 1)) });

/** The lower or upper triangle of matrices; `k` moves the diagonal up. */
export const trilu: Handler = (node, c) => {
  const k = c.has(node, 1) ? (c.numbers(node, 1, 'its diagonal')[0] ?? 0) : 0;
  const upper = node.int('upper', 1) !== 0;
  // A band keeps a number of diagonals on either side of the main one; beyond it there is none that leaves out the main one.
  if (upper ? k > 0 : k < 0) c.fail(node, 'a triangle without the main diagonal has no counterpart');
  const [lower, higher] = upper ? [-k, -1] : [-1, k];
  through(c, node, exactFloat(c, c.in(node, 0)), (x) =>
    c.op(
      'band_part',
      { x, lower: c.int(lower), upper: c.int(higher) },
      { name: node.output().name, shape: x.shape, type: x.type },
    ),
  );
};
