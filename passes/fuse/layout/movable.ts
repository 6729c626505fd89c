/** Operators that work the same whatever the order of their axes, and what of them must be said anew in another order. */
import type { AttrInput } from '../../../src/ir/attr.ts';
import { constantNumbers, constantOf } from '../../../src/ir/constant.ts';
import type { Node } from '../../../src/ir/graph.ts';
import { elementCount, int64Vector, type Tensor, tensorOf } from '../../../src/ir/tensor.ts';
import type { ValueTypes } from '../../../src/rewrite/rule.ts';

/** A node whose outputs have the rank in question. */
export interface Movable {
  /** The last axis has to stay the last. */
  readonly keepsLast?: true;
  /** Inputs that have the layout of the outputs. */
  readonly carried: readonly number[];
  /** Constant inputs that are turned with it. */
  readonly constants: readonly number[];
  /** Attributes in another order: old axis `a` is new axis `to[a]`. */
  attrs(to: readonly number[]): Readonly<Record<string, AttrInput>>;
  /** Other inputs in another order, by index. */
  inputs(to: readonly number[]): ReadonlyMap<number, Tensor>;
}

/** One value in, elements on their own. */
const unary = new Set(
  `Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity
  IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh
  ThresholdedRelu`.split(/\s+/),
);

/** Operands broadcast against each other. */
const broadcasting = new Set(
  `Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or PRelu Pow
  Sub Sum Where Xor`.split(/\s+/),
);

const reductions = new Set(
  'ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare'.split(
    ' ',
  ),
);

const none: ReadonlyMap<number, Tensor> = new Map();

/** How `node` could work on values of `rank` in another order of axes; a sentence where it cannot. */
export function movable(node: Node, rank: number, opset: number, types: ValueTypes): Movable | string {
  const fixed = `${node} depends on the order of its axes`;
  if (node.domain !== '' || node.subgraphs.length > 0) return fixed;
  for (const attr of node.attrs.values()) if (attr.type === 'ref') return fixed;
  for (const output of node.outputs) if (output && types.shapeOf(output)?.length !== rank) return fixed;
  if (unary.has(node.op)) return plain([0]);
  if (broadcasting.has(node.op)) return opset >= 7 ? operands(node, rank, types) : fixed;
  if (reductions.has(node.op)) return reduction(node, rank) ?? fixed;
  switch (node.op) {
    case 'Concat':
      return withAxis(node, rank, [...node.inputs.keys()], 1);
    case 'Split':
      return withAxis(node, rank, [0], 0);
    case 'MatMul':
      return constantOf(node.input(1))?.shape.length === 2 ? { ...plain([0]), keepsLast: true } : fixed;
    case 'LayerNormalization':
      return inRange(node.int('axis', -1), rank) === rank - 1 && !node.outputs.slice(1).some((output) => output?.isUsed)
        ? { ...plain([0]), keepsLast: true }
        : fixed;
    case 'Softmax':
    case 'LogSoftmax':
      return opset >= 13 ? withAxis(node, rank, [0], -1) : fixed;
    case 'Pad':
      return (opset >= 11 && pad(node, rank)) || fixed;
    case 'Slice':
      return (opset >= 10 && slice(node, rank)) || fixed;
    case 'QuantizeLinear':
    case 'DequantizeLinear':
      return quantization(node, rank, opset) ?? fixed;
    default:
      return fixed;
  }
}

const plain = (carried: readonly number[]): Movable => ({
  carried,
  constants: [],
  attrs: () => ({}),
  inputs: () => none,
});

const inRange = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

function withAxis(node: Node, rank: number, carried: readonly number[], fallback: number): Movable {
  const axis = inRange(node.int('axis', fallback), rank);
  return { ...plain(carried), attrs: (to) => ({ axis: to[axis] as number }) };
}

/** Operands of full rank carry the layout, constants are turned, a single number stays as it is. */
function operands(node: Node, rank: number, types: ValueTypes): Movable | string {
  const carried: number[] = [];
  const constants: number[] = [];
  for (const [index, value] of node.inputs.entries()) {
    const shape = types.shapeOf(value);
    if (!shape) return `the rank of "${value?.name}", read by ${node}, is not known`;
    if (constantOf(value)) constants.push(index);
    else if (shape.length === rank) carried.push(index);
    else if (!shape.every((dim) => dim === 1))
      return `"${value?.name}", read by ${node}, is of rank ${shape.length}, not ${rank}`;
  }
  return { ...plain(carried), constants };
}

function axesOf(node: Node, input: number): number[] | 'all' | undefined {
  const given = node.ints('axes') ?? (node.input(input) ? constantNumbers(node.input(input)) : undefined);
  if (given) return given;
  return node.input(input) ? undefined : 'all';
}

function reduction(node: Node, rank: number): Movable | undefined {
  const axes = axesOf(node, 1);
  if (!axes || node.int('keepdims', 1) !== 1) return undefined;
  if (axes === 'all' || axes.length === 0) return plain([0]);
  const turned = (to: readonly number[]): number[] => axes.map((axis) => to[inRange(axis, rank)] as number);
  if (node.attrs.has('axes')) return { ...plain([0]), attrs: (to) => ({ axes: turned(to) }) };
  return { ...plain([0]), inputs: (to) => new Map([[1, int64Vector(turned(to))]]) };
}

function pad(node: Node, rank: number): Movable | undefined {
  const pads = constantNumbers(node.input(1));
  if (!pads || node.input(3) || pads.length !== 2 * rank) return undefined;
  const turned = (to: readonly number[]): number[] => {
    const result = pads.map(() => 0);
    for (let axis = 0; axis < rank; axis++) {
      result[to[axis] as number] = pads[axis] as number;
      result[(to[axis] as number) + rank] = pads[axis + rank] as number;
    }
    return result;
  };
  return { ...plain([0]), inputs: (to) => new Map([[1, int64Vector(turned(to))]]) };
}

function slice(node: Node, rank: number): Movable | undefined {
  const starts = constantNumbers(node.input(1));
  const axes = node.input(3) ? constantNumbers(node.input(3)) : starts?.map((_, axis) => axis);
  // Starts, ends and axes are all of one type, int32 or int64.
  const dtype = constantOf(node.input(3) ?? node.input(1))?.dtype;
  if (!axes || (dtype !== 'int32' && dtype !== 'int64')) return undefined;
  const turned = (to: readonly number[]): number[] => axes.map((axis) => to[inRange(axis, rank)] as number);
  return { ...plain([0]), inputs: (to) => new Map([[3, tensorOf(dtype, [axes.length], turned(to))]]) };
}

function quantization(node: Node, rank: number, opset: number): Movable | undefined {
  const scale = constantOf(node.input(1));
  if (!scale || node.int('block_size', 0) !== 0) return undefined;
  // Before opset 13 there is no axis, and one scale may be a vector of one.
  if (scale.shape.length === 0 || (opset < 13 && elementCount(scale.shape) === 1)) return plain([0]);
  if (opset < 13) return undefined;
  return scale.shape.length === 1 ? withAxis(node, rank, [0], 1) : undefined;
}
