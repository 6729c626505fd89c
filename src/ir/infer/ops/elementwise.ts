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
import { type Data, mapData, zipAll, zipData } from '../data.ts';
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

function unary(f: (item: Dim, dtype: DType | undefined) => Dim): Rule {
  return (ctx) => {
    same(ctx);
    ctx.setData(
      0,
      mapData(ctx.data(0), (item) => f(item, ctx.dtype(0))),
    );
  };
}

function binary(f: (a: Dim, b: Dim, dtype: DType | undefined) => Dim, dtype?: DType): Rule {
  return (ctx) => {
    if (dtype) ctx.set(0, dtype, broadcastInputs(ctx));
    else broadcast(ctx);
    if (ctx.inputCount !== 2) return;
    ctx.setData(
      0,
      zipData(ctx.data(0), ctx.data(1), (a, b) => f(a, b, ctx.dtype(0))),
    );
  };
}

/** Integers exactly; what does not fit a float32 is rounded to it. */
function rounded(value: Dim, dtype: DType | undefined): Dim {
  return typeof value === 'number' && dtype === 'float32' ? Math.fround(value) : value;
}

function onNumbers(f: (a: number, b: number) => number): (a: Dim, b: Dim, dtype: DType | undefined) => Dim {
  return (a, b, dtype) => (typeof a === 'number' && typeof b === 'number' ? rounded(f(a, b), dtype) : undefined);
}

/** Symbols are integers: anything else mixed with them is given up. */
function onIntegers(f: (a: Dim, b: Dim) => Dim): (a: Dim, b: Dim, dtype: DType | undefined) => Dim {
  return (a, b, dtype) => {
    const symbolic = typeof a === 'string' || typeof b === 'string';
    const fraction = (x: Dim): boolean => typeof x === 'number' && !Number.isSafeInteger(x);
    if (symbolic && (fraction(a) || fraction(b))) return undefined;
    return rounded(f(a, b), dtype);
  };
}

/** Div: integers are cut towards zero, floats are only divided where the result is exact or both are numbers. */
function divide(a: Dim, b: Dim, dtype: DType | undefined): Dim {
  if (b === 0) return undefined;
  if (typeof a === 'number' && typeof b === 'number') {
    return dtype && isFloat(dtype) ? rounded(a / b, dtype) : Math.trunc(a / b);
  }
  const whole = onIntegers(exactDivDims)(a, b, dtype);
  if (whole !== undefined || !dtype || isFloat(dtype)) return whole;
  return isNonNegativeDim(a) && leastOf(b) >= 0 ? floorDivDims(a, b) : undefined;
}

/** Mod of integers (fmod = 0): the sign follows the divisor. */
function modulo(a: Dim, b: Dim, dtype: DType | undefined): Dim {
  if (b === 0 || !dtype || isFloat(dtype)) return undefined;
  if (typeof a === 'number' && typeof b === 'number') return a - b * Math.floor(a / b);
  return subDims(a, mulDims(b, floorDivDims(a, b)));
}

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
  if (!dtype) return;
  ctx.setData(0, castData(ctx.data(0), dtype));
};

/** Elements after a cast; those that would change in a way not followed here become unknown. */
function castData(data: Data | undefined, dtype: DType): Data | undefined {
  if (dtype === 'string') return undefined;
  return mapData(data, (item) => {
    if (dtype === 'bool') return typeof item === 'number' ? Number(item !== 0) : leastOf(item) > 0 ? 1 : undefined;
    if (typeof item !== 'number') return item;
    if (isFloat(dtype)) return rounded(item, dtype);
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
    for (let index = 1; index < ctx.inputCount; index++)
      data = zipData(data, ctx.data(index), (a, b) => onIntegers(f)(a, b, undefined));
    ctx.setData(0, data);
  };

const clip: Rule = (ctx) => {
  same(ctx);
  if (ctx.opset < 11) return;
  let data = ctx.data(0);
  const low = ctx.data(1);
  const high = ctx.data(2);
  if (ctx.has(1)) data = zipData(data, low, (a, b) => onIntegers(maxDims)(a, b, undefined));
  if (ctx.has(2)) data = zipData(data, high, (a, b) => onIntegers(minDims)(a, b, undefined));
  ctx.setData(0, data);
};

const dropout: Rule = (ctx) => {
  same(ctx);
  if (ctx.outputCount > 1) ctx.set(1, ctx.opset >= 10 ? 'bool' : ctx.dtype(0), ctx.shape(0));
};

const integer = (f: (x: number) => number) => (item: Dim, dtype: DType | undefined) =>
  typeof item === 'number' ? rounded(f(item), dtype) : item;

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
  PRelu: same,
  Abs: unary((item, dtype) =>
    typeof item === 'number' ? rounded(Math.abs(item), dtype) : isNonNegativeDim(item) ? item : undefined,
  ),
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
  Mod: binary(modulo),
  Pow: binary(onNumbers((a, b) => a ** b)),
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
    if (dtype) ctx.setData(0, castData(ctx.data(0), dtype));
  },
  BitCast: (ctx) => ctx.set(0, dtypeFromCode(ctx.int('to', 0)), ctx.shape(0)),
  Where: where,
};
