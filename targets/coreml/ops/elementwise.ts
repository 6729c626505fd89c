import type { Node } from '../../../src/ir/graph.ts';
import type { Converter, Handler } from '../converter.ts';
import type { Ref } from '../graph.ts';

/** One input, no parameters. */
export function unary(type: string): Handler {
  return (node, c) => c.emit(node, type, { x: c.in(node, 0) });
}

/** One input and parameters that are attributes: [name, fallback] by parameter. */
export function activation(type: string, parameters: Readonly<Record<string, readonly [string, number]>>): Handler {
  return (node, c) => {
    const given = Object.entries(parameters).map(([key, [name, fallback]]) => [
      key,
      c.scalar(node.float(name, fallback)),
    ]);
    c.emit(node, type, { x: c.in(node, 0), ...Object.fromEntries(given) });
  };
}

/** Two inputs that broadcast. */
export function binary(type: string): Handler {
  return (node, c) => {
    const x = c.in(node, 0);
    c.emit(node, type, { x, y: c.cast(c.in(node, 1), x.type) });
  };
}

export const divide: Handler = (node, c) => {
  const [x, y] = [c.in(node, 0), c.in(node, 1)];
  if (x.type === 'int32') c.fail(node, 'integers are divided downwards there, and towards zero here');
  c.emit(node, 'real_div', { x, y });
};

export const modulo: Handler = (node, c) => {
  if (node.int('fmod', 0) !== 0) c.fail(node, 'a remainder with the sign of the dividend has no counterpart');
  binary('mod')(node, c);
};

export const power: Handler = (node, c) => {
  const [x, y] = [c.in(node, 0), c.in(node, 1)];
  if (x.type === 'int32' && y.type !== 'int32')
    c.fail(node, 'whole numbers to the power of floats have no counterpart');
  binary('pow')(node, c);
};

/** Comparisons of truth values compare numbers. */
export function compare(type: string): Handler {
  return (node, c) => {
    const [x, y] = [0, 1]
      .map((i) => c.in(node, i))
      .map((ref) => (ref.type === 'bool' ? c.cast(ref, 'int32') : ref)) as [Ref, Ref];
    c.emit(node, type, { x, y });
  };
}

/** Any number of inputs, two by two; a mean divides at the end. */
export function folded(type: string, mean = false): Handler {
  return (node, c) => {
    const name = node.output().name;
    const refs = node.inputs.map((_, i) => c.in(node, i));
    const [first, ...rest] = refs as [Ref, ...Ref[]];
    let result = rest.reduce((sum, next) => c.binary(type, sum, next, name), first);
    if (mean) result = c.binary('mul', result, c.scalar(1 / refs.length), name);
    c.put(node.output(), result);
  };
}

/** Steps on the one input, all of its shape. */
export function chain(build: (step: Step, x: Ref, node: Node, c: Converter) => Ref): Handler {
  return (node, c) => {
    const x = c.in(node, 0);
    const step: Step = (type, inputs) => c.op(type, inputs, { name: node.output().name, shape: x.shape, type: x.type });
    c.put(node.output(), build(step, x, node, c));
  };
}

type Step = (type: string, inputs: Readonly<Record<string, Ref>>) => Ref;

