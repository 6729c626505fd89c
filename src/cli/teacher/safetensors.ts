import type { DType } from '../../ir/dtype.ts';
import type { Tensor } from '../../ir/tensor.ts';

/** Element types by their safetensors names (https://github.com/huggingface/safetensors, "Format"). */
const names: Partial<Readonly<Record<DType, string>>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint64: 'U64',
  uint32: 'U32',
  uint16: 'U16',
  uint8: 'U8',
  bool: 'BOOL',
};

export const canStore = (dtype: DType): boolean => names[dtype] !== undefined;

/** A safetensors file: the length of its header, the header (JSON, padded to eight bytes), then all data in the order of the map. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array[] {
  const header: Record<string, unknown> = { __metadata__: metadata };
  const data: Uint8Array[] = [];
  let at = 0;
  for (const [name, tensor] of tensors) {
    const bytes = tensor.bytes();
    header[name] = { dtype: names[tensor.dtype], shape: tensor.shape, data_offsets: [at, at + bytes.byteLength] };
    at += bytes.byteLength;
    data.push(bytes);
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padded = new Uint8Array(Math.ceil(json.byteLength / 8) * 8).fill(0x20);
  padded.set(json);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(padded.byteLength), true);
  return [length, padded, ...data];
}
