import { UserError } from '../../../src/errors.ts';
import type { Table } from '../../../src/flatbuffer/schema.ts';
import type { LiteTensor } from '../graph.ts';

/** Elements of a tensor as numbers: real values of float types, stored integers of 8-bit ones. */
export interface Held {
  readonly tensor: LiteTensor;
  readonly shape: readonly number[];
  readonly values: Float32Array | Float64Array;
}

/** An operand that the operator cannot do without. */
export function need(held: Held | undefined): Held {
  if (!held) throw new UserError('tflite-operand', 'An operator of the TensorFlow Lite file lacks an operand.');
  return held;
}

/** What an operator reads: how many, its kernel knows. */
export type Inputs = readonly [Held, Held, Held | undefined, Held | undefined, ...Held[]];

export type Kernel = (inputs: Inputs, out: LiteTensor, options: Table) => Float32Array | Float64Array;

/** Real values of 8-bit inputs, the others as they are. */
export function real({ tensor, values }: Held): Float32Array | Float64Array {
  const { quant, type } = tensor;
  if (!quant || (type !== 'int8' && type !== 'uint8')) return values;
  const scale = quant.scale[0] ?? 1;
  const zero = quant.zero[0] ?? 0;
  return Float64Array.from(values, (stored) => (stored - zero) * scale);
}

/** Rounds to the type of the output: 8-bit ones by scale and zero point, half away from zero as the kernels do. */
export function stored(out: LiteTensor, values: Float64Array | Float32Array): Float32Array | Float64Array {
  const { quant, type } = out;
  if (quant && (type === 'int8' || type === 'uint8')) {
    const scale = quant.scale[0] ?? 1;
    const zero = quant.zero[0] ?? 0;
    const [low, high] = type === 'int8' ? [-128, 127] : [0, 255];
    return Float64Array.from(values, (value) =>
      Math.min(high, Math.max(low, Math.sign(value) * Math.round(Math.abs(value / scale)) + zero)),
    );
  }
  if (type === 'int32' || type === 'int64') return Float64Array.from(values, Math.trunc);
  return type === 'float32' ? Float32Array.from(values) : Float64Array.from(values);
}

/** Applies the fused activation. */
export function activated(values: Float64Array, options: Table): Float64Array {
  const kind = Number(options.fused_activation_function ?? 0);
  if (kind === 0) return values;
  const high = kind === 3 ? 6 : Number.POSITIVE_INFINITY;
  return values.map((value) => Math.min(Math.max(value, 0), high));
}
