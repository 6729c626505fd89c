import { constantOf } from '../../../src/ir/constant.ts';
import { equalShapes } from '../../../src/ir/dim.ts';
import { type DType, dtypeKind } from '../../../src/ir/dtype.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount, type Tensor, toNumbers, typedArray } from '../../../src/ir/tensor.ts';
import { broadcastsInto } from '../../../src/rewrite/conditions.ts';
import type { Known } from '../known.ts';
import { localRule, type Plan } from '../local-rule.ts';
import { formatShape } from '../shapes.ts';

/** Largest constant that is looked at element by element. */
const largestNeutral = 65536;

interface Neutral {
  /** The operand that may be neutral, by input index. */
  readonly sides: readonly number[];
  readonly value: number;
}

const neutrals: Readonly<Record<string, Neutral>> = {
  Mul: { sides: [0, 1], value: 1 },
  Div: { sides: [1], value: 1 },
  Add: { sides: [0, 1], value: 0 },
  Sub: { sides: [1], value: 0 },
  Pow: { sides: [1], value: 1 },
  And: { sides: [0, 1], value: 1 },
  Or: { sides: [0, 1], value: 0 },
};

/**
 * x·1, x/1, x−0, x+(−0), x¹, and integers +0: x itself, bit for bit. x+0 is left alone for floats: it turns −0 into 0.
 */
export const neutralOperand = localRule(
  'neutral-operand',
  'Mul or Div by 1, Sub or Add of 0, Pow 1, And true, Or false: the other operand',
  Object.keys(neutrals),
  (node, known, site) => {
    const neutral = neutrals[node.op];
    if (!neutral || node.inputs.length !== 2) return undefined;
    let why: string | undefined;
    for (const side of neutral.sides) {
      const operand = node.inputs[side];
      const x = node.inputs[1 - side];
      if (operand?.initializer && !operand.constant && everyElement(operand.initializer, neutral.value)) {
        why ??= `"${operand.name}" is an input too, so a caller may override it`;
      }
      const tensor = constantOf(operand);
      if (!tensor || !x) continue;
      if (!everyElement(tensor, neutral.value)) continue;
      const plan = neutralPlan(node, x, tensor, known, site.opset);
      if (plan && !('why' in plan)) return plan;
      why ??= plan && 'why' in plan ? plan.why : undefined;
    }
    return why === undefined ? undefined : { why };
  },
);

function neutralPlan(node: Node, x: Value, tensor: Tensor, known: Known, opset: number): Plan {
  const isFloat = dtypeKind(tensor.dtype) === 'float';
  if (node.is('Add') && isFloat && zeroSigns(tensor) !== 'negative') {
    return { why: 'x + 0 turns -0 into 0, which is not bit-identical' };
  }
  if (node.is('Pow') && dtypeKind(known.dtype(x) ?? 'int64') !== 'float') {
    return { why: 'integers are raised in floating point, which loses the low digits of large ones' };
  }
  if (node.is('Sub') && isFloat && zeroSigns(tensor) !== 'positive') {
    return { why: 'x - (-0) turns -0 into 0, which is not bit-identical' };
  }
  if (opset < 7 && node.int('broadcast', 0) === 1) return { bypass: x };
  const shape = known.shape(x);
  const rankOnly = shape && tensor.shape.length <= shape.length && tensor.shape.every((dim) => dim === 1);
  if (rankOnly || (shape && broadcastsInto(tensor.shape, shape)) || tensor.shape.length === 0) return { bypass: x };
  return {
    why: `the constant of shape ${formatShape(tensor.shape)} may broadcast "${x.name}" of shape ${formatShape(shape)}`,
  };
}

/** Bit patterns of 1.0 in 16-bit floats. */
const halfOne: Partial<Record<DType, number>> = { float16: 0x3c00, bfloat16: 0x3f80 };

function everyElement(tensor: Tensor, expected: number): boolean {
  const count = elementCount(tensor.shape);
  if (count === 0 || count > largestNeutral) return false;
  if (tensor.dtype === 'float16' || tensor.dtype === 'bfloat16') {
    const bits = typedArray(tensor, tensor.dtype);
    const one = halfOne[tensor.dtype];
    return bits.every((pattern) => (expected === 1 ? pattern === one : (pattern & 0x7fff) === 0));
  }
  return toNumbers(tensor)?.every((value) => value === expected) ?? false;
}

/** Signs of a tensor of zeros. */
function zeroSigns(tensor: Tensor): 'negative' | 'positive' | 'mixed' {
  const negative =
    tensor.dtype === 'float16' || tensor.dtype === 'bfloat16'
      ? Array.from(typedArray(tensor, tensor.dtype), (pattern) => pattern === 0x8000)
      : (toNumbers(tensor) ?? []).map((value) => Object.is(value, -0));
  if (negative.every(Boolean)) return 'negative';
  return negative.some(Boolean) ? 'mixed' : 'positive';
}

/** f(f(x)) = x. */
export const involution = localRule(
  'involution',
  'Not of Not, Neg of Neg: the inner operand',
  ['Not', 'Neg'],
  (node) => {
    const inner = node.input(0)?.producer;
    const x = inner?.is(node.op) ? inner.input(0) : undefined;
    return x ? { bypass: x } : undefined;
  },
);

/** f(f(x)) = f(x). */
export const idempotent = localRule(
  'idempotent',
  'Relu, Abs, Floor, Ceil, Round or Sign applied twice: once',
  ['Relu', 'Abs', 'Floor', 'Ceil', 'Round', 'Sign'],
  (node) => {
    const inner = node.input(0);
    return inner?.producer?.is(node.op) ? { bypass: inner } : undefined;
  },
);

/** Where with a condition that is the same everywhere. */
export const whereConstant = localRule(
  'where-constant',
  'Where of a constant condition: the operand it picks',
  ['Where'],
  (node, known) => {
    const [condition, x, y] = node.inputs;
    const tensor = constantOf(condition);
    if (!tensor || !x || !y) return undefined;
    const picked = everyElement(tensor, 1) ? x : everyElement(tensor, 0) ? y : x === y ? x : undefined;
    if (!picked) return undefined;
    const expected = known.shape(node.output());
    const shape = known.shape(picked);
    if (equalShapes(shape, expected)) {
      return { bypass: picked };
    }
    return { why: `"${picked.name}" of shape ${formatShape(shape)} is broadcast to ${formatShape(expected)}` };
  },
);