export const clip: Handler = (node, c) => {
  const x = c.in(node, 0);
  const bound = (index: number, attr: string, fallback: number): number => {
    if (c.model.opset < 11) return node.float(attr, fallback);
    return c.has(node, index) ? (c.numbers(node, index, 'a bound')[0] ?? fallback) : fallback;
  };
  const [low, high] = [bound(1, 'min', Number.NEGATIVE_INFINITY), bound(2, 'max', Number.POSITIVE_INFINITY)];
  // Whole numbers have 32 bits there: bounds beyond them bound nothing.
  const [least, most] = x.type === 'int32' ? [-(2 ** 31), 2 ** 31 - 1] : [-3.4e38, 3.4e38];
  const bounded = [low > least, high < most];
  if (x.type !== 'int32' && low === 0 && high === 6) return c.emit(node, 'relu6', { x });
  if (x.type !== 'int32' && low === 0 && !bounded[1]) return c.emit(node, 'relu', { x });
  if (x.type !== 'int32' && bounded[0] && bounded[1])
    return c.emit(node, 'clip', { x, alpha: c.scalar(low), beta: c.scalar(high) });
  // Whole numbers have no largest half.
  const number = (value: number): Ref => (x.type === 'int32' ? c.int(value) : c.scalar(value));
  const name = node.output().name;
  let result = x;
  if (bounded[0]) result = c.binary('maximum', result, number(low), name);
  if (bounded[1]) result = c.binary('minimum', result, number(high), name);
  c.put(node.output(), result);
};

export const negate: Handler = (node, c) => {
  const x = c.in(node, 0);
  c.emit(node, 'mul', { x, y: c.cast(c.scalar(-1), x.type) });
};
export const reciprocal: Handler = chain((step, x, _, c) => step('real_div', { x: c.scalar(1), y: x }));
/** MIL adds a number before it takes the logarithm, unless told that it is 0. */
export const log: Handler = chain((step, x, _, c) => step('log', { x, epsilon: c.scalar(0) }));
export const hardSwish: Handler = chain((step, x, _, c) =>
  step('mul', { x, y: step('sigmoid_hard', { x, alpha: c.scalar(1 / 6), beta: c.scalar(0.5) }) }),
);
export const mish: Handler = chain((step, x) => step('mul', { x, y: step('tanh', { x: step('softplus', { x }) }) }));
export const selu: Handler = chain((step, x, node, c) =>
  step('mul', {
    x: step('elu', { x, alpha: c.scalar(node.float('alpha', 1.67326319217681884765625)) }),
    y: c.scalar(node.float('gamma', 1.05070102214813232421875)),
  }),
);
/** α·elu(x / α), by its definition. */
export const celu: Handler = chain((step, x, node, c) => {
  const alpha = node.float('alpha', 1);
  const scaled = alpha === 1 ? x : step('mul', { x, y: c.scalar(1 / alpha) });
  const result = step('elu', { x: scaled, alpha: c.scalar(1) });
  return alpha === 1 ? result : step('mul', { x: result, y: c.scalar(alpha) });
});

export const gelu: Handler = (node, c) =>
  c.emit(node, 'gelu', {
    x: c.in(node, 0),
    mode: c.text(node.string('approximate') === 'tanh' ? 'TANH_APPROXIMATION' : 'EXACT'),
  });

/** max(x, 0) + slope · min(x, 0): the operator of that name knows slopes by channel only. */
export const prelu: Handler = (node, c) => {
  const [x, slope] = [c.in(node, 0), c.in(node, 1)];
  const constant = c.constant(node.input(1));
  const channels = x.shape[1] ?? 1;
  const byChannel =
    x.shape.length === 4 &&
    constant?.values.length === channels &&
    slope.shape.length <= 4 &&
    [...Array<number>(4 - slope.shape.length).fill(1), ...slope.shape].every(
      (dim, axis) => dim === (axis === 1 ? channels : 1),
    );
  if (byChannel && constant)
    return c.emit(node, 'prelu', { x, alpha: c.floats(slope.name, [channels], constant.values) });
  const name = node.output().name;
  const below = c.binary('mul', c.binary('minimum', x, c.scalar(0), name), slope, name);
  c.put(node.output(), c.binary('add', c.binary('maximum', x, c.scalar(0), name), below, name));
};

export const where: Handler = (node, c) => {
  const shape = c.shape(node.output());
  const [cond, a, b] = [0, 1, 2].map((i) => c.broadcast(c.in(node, i), shape)) as [Ref, Ref, Ref];
  c.emit(node, 'select', { cond, a, b });
};

export const cast: Handler = (node, c) => c.put(node.output(), c.cast(c.in(node, 0), c.typeOf(node.output())));
