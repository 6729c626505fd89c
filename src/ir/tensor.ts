import { BugError } from '../errors.ts';
import { bf16ToF32 } from '../kernels/bf16.ts';
import { f16ToF32 } from '../kernels/f16.ts';
import { byteSize, type DType, dtypeBits } from './dtype.ts';

/**
 * Constant tensor data: a protocol, not a class tree. Shapes never touch bytes; `bytes()` may read a file or compute.
 * Bytes are ONNX `raw_data`: little-endian, row-major, sub-byte types packed low bits first.
 */
export interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Size of `bytes()`; 0 for strings. */
  readonly byteLength: number;
  /** The whole data. A view where possible: never write into it. Lazy tensors read or compute on every call. */
  bytes(): Uint8Array;
  /** Elements of a string tensor. */
  strings?(): readonly Uint8Array[];
  /**
   * The data in pieces of bounded size, for writers: present on tensors whose data is not in memory.
   * Concatenated, the pieces equal `bytes()`.
   */
  chunks?(): Iterable<Uint8Array>;
  /** True when `bytes()` has to compute the data anew each time. */
  readonly computed?: boolean;
  /** The encoded message this tensor was read from, owned by the codec, so that untouched tensors are re-emitted as they were. */
  readonly origin?: unknown;
}

export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

const arrayTypes = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
} as const;

export type ArrayDType = keyof typeof arrayTypes;
export type ArrayOf<D extends ArrayDType> = InstanceType<(typeof arrayTypes)[D]>;

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const dim of shape) count *= dim;
  return count;
}

class InlineTensor implements Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly #bytes: Uint8Array;
  constructor(dtype: DType, shape: readonly number[], bytes: Uint8Array) {
    this.dtype = dtype;
    this.shape = shape;
    this.#bytes = bytes;
  }
  get byteLength(): number {
    return this.#bytes.byteLength;
  }
  bytes(): Uint8Array {
    return this.#bytes;
  }
}

/**
 * A tensor over bytes already in memory (not copied).
 * @throws BugError when the byte count does not fit dtype and shape.
 */
export function tensorFromBytes(dtype: DType, shape: readonly number[], bytes: Uint8Array): Tensor {
  const expected = byteSize(dtype, elementCount(shape));
  if (dtypeBits(dtype) === 0) throw new BugError('string tensors are made with stringTensor()');
  if (bytes.byteLength !== expected) {
    throw new BugError(`${dtype}[${shape.join(',')}] takes ${expected} bytes, not ${bytes.byteLength}`);
  }
  return new InlineTensor(dtype, shape, bytes);
}

