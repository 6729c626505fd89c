import { bug, UserError } from '../errors.ts';
import type { DType } from '../ir/dtype.ts';
import { elementCount, type Tensor, tensorFrom, typedArray } from '../ir/tensor.ts';
import { f16ToF32, f32ToF16 } from '../kernels/f16.ts';

/** Numbers to loop over; int64 as float64 (exact up to 2^53). */
export type Numbers =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array;

/** The tensor's elements as numbers, without a copy where the type allows. @throws BugError for strings and types below 8 bits. */
export function numbersOf(tensor: Tensor): Numbers {
  switch (tensor.dtype) {
    case 'int64':
      return fromBigInts(typedArray(tensor, 'int64'));
    case 'uint64':
      return fromBigInts(typedArray(tensor, 'uint64'));
    case 'float16':
      return f16ToF32(typedArray(tensor, 'float16'));
    case 'float32':
    case 'float64':
    case 'int8':
    case 'uint8':
    case 'bool':
    case 'int16':
    case 'uint16':
    case 'int32':
    case 'uint32':
      return typedArray(tensor, tensor.dtype);
    default:
      return bug(`no numbers to read in a tensor of type ${tensor.dtype}`);
  }
}

/**
 * Numbers as a tensor of `dtype`; toward integers they are truncated, as NumPy's astype does.
 * @throws UserError for NaN and infinities that should become 64-bit integers.
 */
export function tensorOfNumbers(dtype: DType, shape: readonly number[], values: Numbers): Tensor {
  switch (dtype) {
    case 'int64':
      return tensorFrom(dtype, shape, toBigInts(values, new BigInt64Array(values.length)));
    case 'uint64':
      return tensorFrom(dtype, shape, toBigInts(values, new BigUint64Array(values.length)));
    case 'float16':
      return tensorFrom(dtype, shape, f32ToF16(values instanceof Float32Array ? values : new Float32Array(values)));
    case 'bool':
      return tensorFrom(
        dtype,
        shape,
        Uint8Array.from(values, (value) => (value === 0 ? 0 : 1)),
      );
    case 'float32':
      return tensorFrom(dtype, shape, values instanceof Float32Array ? values : new Float32Array(values));
    case 'float64':
      return tensorFrom(dtype, shape, new Float64Array(values));
    case 'int8':
      return tensorFrom(dtype, shape, new Int8Array(values));
    case 'uint8':
      return tensorFrom(dtype, shape, new Uint8Array(values));
    case 'int16':
      return tensorFrom(dtype, shape, new Int16Array(values));
    case 'uint16':
      return tensorFrom(dtype, shape, new Uint16Array(values));
    case 'int32':
      return tensorFrom(dtype, shape, new Int32Array(values));
    case 'uint32':
      return tensorFrom(dtype, shape, new Uint32Array(values));
    default:
      return bug(`cannot make a tensor of type ${dtype} from numbers`);
  }
}

const castable = new Set<string>([
  'int64',
  'uint64',
  'float16',
  'bool',
  'float32',
  'float64',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
] satisfies DType[]);

/** Types that `castTensor` converts among. */
export function isCastable(dtype: string): boolean {
  return castable.has(dtype);
}

/** The same values in another element type. */
export function castTensor(tensor: Tensor, dtype: DType): Tensor {
  return tensor.dtype === dtype ? tensor : tensorOfNumbers(dtype, tensor.shape, numbersOf(tensor));
}

/**
 * x·scale + bias, one pair for all or one for each index along `axis`, computed in double precision and rounded to
 * `dtype` once.
 */
export function affine(
  tensor: Tensor,
  dtype: DType,
  scale: readonly number[],
  bias: readonly number[],
  axis: number,
): Tensor {
  const source = numbersOf(tensor);
  const result = dtype === 'float32' ? new Float32Array(source.length) : new Float64Array(source.length);
  const channels = Math.max(scale.length, bias.length);
  const inner = channels === 1 ? source.length : elementCount(tensor.shape.slice(axis + 1));
  for (let start = 0, channel = 0; start < source.length; start += inner, channel = (channel + 1) % channels) {
    const s = scale[scale.length === 1 ? 0 : channel] ?? 1;
    const b = bias[bias.length === 1 ? 0 : channel] ?? 0;
    const end = Math.min(start + inner, source.length);
    for (let at = start; at < end; at++) result[at] = (source[at] as number) * s + b;
  }
  return tensorOfNumbers(dtype, tensor.shape, result);
}

// Plain loops: `from` with a mapping function goes through the iterator protocol and is many times slower.

function fromBigInts(values: BigInt64Array | BigUint64Array): Float64Array {
  const numbers = new Float64Array(values.length);
  for (let at = 0; at < values.length; at++) numbers[at] = Number(values[at]);
  return numbers;
}

function toBigInts<T extends BigInt64Array | BigUint64Array>(values: Numbers, target: T): T {
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    // value − value is NaN for NaN and infinities.
    if (value - value !== 0) throw new UserError('data-value', `${value} cannot become a 64-bit integer.`);
    target[at] = BigInt(Math.trunc(value));
  }
  return target;
}
