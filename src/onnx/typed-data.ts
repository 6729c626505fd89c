import protobuf from 'protobufjs/minimal.js';
import type { DType } from '../ir/dtype.ts';
import { byteSize } from '../ir/dtype.ts';

/**
 * Tensor data in the typed fields of TensorProto (float_data, int32_data, …) turned into `raw_data` bytes.
 * Which type lives in which field, and how many entries it takes: onnx-ml.proto, message TensorProto.
 */
type TypedField = 'float_data' | 'int32_data' | 'int64_data' | 'double_data' | 'uint64_data';

export function typedField(dtype: DType): TypedField {
  switch (dtype) {
    case 'float32':
    case 'complex64':
      return 'float_data';
    case 'float64':
    case 'complex128':
      return 'double_data';
    case 'int64':
      return 'int64_data';
    case 'uint32':
    case 'uint64':
      return 'uint64_data';
    default:
      return 'int32_data';
  }
}

/** Bytes that one entry of the typed field stands for in `raw_data`: a whole byte of packed 4-bit or 2-bit elements. */
function entryBytes(dtype: DType): number {
  switch (dtype) {
    case 'complex64':
      return 4;
    case 'complex128':
      return 8;
    default:
      return byteSize(dtype, 1);
  }
}

/** Why the encoded runs cannot hold `elements` elements, without decoding them; undefined when they may. */
export function typedDataProblem(dtype: DType, elements: number, runs: readonly Uint8Array[]): string | undefined {
  const entries = byteSize(dtype, elements) / entryBytes(dtype);
  let room = 0;
  for (const run of runs) room += run.byteLength;
  if (entries === 0) return room === 0 ? undefined : 'has data although it has no elements';
  if (room === 0) return 'has no data';
  // Each entry takes at least one byte, so this bounds the memory that decoding asks for.
  return entries > room ? `has ${room} bytes of data, too few for ${elements} elements` : undefined;
}

/**
 * Decodes the runs (fields with their tags, packed or not).
 * @throws RangeError when the number of entries is not what dtype and element count ask for, or the encoding is broken
 */
export function decodeTypedData(dtype: DType, elements: number, runs: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(byteSize(dtype, elements));
  const size = entryBytes(dtype);
  const field = typedField(dtype);
  const fixed = field === 'float_data' ? 4 : field === 'double_data' ? 8 : 0;
  const put = fixed ? undefined : integerWriter(out, size);
  let at = 0;
  const room = (bytes: number): void => {
    if (at + bytes > out.byteLength) throw new RangeError(`more entries than ${out.byteLength / size}`);
  };
  for (const run of runs) {
    const reader = new protobuf.Reader(run);
    while (reader.pos < run.byteLength) {
      const wire = reader.tag() & 7;
      if (wire !== 2) {
        room(size);
        if (fixed ? wire !== (fixed === 4 ? 5 : 1) : wire !== 0) throw new RangeError(`entries of wire type ${wire}`);
        if (put) put(reader, at);
        else {
          out.set(run.subarray(reader.pos, reader.pos + fixed), at);
          reader.skip(fixed);
        }
        at += size;
        continue;
      }
      const length = reader.size();
      const end = reader.pos + length;
      if (end > run.byteLength) throw new RangeError('the data ends too early');
      if (put) {
        reader.len = end;
        for (; reader.pos < end; at += size) {
          room(size);
          put(reader, at);
        }
        reader.len = run.byteLength;
      } else {
        if (length % fixed !== 0) throw new RangeError(`${length} bytes are no whole number of entries`);
        room(length);
        out.set(run.subarray(reader.pos, end), at);
        reader.skip(length);
        at += length;
      }
    }
  }
  if (at !== out.byteLength) throw new RangeError(`${at / size} entries, expected ${out.byteLength / size}`);
  return out;
}

function integerWriter(out: Uint8Array, size: number): (reader: protobuf.Reader, at: number) => void {
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  switch (size) {
    case 1:
      return (reader, at) => view.setUint8(at, reader.int32());
    case 2:
      return (reader, at) => view.setUint16(at, reader.int32(), true);
    case 4:
      return (reader, at) => view.setUint32(at, reader.uint32(), true);
    default:
      return (reader, at) => {
        const value = reader.uint64();
        if (typeof value === 'number') throw new RangeError('64-bit integers need the package "long"');
        view.setUint32(at, value.low, true);
        view.setUint32(at + 4, value.high, true);
      };
  }
}
