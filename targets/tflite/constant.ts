import { constantOf } from '../../src/ir/constant.ts';
import type { Node, Value } from '../../src/ir/graph.ts';
import { toNumbers } from '../../src/ir/tensor.ts';
import { roundHalfEven } from '../../src/kernels/round.ts';
import { stridesOf } from '../../src/kernels/walk.ts';

/** A constant of the model, small enough to be looked at. */
export interface Constant {
  readonly shape: readonly number[];
  /** Whole numbers beyond 32 bits stand in doubles. */
  readonly values: Float32Array | Int32Array | Float64Array;
  readonly dtype: string;
}

/** A constant of the model, also behind operators that change between floats and integers; undefined where it is computed. */
export function readConstant(value: Value): Constant | undefined {
  const node = value.producer;
  if (node?.is('DequantizeLinear')) return dequantized(node);
  if (node?.is('QuantizeLinear')) return quantized(node);
  const tensor = constantOf(value);
  if (!tensor) return undefined;
  const numbers = toNumbers(tensor);
  if (!numbers) return undefined;
  const isFloat = ['float32', 'float64', 'float16', 'bfloat16'].includes(tensor.dtype);
  const dtype = isFloat ? 'float32' : tensor.dtype;
  const isWide = numbers.some((value) => value !== Math.trunc(value) || Math.abs(value) >= 2 ** 31);
  const values = isFloat ? Float32Array.from(numbers) : isWide ? Float64Array.from(numbers) : Int32Array.from(numbers);
  return { shape: tensor.shape, values, dtype };
}

function dequantized(node: Node): Constant | undefined {
  const grid = gridOf(node);
  if (!grid) return undefined;
  const { x, at } = grid;
  const values = Float32Array.from(x.values, (stored, i) => (stored - at(i).zero) * at(i).scale);
  return { shape: x.shape, values, dtype: 'float32' };
}

/** Float weights that the model itself quantizes, as exporters of quantization-aware training leave them. */
function quantized(node: Node): Constant | undefined {
  const grid = gridOf(node);
  const dtype = node.input(2)?.dtype ?? node.output().dtype;
  if (!grid || (dtype !== 'uint8' && dtype !== 'int8')) return undefined;
  const { x, at } = grid;
  const [low, high] = dtype === 'uint8' ? [0, 255] : [-128, 127];
  const values = Int32Array.from(x.values, (value, i) => {
    const { scale, zero } = at(i);
    return Math.min(Math.max(roundHalfEven(Math.fround(value / scale)) + zero, low), high);
  });
  return { shape: x.shape, values, dtype };
}

/** Input, scales and zero points of a node that changes between floats and integers, where all are constants. */
function gridOf(node: Node): { x: Constant; at: (i: number) => { scale: number; zero: number } } | undefined {
  const [x, scale, zero] = [0, 1, 2]
    .map((i) => node.input(i))
    .map((input) => (input ? readConstant(input) : undefined));
  if (!x || !scale || node.int('block_size', 0) !== 0) return undefined;
  const count = scale.values.length;
  const axis = count === 1 ? 0 : (node.int('axis', 1) + x.shape.length) % x.shape.length;
  const inner = stridesOf(x.shape)[axis] ?? 1;
  const at = (i: number): { scale: number; zero: number } => {
    const c = count === 1 ? 0 : Math.floor(i / inner) % count;
    return { scale: scale.values[c] ?? 1, zero: zero?.values[zero.values.length === 1 ? 0 : c] ?? 0 };
  };
  return { x, at };
}
