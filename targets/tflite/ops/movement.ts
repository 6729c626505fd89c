import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import { stridesOf } from '../../../src/kernels/walk.ts';
import { type Converter, type Entry, type Handler } from '../converter.ts';
import { lastPerm } from '../order.ts';
import { sameQuant, sinkOf, storedInputs } from '../quant.ts';
import { requantized } from './pooling.ts';

/** A value whose elements are those of another, elsewhere. Behind an 8-bit value, the 8-bit form moves. */
function move(
  c: Converter,
  value: Value,
  source: Entry,
  index: (shape: readonly number[]) => Int32Array,
  lower: (from: number) => number,
): void {
  const shape = c.shape(value);
  let known: Int32Array | undefined;
  const make = (from: Entry): Entry => ({
    name: value.name,
    shape,
    type: from.type,
    quant: from.quant,
    forms: new Map(),
    moved: { source: from, index: () => (known ??= index(shape)), lower },
  });
  c.set(
    value,
    source.stored
      ? { ...make(source.stored), moved: undefined, type: 'float32', quant: undefined, stored: make(source.stored) }
      : make(source),
  );
}

const iota = (shape: readonly number[]): Int32Array => Int32Array.from({ length: elementCount(shape) }, (_, at) => at);

/** Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout. */
export const reshape: Handler = (node, c) => {
  const value = node.output();
  const shape = c.shape(value);
  move(c, value, c.entry(node.input(0) as Value), iota, (from) => c.reshape(value.name, from, shape));
};

export const transpose: Handler = (node, c) => {
  const source = node.input(0) as Value;
  const given = c.shape(source);
  const perm = node.ints('perm') ?? given.map((_, axis) => given.length - 1 - axis);
  const strides = stridesOf(given);
  const value = node.output();
  move(
    c,
    value,
    c.entry(source),
    (shape) =>
      strided(
        shape,
        perm.map((axis) => strides[axis] ?? 0),
        0,
      ),
    (from) => c.transpose(value.name, from, perm),
  );
};

function strided(shape: readonly number[], steps: readonly number[], start: number): Int32Array {
  const own = stridesOf(shape);
  return Int32Array.from({ length: elementCount(shape) }, (_, at) =>
    shape.reduce((sum, dim, axis) => sum + (Math.floor(at / (own[axis] ?? 1)) % dim) * (steps[axis] ?? 0), start),
  );
}

