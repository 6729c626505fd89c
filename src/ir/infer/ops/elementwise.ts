import {
  addDims,
  differentDims,
  equalDims,
  exactDivDims,
  floorDivDims,
  isNonNegativeDim,
  leastOf,
  maxDims,
  minDims,
  mulDims,
  subDims,
} from '../../dim.ts';
import { type DType, dtypeFromCode, isFloat } from '../../dtype.ts';
import type { Dim, Shape } from '../../types.ts';
import type { NodeContext, Rule, RuleTable } from '../context.ts';
import { type Data, isSaturated, mapData, zipAll, zipData } from '../data.ts';
import { broadcastShapes } from '../shapes.ts';

/** Output 0 is like input 0. */
export const same: Rule = (ctx) => {
  const type = ctx.type(0);
  ctx.setType(0, type);
};

/** Output 0 has the shape of input 0 and an element type of its own. */
const sameShape =
  (dtype: DType): Rule =>
  (ctx) =>
    ctx.set(0, dtype, ctx.shape(0));

/** Shape of all inputs broadcast together. */
function broadcastInputs(ctx: NodeContext, from = 0, to = ctx.inputCount): Shape | undefined {
  let shape: Shape | undefined = [];
  for (let index = from; index < to; index++) if (ctx.has(index)) shape = broadcastShapes(shape, ctx.shape(index));
  return shape;
}

/** NumPy broadcasting of all inputs, element type of the first one that has any. */
export const broadcast: Rule = (ctx) => {
  const dtype = ctx.node.inputs.map((_, index) => ctx.dtype(index)).find((type) => type !== undefined);
  ctx.set(0, dtype, broadcastInputs(ctx));
};

function unary(f: (item: Dim) => Dim): Rule {
  return (ctx) => {
    same(ctx);
    ctx.setData(0, mapData(exactData(ctx, 0), f));
  };
}

/** The elements of an input that can be reckoned with: not those that only say "beyond what a number can be". */
function exactData(ctx: NodeContext, index: number): Data | undefined {
  const dtype = ctx.dtype(index);
  return mapData(ctx.data(index), (item) => (isSaturated(item, dtype) ? undefined : item));
}

function binary(f: (a: Dim, b: Dim, dtype: DType | undefined) => Dim, dtype?: DType): Rule {
  return (ctx) => {
    if (dtype) ctx.set(0, dtype, broadcastInputs(ctx));
    else broadcast(ctx);
    if (ctx.inputCount !== 2) return;
    ctx.setData(
      0,
      zipData(exactData(ctx, 0), exactData(ctx, 1), (a, b) => f(a, b, ctx.dtype(0))),
    );
  };
}

/** Symbols are integers: anything else mixed with them is given up. */
function onIntegers(f: (a: Dim, b: Dim) => Dim): (a: Dim, b: Dim) => Dim {
  return (a, b) => {
    const symbolic = typeof a === 'string' || typeof b === 'string';
    const fraction = (x: Dim): boolean => typeof x === 'number' && !Number.isSafeInteger(x);
    return symbolic && (fraction(a) || fraction(b)) ? undefined : f(a, b);
  };
}

/** Powers that are integers; how others are rounded is the runtime's own. */
function power(a: Dim, b: Dim): Dim {
  const result = typeof a === 'number' && typeof b === 'number' ? a ** b : undefined;
  return Number.isSafeInteger(result) ? result : undefined;
}

/** Div: integers are cut towards zero, floats are only divided where the result is exact or both are numbers. */
function divide(a: Dim, b: Dim, dtype: DType | undefined): Dim {
  if (b === 0) return undefined;
  if (typeof a === 'number' && typeof b === 'number') {
    return dtype && isFloat(dtype) ? a / b : Math.trunc(a / b);
  }
  const whole = onIntegers(exactDivDims)(a, b);
  if (whole !== undefined || !dtype || isFloat(dtype)) return whole;
  return isNonNegativeDim(a) && leastOf(b) >= 0 ? floorDivDims(a, b) : undefined;
}

