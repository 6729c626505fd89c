import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import { type Converter, type Entry, type Handler, type Layout } from '../converter.ts';
import type { LiteOp } from '../graph.ts';
import { lastPerm, permuted } from '../order.ts';
import { clipBounds, sinkOf, storedInputs } from '../quant.ts';
import type { OpName, TensorType } from '../schema.ts';

/** One input, same shape, no constants. */
export function unary(code: OpName, options?: (node: Node) => LiteOp['options']): Handler {
  return (node, c) => {
    const entry = c.entry(node.input(0) as Value);
    const layout = c.preferred(entry);
    const from = c.get(entry, layout);
    const { shape, type } = c.of(from);
    c.put(node.output(), layout, c.op(code, [from], { name: node.output().name, shape, type }, options?.(node)));
  };
}

/** The layout in which most inputs lie; inputs of a lower rank are constants or get axes in front. */
export function commonLayout(c: Converter, values: readonly Value[], rank: number): Layout {
  const computed = values.filter((value) => !c.constant(value)).map((value) => c.entry(value));
  return rank > 2 && computed.some((entry) => entry.shape.length === rank && c.preferred(entry) === 'last')
    ? 'last'
    : 'plain';
}

/** A tensor that broadcasts as the value does, in the given layout of a result of `rank` axes. */
export function operand(c: Converter, value: Value, layout: Layout, rank: number): number {
  const constant = c.constant(value);
  if (layout === 'plain') return c.get(c.entry(value), 'plain');
  const shape = c.shape(value);
  const wide = [...Array<number>(rank - shape.length).fill(1), ...shape];
  const perm = lastPerm(rank);
  if (constant) {
    const to = permuted(wide, perm);
    const strides = wide.map((_, axis) => elementCount(wide.slice(axis + 1)));
    const steps = permuted(strides, perm);
    const values = Array.from(constant.values, (_, at) => {
      let rest = at;
      let from = 0;
      for (let axis = rank - 1; axis >= 0; axis--) {
        from += (rest % (to[axis] ?? 1)) * (steps[axis] ?? 0);
        rest = Math.floor(rest / (to[axis] ?? 1));
      }
      return constant.values[from] ?? 0;
    });
    const ordered = constant.dtype === 'float32' ? Float32Array.from(values) : Float64Array.from(values);
    return c.literal(value.name, { ...constant, shape: to, values: ordered });
  }
  const entry = c.entry(value);
  if (shape.length === rank) return c.get(entry, 'last');
  return c.transpose(value.name, c.reshape(value.name, c.get(entry, 'plain'), wide), perm);
}

const optionsOf: Readonly<Partial<Record<OpName, string>>> = {
  ADD: 'AddOptions',
  SUB: 'SubOptions',
  MUL: 'MulOptions',
  DIV: 'DivOptions',
};
const int8Codes: ReadonlySet<OpName> = new Set<OpName>(['ADD', 'SUB', 'MUL']);

/** Two inputs with broadcasting. */
export function binary(code: OpName, result?: TensorType): Handler {
  return (node, c) => {
    const values = [node.input(0), node.input(1)] as [Value, Value];
    const stored = int8Codes.has(code) ? storedInputs(c, values) : undefined;
    const options = optionsOf[code];
    const sink = sinkOf(c, node, {
      int8: stored !== undefined,
      fuses: options !== undefined && c.typeOf(node.output()) === 'float32',
    });
    const int8 = stored !== undefined && sink.quant !== undefined;
    const shape = c.shape(node.output());
    const layout = commonLayout(c, values, shape.length);
    const inputs = values.map((value, i) =>
      int8 && stored?.[i] ? storedOperand(c, stored[i], layout, shape.length) : operand(c, value, layout, shape.length),
    );
    const to = layout === 'last' ? permuted(shape, lastPerm(shape.length)) : shape;
    const type = int8 ? c.storage : (result ?? c.typeOf(node.output()));
    const value = { fused_activation_function: c.activation(sink.activation) };
    const made = c.op(
      code,
      inputs,
      { name: sink.value.name, shape: to, type, quant: sink.quant },
      options === undefined ? undefined : { type: options, value },
    );
    c.put(sink.value, layout, made);
    for (const done of sink.absorbed) c.finish(done);
  };
}

