import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import { type Converter, type Entry, type Handler, type Moved, rootOf } from '../converter.ts';
import { lastPerm } from '../order.ts';
import { sinkOf, storedInputs } from '../quant.ts';
import type { OpName } from '../schema.ts';

/** Reduces axes of the model's order; without `keep` they go. */
function reduced(c: Converter, node: Node, code: OpName, axes: readonly number[], keep: boolean): void {
  const x = node.input(0) as Value;
  const stored = code === 'MEAN' ? storedInputs(c, [x])?.[0] : undefined;
  const sink = sinkOf(c, node, { int8: stored !== undefined, fuses: false });
  const int8 = stored !== undefined && sink.quant !== undefined;
  const entry = int8 && stored ? stored : c.entry(x);
  const rank = entry.shape.length;
  const kept = entry.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  // Without the axes, channels last is an order that only two axes and more in space have.
  const layout = c.preferred(entry) === 'last' && (keep || kept.length < 3 || !kept.includes(1)) ? 'last' : 'plain';
  const perm = layout === 'last' ? lastPerm(rank) : entry.shape.map((_, axis) => axis);
  const order = perm.filter((axis) => !axes.includes(axis));
  const ascending = order.every((axis, i) => i === 0 || axis > (order[i - 1] ?? 0));
  const from = c.get(entry, layout);
  const shape = keep
    ? perm.map((axis) => (axes.includes(axis) ? 1 : (entry.shape[axis] ?? 1)))
    : order.map((axis) => entry.shape[axis] ?? 1);
  const value = int8 ? sink.value : node.output();
  const table = c.lite.ints(
    'axes',
    axes.map((axis) => perm.indexOf(axis)).sort((a, b) => a - b),
  );
  const options = { type: 'ReducerOptions', value: { keep_dims: keep } };
  const type = int8 ? c.storage : c.of(from).type;
  const made = c.op(code, [from, table], { name: value.name, shape, type, quant: sink.quant }, options);
  c.put(value, keep ? layout : ascending ? 'plain' : 'last', made);
  if (int8) for (const done of sink.absorbed) c.finish(done);
}

export function reduce(code: OpName): Handler {
  return (node, c) => {
    const rank = c.shape(node.input(0)).length;
    const given = node.input(1) ? c.numbers(node, 1, 'which axes it reduces') : node.ints('axes');
    if ((!given || given.length === 0) && node.int('noop_with_empty_axes', 0) !== 0)
      c.fail(node, 'a reduction of no axes has no counterpart');
    const axes =
      given && given.length > 0
        ? given.map((axis) => (axis < 0 ? axis + rank : axis))
        : Array.from({ length: rank }, (_, i) => i);
    reduced(c, node, code, axes, node.int('keepdims', 1) !== 0);
  };
}

export function globalPool(code: 'MEAN' | 'REDUCE_MAX'): Handler {
  return (node, c) => {
    const rank = c.shape(node.input(0)).length;
    reduced(
      c,
      node,
      code,
      Array.from({ length: rank - 2 }, (_, i) => i + 2),
      true,
    );
  };
}

/** A rearranged picture whose rows along `axis` are just the channels of each pixel: the picture, on which softmax needs no transpose. */
function overChannels(c: Converter, entry: Entry, axis: number): Entry | undefined {
  if (!entry.moved || axis !== entry.shape.length - 1 || (c.preferred(entry) === 'plain' && entry.forms.has('plain')))
    return undefined;
  const { root, index } = rootOf(entry.moved);
  const [, channels = 1, ...space] = root.shape;
  const area = elementCount(space);
  if (!root.forms.has('last') || root.shape.length < 3 || entry.shape.at(-1) !== channels) return undefined;
  if (index.length !== elementCount(root.shape)) return undefined;
  const inRows = index.every(
    (element, at) =>
      Math.floor(element / area) % channels === at % channels &&
      (at % channels === 0 || element === (index[at - 1] ?? 0) + area),
  );
  return inRows ? root : undefined;
}

/** The same rearrangement of another picture. */
export function movedLike(entry: Entry, name: string, root: Entry, tensor: number): Entry {
  const moved = entry.moved as NonNullable<Entry['moved']>;
  const { index } = rootOf(moved);
  const source: Entry = { ...root, name, forms: new Map([['last', tensor]]) };
  const chain: Moved[] = [];
  for (let at: Entry | undefined = entry; at?.moved && at !== root; at = at.moved.source) chain.unshift(at.moved);
  const lower = (from: number): number => chain.reduce((tensor, step) => step.lower(tensor), from);
  return { name, shape: entry.shape, type: entry.type, forms: new Map(), moved: { source, index: () => index, lower } };
}

/** Over one axis, which the kernels want last. */
export function softmax(code: 'SOFTMAX' | 'LOG_SOFTMAX'): Handler {
  return (node, c) => {
    const entry = c.entry(node.input(0) as Value);
    const rank = entry.shape.length;
    const given = node.int('axis', c.model.opset < 13 ? 1 : -1);
    const axis = given < 0 ? given + rank : given;
    const name = node.output().name;
    const options = code === 'SOFTMAX' ? { type: 'SoftmaxOptions', value: { beta: 1 } } : undefined;
    const run = (from: number): number =>
      c.op(code, [from], { name, shape: c.of(from).shape, type: 'float32' }, options);
    const before = overChannels(c, entry, axis);
    if (before) return c.set(node.output(), movedLike(entry, name, before, run(c.get(before, 'last'))));
    // Before opset 13 everything from the axis on is one row.
    const rowed = c.model.opset < 13 && axis !== rank - 1;
    if (rowed && entry.shape.slice(axis + 1).some((dim) => dim !== 1)) {
      const inner = entry.shape.slice(axis).reduce((product, dim) => product * dim, 1);
      const outer = entry.shape.slice(0, axis).reduce((product, dim) => product * dim, 1);
      const flat = c.reshape(name, c.get(entry, 'plain'), [outer, inner]);
      return c.put(node.output(), 'plain', c.reshape(name, run(flat), entry.shape));
    }
    if (axis === 1 && rank > 2) return c.put(node.output(), 'last', run(c.get(entry, 'last')));
    if (axis === rank - 1) return c.put(node.output(), 'plain', run(c.get(entry, 'plain')));
    const perm = [...entry.shape.keys()].filter((at) => at !== axis);
    perm.push(axis);
    const back = perm.map((_, at) => perm.indexOf(at));
    c.put(node.output(), 'plain', c.transpose(name, run(c.transpose(name, c.get(entry, 'plain'), perm)), back));
  };
}

export const argMax: Handler = (node, c) => {
  const entry = c.entry(node.input(0) as Value);
  const rank = entry.shape.length;
  const axis = (node.int('axis', 0) + rank) % rank;
  if (node.int('select_last_index', 0) !== 0) c.fail(node, 'taking the last of equal maxima has no counterpart');
  const out = c.shape(node.output());
  const from = c.get(entry, 'plain');
  const shape = entry.shape.filter((_, at) => at !== axis);
  const table = c.lite.constant('axis', [], Int32Array.of(axis));
  const made = c.op(
    'ARG_MAX',
    [from, table],
    { name: node.output().name, shape, type: 'int64' },
    { type: 'ArgMaxOptions', value: { output_type: 4 } },
  );
  c.put(node.output(), 'plain', c.reshape(node.output().name, made, out));
};
