import { bug } from '../../errors.ts';
import { byteSize, type DType, dtypeBits, dtypeKind } from '../dtype.ts';
import { elementCount, type Tensor, tensorFromBytes } from '../tensor.ts';
import { minifloatToNumber, numberToMinifloat } from './minifloat.ts';
import { formatFloat, quoteBytes } from './scalar.ts';

/** The elements of a tensor as text, in row-major order. Complex numbers take two: real, imaginary. */
export function elementTexts(tensor: Tensor): string[] {
  if (tensor.dtype === 'string') return (tensor.strings?.() ?? []).map(quoteBytes);
  const bytes = tensor.bytes();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { scalar, count } = scalars(tensor.dtype, tensor.shape);
  return Array.from({ length: count }, (_, index) => readText(view, scalar, index));
}

/** How many scalars of which type a tensor is written as. */
function scalars(dtype: DType, shape: readonly number[]): { scalar: DType; count: number } {
  const count = elementCount(shape);
  if (dtype === 'complex64') return { scalar: 'float32', count: 2 * count };
  if (dtype === 'complex128') return { scalar: 'float64', count: 2 * count };
  return { scalar: dtype, count };
}

/** Scalars that a literal of this type and shape has. */
export function scalarCount(dtype: DType, shape: readonly number[]): number {
  return scalars(dtype, shape).count;
}

function readText(view: DataView, dtype: DType, index: number): string {
  switch (dtype) {
    case 'float32':
      return plain(formatFloat(view.getFloat32(4 * index, true), true));
    case 'float64':
      return plain(formatFloat(view.getFloat64(8 * index, true), false));
    case 'int64':
      return String(view.getBigInt64(8 * index, true));
    case 'uint64':
      return String(view.getBigUint64(8 * index, true));
    default: {
      const bits = readBits(view, dtype, index);
      const small = minifloatToNumber(dtype, bits);
      if (small !== undefined) return plain(formatFloat(small, true));
      return String(dtypeKind(dtype) === 'int' ? signed(bits, dtypeBits(dtype)) : bits);
    }
  }
}

/** The type stands before the braces, so `1.0` may be `1` there. */
function plain(text: string): string {
  return text.endsWith('.0') ? text.slice(0, -2) : text;
}

function readBits(view: DataView, dtype: DType, index: number): number {
  const bits = dtypeBits(dtype);
  if (bits === 32) return view.getUint32(4 * index, true);
  if (bits === 16) return view.getUint16(2 * index, true);
  if (bits === 8) return view.getUint8(index);
  const perByte = 8 / bits;
  return (view.getUint8(Math.floor(index / perByte)) >> (bits * (index % perByte))) & (2 ** bits - 1);
}

function signed(value: number, bits: number): number {
  return value >= 2 ** (bits - 1) ? value - 2 ** bits : value;
}

/**
 * A tensor from scalars in row-major order.
 * @returns a sentence when a value does not fit the type.
 */
export function tensorFromElements(
  dtype: DType,
  shape: readonly number[],
  values: readonly (number | bigint)[],
): Tensor | string {
  const { scalar, count } = scalars(dtype, shape);
  if (values.length !== count) bug(`${dtype}[${shape.join(',')}] takes ${count} values, not ${values.length}`);
  const bytes = new Uint8Array(byteSize(dtype, elementCount(shape)));
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < count; index++) {
    const value = values[index] as number | bigint;
    if (!write(view, scalar, index, value)) return `${value} is no ${scalar}`;
  }
  return tensorFromBytes(dtype, shape, bytes);
}

function write(view: DataView, dtype: DType, index: number, value: number | bigint): boolean {
  if (dtypeKind(dtype) === 'float') {
    const real = Number(value);
    if (dtype === 'float64') view.setFloat64(8 * index, real, true);
    else if (dtype === 'float32') view.setFloat32(4 * index, real, true);
    else writeBits(view, dtype, index, numberToMinifloat(dtype, real) ?? bug(`no float format for ${dtype}`));
    return true;
  }
  if (typeof value === 'number' && !Number.isInteger(value)) return false;
  const whole = BigInt(value);
  const bits = dtypeKind(dtype) === 'bool' ? 1 : dtypeBits(dtype);
  const negative = dtypeKind(dtype) === 'int';
  const low = negative ? -(1n << BigInt(bits - 1)) : 0n;
  const high = negative ? (1n << BigInt(bits - 1)) - 1n : (1n << BigInt(bits)) - 1n;
  if (whole < low || whole > high) return false;
  if (bits === 64) view.setBigUint64(8 * index, BigInt.asUintN(64, whole), true);
  else writeBits(view, dtype, index, Number(BigInt.asUintN(bits, whole)));
  return true;
}

function writeBits(view: DataView, dtype: DType, index: number, value: number): void {
  const bits = dtypeBits(dtype);
  if (bits === 32) view.setUint32(4 * index, value, true);
  else if (bits === 16) view.setUint16(2 * index, value, true);
  else if (bits === 8) view.setUint8(index, value);
  else {
    const perByte = 8 / bits;
    const at = Math.floor(index / perByte);
    view.setUint8(at, view.getUint8(at) | (value << (bits * (index % perByte))));
  }
}
