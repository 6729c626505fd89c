import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { UserError } from '../errors.ts';
import type { DType } from '../ir/dtype.ts';
import { type ArrayDType, stringTensor, type Tensor, type TypedArray, tensorFrom, typedArray } from '../ir/tensor.ts';
import type { OrtApi } from './runtime.ts';

/** Element types that ONNX Runtime's JavaScript API can pass in and out. (It refuses bfloat16, float8 and complex; int4 crashes onnxruntime-node.) */
const exchanged: ReadonlySet<string> = new Set<DType>([
  'float32',
  'float64',
  'float16',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'bool',
  'string',
]);

export function canExchange(dtype: string): boolean {
  return exchanged.has(dtype);
}

/**
 * Our tensor as ONNX Runtime's, without a copy where the bytes are aligned.
 * @throws UserError for element types that cannot be passed.
 */
export function toOrtTensor(ort: OrtApi, name: string, tensor: Tensor): OrtTensor {
  const { dtype } = tensor;
  if (!canExchange(dtype)) {
    throw new UserError(
      'dtype-not-exchangeable',
      `Input "${name}" is of type ${dtype}, which ONNX Runtime cannot be given; keep the model's inputs in a standard type.`,
    );
  }
  if (dtype === 'string') {
    const utf8 = new TextDecoder();
    return new ort.Tensor(
      'string',
      (tensor.strings?.() ?? []).map((text) => utf8.decode(text)),
      [...tensor.shape],
    );
  }
  const data = typedArray(tensor, dtype as ArrayDType);
  const made = new ort.Tensor(dtype as 'float32', data as Float32Array, [...tensor.shape]);
  // From Node.js 24 on the constructor makes a Float16Array of the bits of float16, which onnxruntime-node 1.30 reads as empty.
  if (dtype === 'float16' && made.data !== data) Object.defineProperty(made, 'data', { value: data });
  return made;
}

/** ONNX Runtime's tensor as ours, over the same memory. */
export function fromOrtTensor(tensor: OrtTensor): Tensor {
  const shape = [...tensor.dims];
  if (tensor.type === 'string') {
    const utf8 = new TextEncoder();
    return stringTensor(
      shape,
      (tensor.data as string[]).map((text) => utf8.encode(text)),
    );
  }
  return tensorFrom(tensor.type as ArrayDType, shape, tensor.data as TypedArray);
}