/** Mod of integers: the sign follows the divisor, with fmod the dividend. */
const mod: Rule = (ctx) => {
  const fmod = ctx.int('fmod', 0) === 1;
  binary((a, b, dtype) => {
    if (b === 0 || !dtype || isFloat(dtype)) return undefined;
    if (typeof a === 'number' && typeof b === 'number') return fmod ? a % b : a - b * Math.floor(a / b);
    if (fmod && !(isNonNegativeDim(a) && leastOf(b) >= 0)) return undefined;
    return subDims(a, mulDims(b, floorDivDims(a, b)));
  })(ctx);
};

const bool = (value: boolean | undefined): Dim => (value === undefined ? undefined : value ? 1 : 0);

function equal(a: Dim, b: Dim): Dim {
  if (equalDims(a, b)) return 1;
  return bool(differentDims(a, b) ? false : undefined);
}

/** a < b, or a ≤ b with `slack` 0. */
function less(slack: 0 | 1): (a: Dim, b: Dim) => Dim {
  return (a, b) => {
    if (typeof a === 'number' && typeof b === 'number') return bool(slack === 1 ? a < b : a <= b);
    if (leastOf(subDims(b, a)) >= slack) return 1;
    return bool(leastOf(subDims(a, b)) >= 1 - slack ? false : undefined);
  };
}

const flip = (f: (a: Dim, b: Dim) => Dim) => (a: Dim, b: Dim) => f(b, a);

const cast: Rule = (ctx) => {
  const to = ctx.int('to');
  const dtype = to === undefined ? undefined : dtypeFromCode(to);
  ctx.set(0, dtype, ctx.shape(0));
  if (dtype) ctx.setData(0, castData(ctx, dtype));
};

/** Types that an extent goes through unchanged: a half has 11 bits of it, and small integers wrap. */
const holdsExtents = new Set<DType>(['int64', 'uint64', 'int32', 'uint32', 'float64', 'float32']);

/** Elements after a cast; those that would change in a way not followed here become unknown. */
function castData(ctx: NodeContext, dtype: DType): Data | undefined {
  if (dtype === 'string') return undefined;
  if (dtype === ctx.dtype(0)) return ctx.data(0);
  return mapData(exactData(ctx, 0), (item) => {
    if (dtype === 'bool') return typeof item === 'number' ? Number(item !== 0) : leastOf(item) > 0 ? 1 : undefined;
    if (typeof item !== 'number') return holdsExtents.has(dtype) ? item : undefined;
    if (isFloat(dtype)) return item;
    const whole = Math.trunc(item);
    return dtype === 'int64' || dtype === 'int32' ? whole : whole >= 0 && whole < 128 ? whole : undefined;
  });
}

const where: Rule = (ctx) => {
  ctx.set(0, ctx.dtype(1) ?? ctx.dtype(2), broadcastInputs(ctx));
  const data = zipAll([ctx.data(0), ctx.data(1), ctx.data(2)], ([condition, yes, no]) => {
    if (typeof condition === 'number') return condition === 0 ? no : yes;
    return equalDims(yes, no) ? yes : undefined;
  });
  ctx.setData(0, data);
};

const variadic =
  (f: (a: Dim, b: Dim) => Dim): Rule =>
  (ctx) => {
    broadcast(ctx);
    let data = ctx.data(0);
    for (let index = 1; index < ctx.inputCount; index++) data = zipData(data, ctx.data(index), onIntegers(f));
    ctx.setData(0, data);
  };

const clip: Rule = (ctx) => {
  same(ctx);
  if (ctx.opset < 11) return;
  let data = ctx.data(0);
  const low = ctx.data(1);
  const high = ctx.data(2);
  if (ctx.has(1)) data = zipData(data, low, onIntegers(maxDims));
  if (ctx.has(2)) data = zipData(data, high, onIntegers(minDims));
  ctx.setData(0, data);
};

const dropout: Rule = (ctx) => {
  same(ctx);
  if (ctx.outputCount > 1) ctx.set(1, ctx.opset >= 10 ? 'bool' : ctx.dtype(0), ctx.shape(0));
};