function storedOperand(c: Converter, entry: Entry, layout: Layout, rank: number): number {
  if (layout === 'plain' || entry.shape.length === rank) return c.get(entry, layout);
  const wide = [...Array<number>(rank - entry.shape.length).fill(1), ...entry.shape];
  return c.transpose(entry.name, c.reshape(entry.name, c.get(entry, 'plain'), wide), lastPerm(rank));
}

/** Min, Max and Sum take any number of inputs. */
export function folded(code: OpName): Handler {
  return (node, c) => {
    const values = node.inputs as Value[];
    const shape = c.shape(node.output());
    const layout = commonLayout(c, values, shape.length);
    const to = layout === 'last' ? permuted(shape, lastPerm(shape.length)) : shape;
    const name = node.output().name;
    const options = optionsOf[code];
    const tensors = values.map((value) => operand(c, value, layout, shape.length));
    const [first = 0, ...rest] = tensors;
    let result = first;
    for (const next of rest)
      result = c.op(
        code,
        [result, next],
        { name, shape: to, type: c.of(first).type },
        options ? { type: options, value: {} } : undefined,
      );
    c.put(node.output(), layout, result);
  };
}

/** A chain of operators on the one input, in its layout. */
export function chain(build: (node: Node, c: Converter, step: Step, from: number) => number): Handler {
  return (node, c) => {
    const entry = c.entry(node.input(0) as Value);
    const layout = c.preferred(entry);
    const from = c.get(entry, layout);
    const { shape, type } = c.of(from);
    const step: Step = (code, inputs, options) =>
      c.op(code, inputs, { name: node.output().name, shape, type }, options);
    c.put(node.output(), layout, build(node, c, step, from));
  };
}

export type Step = (code: OpName, inputs: readonly number[], options?: LiteOp['options']) => number;

const mul = { type: 'MulOptions', value: {} };
const add = { type: 'AddOptions', value: {} };
const div = { type: 'DivOptions', value: {} };

export const clip: Handler = chain((node, c, step, from) => {
  const bounds = clipBounds(c, node);
  if (!bounds) return c.fail(node, 'its bounds are computed, and must be constants');
  const [low, high] = bounds;
  const { type } = c.of(from);
  if (type !== 'float32') {
    const [least, most] = [Math.max(low, -(2 ** 31)), Math.min(high, 2 ** 31 - 1)];
    const below = low < least ? from : step('MAXIMUM', [from, c.scalar('low', type, least)]);
    return high > most ? below : step('MINIMUM', [below, c.scalar('high', type, most)]);
  }
  if (low === 0 && high === 6) return step('RELU6', [from]);
  if (low === 0 && high === Number.POSITIVE_INFINITY) return step('RELU', [from]);
  // In this order, so that of bounds the wrong way round the upper one holds, as in ONNX.
  let result = from;
  if (low !== Number.NEGATIVE_INFINITY) result = step('MAXIMUM', [result, c.floats('low', [], [low])]);
  if (high !== Number.POSITIVE_INFINITY) result = step('MINIMUM', [result, c.floats('high', [], [high])]);
  return result;
});

/** The kernel is for floats. */
export const relu: Handler = (node, c) => {
  if (c.typeOf(node.output()) === 'float32') return unary('RELU')(node, c);
  return chain((_, converter, step, from) =>
    step('MAXIMUM', [from, converter.scalar('zero', converter.of(from).type, 0)]),
  )(node, c);
};

/** The exponent in the type of the base, as the kernel wants it. */
export const pow: Handler = (node, c) => {
  const values = [node.input(0), node.input(1)] as [Value, Value];
  const shape = c.shape(node.output());
  const layout = commonLayout(c, values, shape.length);
  const [base, given] = values.map((value) => operand(c, value, layout, shape.length)) as [number, number];
  const { type } = c.of(base);
  const { name } = node.output();
  if (type !== 'float32' && c.of(given).type === 'float32' && !c.constant(values[1])?.values.every(Number.isInteger))
    c.fail(node, 'whole numbers to the power of floats have no counterpart');
  const exponent = c.of(given).type === type ? given : c.op('CAST', [given], { name, shape: c.of(given).shape, type });
  const to = layout === 'last' ? permuted(shape, lastPerm(shape.length)) : shape;
  c.put(node.output(), layout, c.op('POW', [base, exponent], { name, shape: to, type }));
};

