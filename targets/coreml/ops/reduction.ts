import type { Handler } from '../converter.ts';

export function reduce(type: string): Handler {
  return (node, c) => {
    const x = c.in(node, 0);
    const rank = x.shape.length;
    const given = c.has(node, 1) ? c.numbers(node, 1, 'which axes it reduces') : (node.ints('axes') ?? []);
    if (given.length === 0 && node.int('noop_with_empty_axes', 0) !== 0) return c.put(node.output(), x);
    const axes = given.length > 0 ? given.map((axis) => (axis + rank) % rank) : x.shape.map((_, axis) => axis);
    c.emit(node, type, { x, axes: c.ints(axes), keep_dims: c.bool(node.int('keepdims', 1) !== 0) });
  };
}

export function argument(type: 'reduce_argmax' | 'reduce_argmin'): Handler {
  return (node, c) => {
    const x = c.in(node, 0);
    if (node.int('select_last_index', 0) !== 0) c.fail(node, 'taking the last of equal values has no counterpart');
    const axis = (node.int('axis', 0) + x.shape.length) % x.shape.length;
    c.emit(node, type, { x, axis: c.int(axis), keep_dims: c.bool(node.int('keepdims', 1) !== 0) });
  };
}

/** Before opset 13 everything from the axis on is one row. */
export function softmax(logarithm: boolean): Handler {
  return (node, c) => {
    const x = c.in(node, 0);
    const rank = x.shape.length;
    const old = c.model.opset < 13;
    const given = node.int('axis', old ? 1 : -1);
    const axis = (given + rank) % rank;
    const rowed = old && x.shape.slice(axis + 1).some((dim) => dim !== 1);
    const size = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);
    const flat = rowed ? c.reshape(x, [size(x.shape.slice(0, axis)), size(x.shape.slice(axis))]) : x;
    const own = rowed ? 1 : axis;
    const out = { name: node.output().name, shape: flat.shape, type: x.type };
    if (!logarithm)
      return c.put(node.output(), c.reshape(c.op('softmax', { x: flat, axis: c.int(own) }, out), x.shape));
    const shape = flat.shape.map((dim, at) => (at === own ? 1 : dim));
    const sum = c.op(
      'reduce_log_sum_exp',
      { x: flat, axes: c.ints([own]), keep_dims: c.bool(true) },
      { ...out, shape },
    );
    c.put(node.output(), c.reshape(c.op('sub', { x: flat, y: sum }, out), x.shape));
  };
}

export const topK: Handler = (node, c) => {
  const x = c.in(node, 0);
  const k = c.numbers(node, 1, 'how many it takes')[0] ?? 1;
  const axis = (node.int('axis', -1) + x.shape.length) % x.shape.length;
  const shape = c.shape(node.output());
  const inputs = { x, k: c.int(k), axis: c.int(axis), ascending: c.bool(node.int('largest', 1) === 0) };
  const name = node.output().name;
  const made = c.mil.op('topk', inputs, [
    { name, shape, type: x.type },
    { name: `${name}_indices`, shape, type: 'int32' },
  ]);
  for (const [i, ref] of made.entries()) if (node.outputs[i]) c.put(node.output(i), ref);
};

export const cumSum: Handler = (node, c) => {
  const x = c.in(node, 0);
  const axis = c.numbers(node, 1, 'its axis')[0] ?? 0;
  c.emit(node, 'cumsum', {
    x,
    axis: c.int((axis + x.shape.length) % x.shape.length),
    exclusive: c.bool(node.int('exclusive', 0) !== 0),
    reverse: c.bool(node.int('reverse', 0) !== 0),
  });
};