/** A tensor over a typed array (not copied). */
export function tensorFrom(dtype: ArrayDType, shape: readonly number[], data: TypedArray): Tensor {
  return tensorFromBytes(dtype, shape, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

/** Copies numbers into a new tensor of a numeric type with a native array (integers of 64 bits are rounded from the number). */
export function tensorOf(dtype: ArrayDType, shape: readonly number[], values: readonly (number | bigint)[]): Tensor {
  if (dtype === 'int64') return tensorFrom(dtype, shape, BigInt64Array.from(values, BigInt));
  if (dtype === 'uint64') return tensorFrom(dtype, shape, BigUint64Array.from(values, BigInt));
  if (dtype === 'float16' || dtype === 'bfloat16')
    throw new BugError(`tensorOf takes bit patterns for ${dtype}: use kernels`);
  const Type = arrayTypes[dtype];
  return tensorFrom(dtype, shape, new Type(values.map(Number)));
}

/** 1-D int64 tensor, the form of shapes and axes. */
export function int64Vector(values: readonly (number | bigint)[]): Tensor {
  return tensorOf('int64', [values.length], values);
}

export function stringTensor(shape: readonly number[], strings: readonly Uint8Array[]): Tensor {
  return { dtype: 'string', shape, byteLength: 0, bytes: () => new Uint8Array(0), strings: () => strings };
}

/** The same data, not copied, under a shape of as many elements. */
export function withShape(tensor: Tensor, shape: readonly number[]): Tensor {
  if (tensor.shape.join() === shape.join()) return tensor;
  return tensor.dtype === 'string'
    ? stringTensor(shape, tensor.strings?.() ?? [])
    : tensorFromBytes(tensor.dtype, shape, tensor.bytes());
}

/**
 * A tensor whose data is computed when asked for and not kept: quantized or cast weights of big models stay out of
 * memory until they are written.
 */
export function computedTensor(dtype: DType, shape: readonly number[], compute: () => Uint8Array): Tensor {
  const byteLength = byteSize(dtype, elementCount(shape));
  return {
    dtype,
    shape,
    byteLength,
    computed: true,
    bytes() {
      const bytes = compute();
      if (bytes.byteLength !== byteLength) {
        throw new BugError(`computed ${dtype}[${shape.join(',')}] gave ${bytes.byteLength} bytes, not ${byteLength}`);
      }
      return bytes;
    },
  };
}

/** The tensor's data as a typed array: a view where alignment allows, else a copy. float16/bfloat16 give bit patterns. */
export function typedArray<D extends ArrayDType>(tensor: Tensor & { readonly dtype: DType }, dtype: D): ArrayOf<D> {
  if (tensor.dtype !== dtype) throw new BugError(`expected a ${dtype} tensor, got ${tensor.dtype}`);
  const Type = arrayTypes[dtype];
  const bytes = tensor.bytes();
  const size = Type.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return new Type(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / size) as ArrayOf<D>;
}

/**
 * The numbers of a float32 tensor in pieces: for loops over big weights, which seldom lie aligned in a file. Where they do
 * not, each piece is copied into the same scratch memory: it is valid until the next one.
 */
export function* float32Pieces(tensor: Tensor, elements = 1 << 16): Generator<Float32Array> {
  if (tensor.dtype !== 'float32') throw new BugError(`expected a float32 tensor, got ${tensor.dtype}`);
  const bytes = tensor.bytes();
  const count = bytes.byteLength / 4;
  const aligned = bytes.byteOffset % 4 === 0;
  const scratch = new Float32Array(aligned ? 0 : Math.min(elements, count));
  const scratchBytes = new Uint8Array(scratch.buffer);
  for (let at = 0; at < count; at += elements) {
    const length = Math.min(elements, count - at);
    if (aligned) {
      yield new Float32Array(bytes.buffer as ArrayBuffer, bytes.byteOffset + 4 * at, length);
    } else {
      scratchBytes.set(bytes.subarray(4 * at, 4 * (at + length)));
      yield scratch.subarray(0, length);
    }
  }
}

/**
 * Small tensors as numbers: shapes, axes, scalars. int64 beyond 2^53 saturates to ±(2^53 − 1), which keeps its meaning
 * in slices and clamps.
 * @returns undefined for strings, complex and sub-byte or 8-bit float types.
 */
export function toNumbers(tensor: Tensor): number[] | undefined {
  switch (tensor.dtype) {
    case 'int64':
      return Array.from(typedArray(tensor, 'int64'), clampBigInt);
    case 'uint64':
      return Array.from(typedArray(tensor, 'uint64'), clampBigInt);
    case 'float32':
    case 'float64':
    case 'int8':
    case 'uint8':
    case 'int16':
    case 'uint16':
    case 'int32':
    case 'uint32':
    case 'bool':
      return Array.from(typedArray(tensor, tensor.dtype) as ArrayLike<number>);
    case 'float16':
      return Array.from(f16ToF32(typedArray(tensor, 'float16')));
    case 'bfloat16':
      return Array.from(bf16ToF32(typedArray(tensor, 'bfloat16')));
    default:
      return undefined;
  }
}

export function clampBigInt(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) return Number.MAX_SAFE_INTEGER;
  if (value < BigInt(-Number.MAX_SAFE_INTEGER)) return -Number.MAX_SAFE_INTEGER;
  return Number(value);
}