export const reciprocal: Handler = chain((_, c, step, from) => step('DIV', [c.floats('one', [], [1]), from], div));

export const hardSigmoid: Handler = chain((node, c, step, from) => {
  const scaled = step('MUL', [from, c.floats('alpha', [], [node.float('alpha', 0.2)])], mul);
  const moved = step('ADD', [scaled, c.floats('beta', [], [node.float('beta', 0.5)])], add);
  return step('MAXIMUM', [step('MINIMUM', [moved, c.floats('one', [], [1])]), c.floats('zero', [], [0])]);
});

/** log(1 + exp(x)) as max(x, 0) + log(1 + exp(−|x|)), which does not overflow. */
export const softplus: Handler = chain((_, c, step, from) => {
  const small = step('EXP', [step('NEG', [step('ABS', [from])])]);
  return step('ADD', [step('RELU', [from]), step('LOG', [step('ADD', [small, c.floats('one', [], [1])], add)])], add);
});

export const softsign: Handler = chain((_, c, step, from) =>
  step('DIV', [from, step('ADD', [step('ABS', [from]), c.floats('one', [], [1])], add)], div),
);

/** Abramowitz and Stegun 7.1.26: erf(|x|) = 1 − (a₁t + … + a₅t⁵)·exp(−x²), t = 1 / (1 + p|x|); off by 1.5e-7 at most. */
export const erf: Handler = chain((_, c, step, from) => {
  const number = (value: number): number => c.floats('erf', [], [value]);
  const [a1, a2, a3, a4, a5] = [0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429];
  const size = step('ABS', [from]);
  const t = step('DIV', [number(1), step('ADD', [step('MUL', [size, number(0.3275911)], mul), number(1)], add)], div);
  let sum = number(a5 ?? 0);
  for (const a of [a4, a3, a2, a1]) sum = step('ADD', [step('MUL', [sum, t], mul), number(a ?? 0)], add);
  const tail = step(
    'MUL',
    [step('MUL', [sum, t], mul), step('EXP', [step('NEG', [step('MUL', [from, from], mul)])])],
    mul,
  );
  return step('MUL', [step('SIGN', [from]), step('SUB', [number(1), tail], { type: 'SubOptions', value: {} })], mul);
});

export const leakyRelu: Handler = unary('LEAKY_RELU', (node) => ({
  type: 'LeakyReluOptions',
  value: { alpha: node.float('alpha', 0.01) },
}));

export const elu: Handler = (node, c) => {
  if (node.float('alpha', 1) !== 1) c.fail(node, 'an alpha other than 1 has no counterpart');
  unary('ELU')(node, c);
};

export const gelu: Handler = unary('GELU', (node) => ({
  type: 'GeluOptions',
  value: { approximate: node.string('approximate') === 'tanh' },
}));

export const prelu: Handler = (node, c) => {
  const values = [node.input(0), node.input(1)] as [Value, Value];
  const rank = c.shape(values[0]).length;
  const layout = commonLayout(c, [values[0]], rank);
  const from = c.get(c.entry(values[0]), layout);
  const slope = operand(c, values[1], layout, rank);
  const { shape } = c.of(from);
  c.put(
    node.output(),
    layout,
    c.op('PRELU', [from, slope], { name: node.output().name, shape, type: c.of(from).type }),
  );
};

export const where: Handler = (node, c) => {
  const values = [node.input(0), node.input(1), node.input(2)] as Value[];
  const shape = c.shape(node.output());
  const layout = commonLayout(c, values, shape.length);
  const to = layout === 'last' ? permuted(shape, lastPerm(shape.length)) : shape;
  const inputs = values.map((value) => operand(c, value, layout, shape.length));
  c.put(
    node.output(),
    layout,
    c.op('SELECT_V2', inputs, { name: node.output().name, shape: to, type: c.typeOf(node.output()) }),
  );
};

export const cast: Handler = (node, c) => {
  const entry = c.entry(node.input(0) as Value);
  if (entry.quant) c.fail(node, 'integers of a scale have no meaning as plain numbers');
  const layout = c.preferred(entry);
  const from = c.get(entry, layout);
  c.put(
    node.output(),
    layout,
    c.op('CAST', [from], { name: node.output().name, shape: c.of(from).shape, type: c.typeOf(node.output()) }),
  );
};