function plainAxis(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** Where an axis of the model stands in a layout. */
function axisIn(layout: 'plain' | 'last', axis: number, rank: number): number {
  return layout === 'last' ? lastPerm(rank).indexOf(axis) : axis;
}

export const gather: Handler = (node, c) => {
  const data = node.input(0) as Value;
  const given = c.shape(data);
  const axis = plainAxis(node.int('axis', 0), given.length);
  const indices = c.constant(node.input(1));
  const value = node.output();
  if (!indices) return gatherComputed(node, c, axis);
  const chosen = Array.from(indices.values, (at) => (at < 0 ? at + (given[axis] ?? 0) : at));
  const entry = c.constant(data) ? undefined : c.entry(data);
  if (indices.shape.length === 1 && entry && !entry.moved && !entry.stored?.moved)
    return alongAxis(c, value, entry, axis, chosen);
  const strides = stridesOf(given);
  const [outer, inner] = [elementCount(given.slice(0, axis)), strides[axis] ?? 1];
  move(
    c,
    value,
    entry ?? c.entry(data),
    (shape) => {
      const index = new Int32Array(elementCount(shape));
      let at = 0;
      for (let a = 0; a < outer; a++)
        for (const own of chosen)
          for (let b = 0; b < inner; b++) index[at++] = (a * (given[axis] ?? 1) + own) * inner + b;
      return index;
    },
    (from) => c.reshape(value.name, c.choose(value.name, from, axis, chosen), c.shape(value)),
  );
};

function gatherComputed(node: Node, c: Converter, axis: number): void {
  const value = node.output();
  const [data, indices] = [node.input(0), node.input(1)] as [Value, Value];
  const from = c.get(c.entry(data), 'plain');
  const inputs = [from, fromTheEnd(c, indices, c.of(from).shape[axis] ?? 1)];
  const { type } = c.of(from);
  c.put(
    value,
    'plain',
    c.op(
      'GATHER',
      inputs,
      { name: value.name, shape: c.shape(value), type },
      { type: 'GatherOptions', value: { axis } },
    ),
  );
}

/** Indices below 0 count from the end, which the kernel does not know: it takes them as they are. */
function fromTheEnd(c: Converter, indices: Value, extent: number): number {
  const from = c.get(c.entry(indices), 'plain');
  if (indices.producer?.is('ArgMax')) return from;
  const { shape, type } = c.of(from);
  return c.op('FLOOR_MOD', [from, c.scalar('extent', type, extent)], { name: indices.name, shape, type });
}

/** A choice of indices of one axis, in the layout that is there; 8-bit values stay 8-bit. */
function alongAxis(c: Converter, value: Value, entry: Entry, axis: number, chosen: readonly number[]): void {
  const source = entry.stored ?? entry;
  const layout = c.preferred(source);
  const from = c.get(source, layout);
  const made = c.choose(value.name, from, axisIn(layout, axis, entry.shape.length), chosen);
  putMoved(c, value, entry, layout, made);
}

function putMoved(c: Converter, value: Value, source: Entry, layout: 'plain' | 'last', tensor: number): void {
  c.put(value, layout, tensor);
  if (source.stored)
    c.set(value, {
      name: value.name,
      shape: c.shape(value),
      type: 'float32',
      forms: new Map(),
      stored: c.entry(value),
    });
}

export const slice: Handler = (node, c) => {
  const data = node.input(0) as Value;
  const given = c.shape(data);
  const attr = (name: string, index: number): number[] | undefined =>
    node.input(index) ? c.numbers(node, index, name) : node.ints(name);
  const starts = attr('starts', 1) ?? [];
  const axes = (attr('axes', 3) ?? starts.map((_, i) => i)).map((axis) => plainAxis(axis, given.length));
  const steps = attr('steps', 4) ?? starts.map(() => 1);
  const out = c.shape(node.output());
  const begin = given.map(() => 0);
  const step = given.map(() => 1);
  for (const [i, axis] of axes.entries()) {
    const extent = given[axis] ?? 1;
    const s = steps[i] ?? 1;
    const start = starts[i] ?? 0;
    begin[axis] = Math.min(Math.max(start < 0 ? start + extent : start, 0), s < 0 ? extent - 1 : extent);
    step[axis] = s;
  }
  window(c, node.output(), data, { begin, step, out });
};

function window(
  c: Converter,
  value: Value,
  data: Value,
  { begin, step, out }: { begin: readonly number[]; step: readonly number[]; out: readonly number[] },
): void {
  const entry = c.entry(data);
  const source = entry.stored ?? entry;
  const rank = entry.shape.length;
  const layout = c.preferred(source);
  let from = c.get(source, layout);
  const perm = layout === 'last' ? lastPerm(rank) : begin.map((_, axis) => axis);
  const own = (list: readonly number[]): number[] => perm.map((axis) => list[axis] ?? 0);
  // Backwards steps are a gather each; what is left is one slice.
  for (const [place, axis] of perm.entries()) {
    if ((step[axis] ?? 1) > 0) continue;
    const chosen = Array.from({ length: out[axis] ?? 0 }, (_, i) => (begin[axis] ?? 0) + i * (step[axis] ?? 1));
    from = c.choose(value.name, from, place, chosen);
  }
  const forward = begin.map((at, axis) => ((step[axis] ?? 1) > 0 ? at : 0));
  const strides = step.map((s) => Math.max(s, 1));
  const end = forward.map((at, axis) => at + ((out[axis] ?? 1) - 1) * (strides[axis] ?? 1) + 1);
  const whole = forward.every((at) => at === 0) && own(out).join() === c.of(from).shape.join();
  const made = whole
    ? from
    : c.slice(value.name, from, { begin: own(forward), end: own(end), steps: own(strides), shape: own(out) });
  putMoved(c, value, entry, layout, made);
}

export const split: Handler = (node, c) => {
  const data = node.input(0) as Value;
  const given = c.shape(data);
  const axis = plainAxis(node.int('axis', 0), given.length);
  let at = 0;
  for (const value of node.outputs) {
    if (!value) continue;
    const out = c.shape(value);
    const begin = given.map((_, i) => (i === axis ? at : 0));
    if (value.isUsed) window(c, value, data, { begin, step: given.map(() => 1), out });
    at += out[axis] ?? 0;
  }
};

export const concat: Handler = (node, c) => {
  const values = node.inputs as Value[];
  const shape = c.shape(node.output());
  const rank = shape.length;
  const axis = plainAxis(node.int('axis', 0), rank);
  const stored = storedInputs(c, values);
  const sink = sinkOf(c, node, { int8: stored !== undefined, fuses: false });
  const int8 = stored !== undefined && sink.quant !== undefined;
  const entries = int8 && stored ? stored : values.map((value) => c.entry(value));
  const layout =
    rank > 2 && entries.some((entry, i) => !c.constant(values[i]) && c.preferred(entry) === 'last') ? 'last' : 'plain';
  const tensors = entries.map((entry) => {
    const from = c.get(entry, layout);
    return int8 && !sameQuant(c.of(from).quant, sink.quant) ? requantized(c, from, sink.quant) : from;
  });
  const to = layout === 'last' ? lastPerm(rank).map((at) => shape[at] ?? 1) : shape;
  const value = int8 ? sink.value : node.output();
  const type = c.of(tensors[0] ?? 0).type;
  const options = { type: 'ConcatenationOptions', value: { axis: axisIn(layout, axis, rank) } };
  c.put(
    value,
    layout,
    c.op('CONCATENATION', tensors, { name: value.name, shape: to, type, quant: sink.quant }, options),
  );
  if (int8) for (const done of sink.absorbed) c.finish(done);
};

export const pad: Handler = (node, c) => {
  const entry = c.entry(node.input(0) as Value);
  const rank = entry.shape.length;
  const pads = node.input(1) ? c.numbers(node, 1, 'how much it pads') : (node.ints('pads') ?? []);
  const axes = node.input(3)
    ? c.numbers(node, 3, 'which axes it pads').map((axis) => plainAxis(axis, rank))
    : entry.shape.map((_, i) => i);
  const value = node.input(2) ? (c.numbers(node, 2, 'what it pads with')[0] ?? 0) : node.float('value', 0);
  const mode = node.string('mode') ?? 'constant';
  const none: [number, number] = [0, 0];
  const rows = entry.shape.map((): [number, number] => [0, 0]);
  for (const [i, axis] of axes.entries()) rows[axis] = [pads[i] ?? 0, pads[i + axes.length] ?? 0];
  if (rows.flat().some((row) => row < 0)) c.fail(node, 'negative pads have no counterpart');
  const layout = c.preferred(entry);
  const own = layout === 'last' ? lastPerm(rank).map((axis) => rows[axis] ?? none) : rows;
  const stored = mode === 'constant' && value === 0 ? entry.stored : undefined;
  const from = c.get(stored ?? entry, layout);
  const name = node.output().name;
  if (mode === 'constant')
    return putMoved(
      c,
      node.output(),
      stored ? entry : { ...entry, stored: undefined },
      layout,
      c.pad(name, from, own, value),
    );
  if (mode !== 'reflect') c.fail(node, `padding mode ${mode} has no counterpart`);
  const { shape, type } = c.of(from);
  const to = shape.map((dim, axis) => dim + (own[axis]?.[0] ?? 0) + (own[axis]?.[1] ?? 0));
  const table = c.lite.ints('pads', own.flat(), [rank, 2]);
  c.put(
    node.output(),
    layout,
    c.op('MIRROR_PAD', [from, table], { name, shape: to, type }, { type: 'MirrorPadOptions', value: { mode: 0 } }),
  );
};

export const expand: Handler = (node, c) => {
  const shape = c.shape(node.output());
  const from = c.get(c.entry(node.input(0) as Value), 'plain');
  const made = c.op('BROADCAST_TO', [from, c.lite.ints('shape', shape)], {
    name: node.output().name,
    shape,
    type: c.of(from).type,
  });
  c.put(node.output(), 'plain', made);
};

export const tile: Handler = (node, c) => {
  const from = c.get(c.entry(node.input(0) as Value), 'plain');
  const repeats = c.lite.ints('multiples', c.numbers(node, 1, 'how often it repeats'));
  c.put(
    node.output(),
    'plain',
    c.op('TILE', [from, repeats], { name: node.output().name, shape: c.shape(node.output()), type: c.of(from).type }),
  );
};

/** Blocks of channels become pixels. CRD order is DCR with the channels put in another order first. */
export const depthToSpace: Handler = (node, c) => {
  const block = node.int('blocksize', 1);
  const x = c.entry(node.input(0) as Value);
  const [, channels = 1] = x.shape;
  let from = c.get(x, 'last');
  const out = c.shape(node.output());
  const depth = out[1] ?? 1;
  if (node.string('mode') === 'CRD') {
    const order = Array.from({ length: channels }, (_, at) => (at % depth) * block * block + Math.floor(at / depth));
    from = c.choose(node.output().name, from, 3, order);
  }
  const options = { type: 'DepthToSpaceOptions', value: { block_size: block } };
  const shape = [out[0] ?? 1, out[2] ?? 1, out[3] ?? 1, depth];
  c.put(
    node.output(),
    'last',
    c.op('DEPTH_TO_SPACE', [from], { name: node.output().name, shape, type: c.of(from).type }, options),
  );
};
