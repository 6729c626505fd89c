/**
 * Element types of ONNX tensors (TensorProto.DataType, ONNX IR version 13).
 */

interface DTypeInfo {
  /** TensorProto.DataType enum value. */
  readonly code: number;
  /** Bits one element takes in `raw_data`; sub-byte types pack low bits first. 0 for strings. */
  readonly bits: number;
  readonly kind: 'float' | 'int' | 'uint' | 'bool' | 'complex' | 'string';
}

const table = {
  float32: { code: 1, bits: 32, kind: 'float' },
  uint8: { code: 2, bits: 8, kind: 'uint' },
  int8: { code: 3, bits: 8, kind: 'int' },
  uint16: { code: 4, bits: 16, kind: 'uint' },
  int16: { code: 5, bits: 16, kind: 'int' },
  int32: { code: 6, bits: 32, kind: 'int' },
  int64: { code: 7, bits: 64, kind: 'int' },
  string: { code: 8, bits: 0, kind: 'string' },
  bool: { code: 9, bits: 8, kind: 'bool' },
  float16: { code: 10, bits: 16, kind: 'float' },
  float64: { code: 11, bits: 64, kind: 'float' },
  uint32: { code: 12, bits: 32, kind: 'uint' },
  uint64: { code: 13, bits: 64, kind: 'uint' },
  complex64: { code: 14, bits: 64, kind: 'complex' },
  complex128: { code: 15, bits: 128, kind: 'complex' },
  bfloat16: { code: 16, bits: 16, kind: 'float' },
  float8e4m3fn: { code: 17, bits: 8, kind: 'float' },
  float8e4m3fnuz: { code: 18, bits: 8, kind: 'float' },
  float8e5m2: { code: 19, bits: 8, kind: 'float' },
  float8e5m2fnuz: { code: 20, bits: 8, kind: 'float' },
  uint4: { code: 21, bits: 4, kind: 'uint' },
  int4: { code: 22, bits: 4, kind: 'int' },
  float4e2m1: { code: 23, bits: 4, kind: 'float' },
  float8e8m0: { code: 24, bits: 8, kind: 'float' },
  uint2: { code: 25, bits: 2, kind: 'uint' },
  int2: { code: 26, bits: 2, kind: 'int' },
} as const satisfies Record<string, DTypeInfo>;

export type DType = keyof typeof table;

const byCode = new Map<number, DType>(
  (Object.entries(table) as [DType, DTypeInfo][]).map(([name, info]) => [info.code, name]),
);

export const dtypes = Object.keys(table) as readonly DType[];

export function isDType(name: string): name is DType {
  return Object.hasOwn(table, name);
}

/** TensorProto.DataType → name; undefined for UNDEFINED (0) and for codes this version does not know. */
export function dtypeFromCode(code: number): DType | undefined {
  return byCode.get(code);
}

export function dtypeCode(dtype: DType): number {
  return table[dtype].code;
}

export function dtypeBits(dtype: DType): number {
  return table[dtype].bits;
}

export function dtypeKind(dtype: DType): DTypeInfo['kind'] {
  return table[dtype].kind;
}

export function isFloat(dtype: DType | undefined): boolean {
  return dtype !== undefined && table[dtype].kind === 'float';
}

/** Bytes that `count` elements take in `raw_data` (sub-byte types are packed, the last byte padded). */
export function byteSize(dtype: DType, count: number): number {
  return Math.ceil((count * table[dtype].bits) / 8);
}