const integer = (f: (x: number) => number) => (item: Dim) => (typeof item === 'number' ? f(item) : item);

const roundHalfEven = (x: number): number => {
  const low = Math.floor(x);
  return x - low === 0.5 ? low + (low % 2 === 0 ? 0 : 1) : Math.round(x);
};

const sames = [
  'Acos',
  'Acosh',
  'Asin',
  'Asinh',
  'Atan',
  'Atanh',
  'BitwiseNot',
  'Celu',
  'Cos',
  'Cosh',
  'CumSum',
  'CumProd',
  'Elu',
  'Erf',
  'Exp',
  'Gelu',
  'HardSigmoid',
  'HardSwish',
  'Hardmax',
  'LRN',
  'LeakyRelu',
  'Log',
  'LogSoftmax',
  'LpNormalization',
  'MeanVarianceNormalization',
  'Mish',
  'Reciprocal',
  'Relu',
  'ReverseSequence',
  'ScaledTanh',
  'ParametricSoftplus',
  'Affine',
  'Selu',
  'Shrink',
  'Sigmoid',
  'Sign',
  'Sin',
  'Sinh',
  'Softmax',
  'Softplus',
  'Softsign',
  'Sqrt',
  'Swish',
  'Tan',
  'Tanh',
  'ThresholdedRelu',
  'Trilu',
  'InstanceNormalization',
  'GroupNormalization',
  'RMSNormalization',
  'RotaryEmbedding',
  'TensorScatter',
  'BiasSoftmax',
] as const;

export const elementwise: RuleTable = {
  ...Object.fromEntries(sames.map((op) => [op, same])),
  // The slope is to broadcast into x; where it has more axes, ONNX Runtime's result has them, too.
  PRelu: broadcast,
  Abs: unary((item) => (typeof item === 'number' ? Math.abs(item) : isNonNegativeDim(item) ? item : undefined)),
  Neg: unary((item) => (typeof item === 'number' ? 0 - item : mulDims(item, -1))),
  Floor: unary(integer(Math.floor)),
  Ceil: unary(integer(Math.ceil)),
  Round: unary(integer(roundHalfEven)),
  Identity: (ctx) => {
    same(ctx);
    ctx.setData(0, ctx.data(0));
  },
  Clip: clip,
  Dropout: dropout,
  Add: binary(onIntegers(addDims)),
  Sub: binary(onIntegers(subDims)),
  Mul: binary(onIntegers(mulDims)),
  Div: binary(divide),
  Mod: mod,
  Pow: binary(power),
  Max: variadic(maxDims),
  Min: variadic(minDims),
  Sum: broadcast,
  Mean: broadcast,
  Equal: binary(equal, 'bool'),
  Less: binary(less(1), 'bool'),
  LessOrEqual: binary(less(0), 'bool'),
  Greater: binary(flip(less(1)), 'bool'),
  GreaterOrEqual: binary(flip(less(0)), 'bool'),
  And: binary((a, b) => (a === 0 || b === 0 ? 0 : a === 1 && b === 1 ? 1 : undefined), 'bool'),
  Or: binary((a, b) => (a === 1 || b === 1 ? 1 : a === 0 && b === 0 ? 0 : undefined), 'bool'),
  Xor: binary((a, b) => (typeof a === 'number' && typeof b === 'number' ? Number(a !== b) : undefined), 'bool'),
  Not: unary((item) => (typeof item === 'number' ? Number(item === 0) : undefined)),
  BitShift: broadcast,
  BitwiseAnd: broadcast,
  BitwiseOr: broadcast,
  BitwiseXor: broadcast,
  IsInf: sameShape('bool'),
  IsNaN: sameShape('bool'),
  Cast: cast,
  CastLike: (ctx) => {
    const dtype = ctx.dtype(1);
    ctx.set(0, dtype, ctx.shape(0));
    if (dtype) ctx.setData(0, castData(ctx, dtype));
  },
  BitCast: (ctx) => ctx.set(0, dtypeFromCode(ctx.int('to', 0)), ctx.shape(0)),
  Where: where,
};
