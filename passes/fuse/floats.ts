/** Float constants as arrays: arithmetic runs in double precision (JavaScript numbers) and rounds once, when stored. */
import type { DType } from '../../src/ir/dtype.ts';
import { type Tensor, tensorFrom, typedArray } from '../../src/ir/tensor.ts';
import { f16ToF32, f32ToF16 } from '../../src/kernels/f16.ts';

export type Floats = Float32Array | Float64Array;

/** Elements of a float32, float64 or float16 tensor (a view where possible); undefined for other types. */
export function floatsOf(tensor: Tensor): Floats | undefined {
  switch (tensor.dtype) {
    case 'float32':
      return typedArray(tensor, 'float32');
    case 'float64':
      return typedArray(tensor, 'float64');
    case 'float16':
      return f16ToF32(typedArray(tensor, 'float16'));
    default:
      return undefined;
  }
}

/** Element types that `floatsOf` reads and `FloatBuilder` writes. */
export function isFoldable(dtype: DType | undefined): dtype is 'float32' | 'float64' | 'float16' {
  return dtype === 'float32' || dtype === 'float64' || dtype === 'float16';
}

/** Room for `count` results that become a tensor of `dtype`. */
export function floatRoom(dtype: DType, count: number): Floats {
  return dtype === 'float64' ? new Float64Array(count) : new Float32Array(count);
}

/** @returns undefined when a number is not finite in the tensor's own precision. */
export function finiteTensor(dtype: DType, shape: readonly number[], values: Floats): Tensor | undefined {
  if (!values.every(Number.isFinite)) return undefined;
  if (dtype === 'float64') return tensorFrom('float64', shape, values);
  if (dtype === 'float32') return tensorFrom('float32', shape, values);
  const halves = f32ToF16(values as Float32Array);
  return halves.every((half) => (half & 0x7c00) !== 0x7c00) ? tensorFrom('float16', shape, halves) : undefined;
}
