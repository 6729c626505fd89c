import { onnx } from 'onnx-proto';
import protobuf from 'protobufjs/minimal.js';
import { describe, expect, test } from 'vitest';
import { type DType, dtypeCode } from '../../src/ir/dtype.ts';
import { elementCount } from '../../src/ir/tensor.ts';
import { defaultLimits } from '../../src/onnx/limits.ts';
import { readMessage } from '../../src/onnx/reader.ts';
import { decodeSparse, decodeTensor } from '../../src/onnx/tensor.ts';
import { concat } from './support/proto.ts';

const context = { limits: defaultLimits, folder: undefined };

function tensorOf(proto: onnx.ITensorProto, more: Uint8Array = new Uint8Array(0)) {
  const bytes = concat(onnx.TensorProto.encode(proto).finish(), more);
  return decodeTensor(readMessage('TensorProto', bytes, defaultLimits), 'tensor "w"', context);
}

function little(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 2);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) view.setUint16(index * 2, value, true);
  return bytes;
}
const raw = (data: ArrayBufferView): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

describe('typed fields become raw data', () => {
  // dtype, shape, the field as onnx-proto writes it, the bytes raw_data would have
  const cases: [DType, number[], onnx.ITensorProto, Uint8Array][] = [
    ['float32', [3], { floatData: [1.5, -0, 3e38] }, raw(Float32Array.of(1.5, -0, 3e38))],
    ['complex64', [1], { floatData: [1, -2] }, raw(Float32Array.of(1, -2))],
    ['float64', [2], { doubleData: [1e300, -5] }, raw(Float64Array.of(1e300, -5))],
    ['complex128', [1], { doubleData: [1, 2] }, raw(Float64Array.of(1, 2))],
    ['int64', [3], { int64Data: [-1, 0, 2 ** 40] }, raw(BigInt64Array.of(-1n, 0n, 2n ** 40n))],
    ['uint64', [2], { uint64Data: [0, 2 ** 52] }, raw(BigUint64Array.of(0n, 2n ** 52n))],
    ['uint32', [2], { uint64Data: [7, 4294967295] }, raw(Uint32Array.of(7, 4294967295))],
    ['int32', [3], { int32Data: [-2147483648, -1, 5] }, raw(Int32Array.of(-2147483648, -1, 5))],
    ['int16', [2], { int32Data: [-32768, 7] }, raw(Int16Array.of(-32768, 7))],
    ['uint16', [2], { int32Data: [65535, 7] }, raw(Uint16Array.of(65535, 7))],
    ['int8', [3], { int32Data: [-128, 127, -1] }, raw(Int8Array.of(-128, 127, -1))],
    ['uint8', [2], { int32Data: [255, 0] }, Uint8Array.of(255, 0)],
    ['bool', [2], { int32Data: [1, 0] }, Uint8Array.of(1, 0)],
    ['float16', [2], { int32Data: [0x3c00, 0xfbff] }, little(0x3c00, 0xfbff)],
    ['bfloat16', [2], { int32Data: [0x3f80, 0xff80] }, little(0x3f80, 0xff80)],
    ['float8e4m3fn', [2], { int32Data: [0x38, 0xff] }, Uint8Array.of(0x38, 0xff)],
    ['float8e5m2', [1], { int32Data: [0x7b] }, Uint8Array.of(0x7b)],
    ['float8e8m0', [1], { int32Data: [0x7f] }, Uint8Array.of(0x7f)],
    ['int4', [3], { int32Data: [0xf8, 0x07] }, Uint8Array.of(0xf8, 0x07)],
    ['uint4', [2, 2], { int32Data: [0x21, 0x43] }, Uint8Array.of(0x21, 0x43)],
    ['float4e2m1', [2], { int32Data: [0x21] }, Uint8Array.of(0x21)],
    ['int2', [5], { int32Data: [0b11100100, 0b01] }, Uint8Array.of(0b11100100, 0b01)],
    ['uint2', [4], { int32Data: [0b11100100] }, Uint8Array.of(0b11100100)],
  ];
  test.each(cases)('%s%j', (dtype, shape, data, expected) => {
    const tensor = tensorOf({ dims: shape, dataType: dtypeCode(dtype), ...data });
    expect([tensor.dtype, tensor.shape, tensor.byteLength]).toEqual([dtype, shape, expected.byteLength]);
    expect(tensor.bytes()).toEqual(expected);
    expect(tensorOf({ dims: shape, dataType: dtypeCode(dtype), rawData: expected }).bytes()).toEqual(expected);
  });

  test('unpacked and scattered entries count as well', () => {
    const unpacked = protobuf.Writer.create()
      .uint32(5 * 8)
      .int32(-3)
      .uint32(99 * 8)
      .uint32(1)
      .uint32(5 * 8)
      .int32(4)
      .finish();
    const tensor = tensorOf({ dims: [3], dataType: dtypeCode('int8'), int32Data: [9] }, unpacked);
    expect(tensor.bytes()).toEqual(Uint8Array.of(9, 253, 4));
  });

  test('raw data is a view of the message', () => {
    const bytes = onnx.TensorProto.encode({ dims: [2], dataType: 2, rawData: Uint8Array.of(1, 2) }).finish();
    const tensor = decodeTensor(readMessage('TensorProto', bytes, defaultLimits), 't', context);
    expect(tensor.bytes().buffer).toBe(bytes.buffer);
    // A Buffer's slice() would not copy.
    expect(Buffer.isBuffer(tensor.bytes())).toBe(false);
  });

  test('strings keep their bytes', () => {
    const tensor = tensorOf({ dims: [2], dataType: 8, stringData: [Uint8Array.of(0xff), new Uint8Array(0)] });
    expect(tensor.strings?.()).toEqual([Uint8Array.of(0xff), new Uint8Array(0)]);
  });

  test('an empty tensor needs no data', () => {
    expect(tensorOf({ dims: [0, 4], dataType: 1 }).bytes()).toEqual(new Uint8Array(0));
  });
});

describe('tensors that contradict themselves are refused by name', () => {
  test.each<[string, onnx.ITensorProto, RegExp]>([
    [
      'too little raw data',
      { dims: [3], dataType: 1, rawData: new Uint8Array(8) },
      /"w" \(float32\[3\]\) has 8 bytes.*where 12 belong/,
    ],
    ['too much raw data', { dims: [1], dataType: 1, rawData: new Uint8Array(8) }, /8 bytes.*where 4 belong/],
    ['no data', { dims: [3], dataType: 1 }, /has no data/],
    ['too few typed entries', { dims: [1000], dataType: 1, floatData: [1] }, /too few/],
    [
      'a huge shape with a little data',
      { dims: [2 ** 30, 2 ** 18], dataType: 1, rawData: new Uint8Array(8) },
      /where 1125899906842624 belong/,
    ],
    ['too few strings', { dims: [3], dataType: 8, stringData: [Uint8Array.of(1)] }, /1 strings for 3/],
    ['raw strings', { dims: [1], dataType: 8, rawData: Uint8Array.of(1) }, /0 strings for 1/],
    ['a negative dimension', { dims: [-1], dataType: 1 }, /negative dimension -1/],
    ['no type', { dims: [1] }, /no element type/],
    ['an unknown type', { dims: [1], dataType: 27 }, /element type 27/],
    ['segments', { dims: [1], dataType: 1, segment: { begin: 0, end: 1 } }, /segments/],
    ['external data without a folder', { dims: [1], dataType: 8, dataLocation: 1 }, /string tensor in external data/],
  ])('%s', (_, proto, message) => {
    expect(() => tensorOf(proto)).toThrow(message);
  });

  test.each<[string, (number | string)[], string]>([
    ['dimension 2^62', ['4611686018427387904'], 'elements'],
    ['product beyond 2^53', [2 ** 30, 2 ** 30], 'elements'],
    ['65 dimensions', Array.from({ length: 65 }, () => 1), 'rank'],
  ])('%s: the limit is named', (_, dims, limit) => {
    const writer = protobuf.Writer.create();
    for (const dim of dims) writer.uint32(8).int64(dim);
    const proto = onnx.TensorProto.encode({ dataType: 1, rawData: new Uint8Array(4) }).finish();
    const bytes = concat(writer.finish(), proto);
    expect(() => decodeTensor(readMessage('TensorProto', bytes, defaultLimits), 'tensor "w"', context)).toThrow(
      new RegExp(`tensor "w" goes over the limit "${limit}"`),
    );
  });

  test('typed data with a wrong number of entries is found when it is asked for', () => {
    const tensor = tensorOf({ dims: [2], dataType: 6, int32Data: [1, 2, 3] });
    expect(() => tensor.bytes()).toThrow(/"w" \(int32\[2\]\) has damaged data \(more entries than 2\)/);
    const few = tensorOf({ dims: [3], dataType: 7, int64Data: [-1, -2] });
    expect(() => few.bytes()).toThrow(/2 entries, expected 3/);
  });
});

describe('sparse tensors stand for dense ones', () => {
  const sparse = (indices: onnx.ITensorProto, dims: number[]): Uint8Array =>
    onnx.SparseTensorProto.encode({
      values: { name: 's', dims: [2], dataType: 1, floatData: [5, 7] },
      indices,
      dims,
    }).finish();
  const decode = (bytes: Uint8Array) =>
    decodeSparse(readMessage('SparseTensorProto', bytes, defaultLimits), 'sparse "s"', context);

  test('with linear indices', () => {
    const tensor = decode(sparse({ dims: [2], dataType: 7, int64Data: [1, 5] }, [2, 3]));
    expect([tensor.dtype, tensor.shape, elementCount(tensor.shape)]).toEqual(['float32', [2, 3], 6]);
    expect(tensor.bytes()).toEqual(raw(Float32Array.of(0, 5, 0, 0, 0, 7)));
  });
  test('with indices in a smaller type, as ONNX Runtime writes them', () => {
    const narrow = { dims: [2], dataType: 3, rawData: Uint8Array.of(1, 5) };
    const wide = { dims: [2], dataType: 7, int64Data: [1, 5] };
    expect(decode(sparse(narrow, [2, 3])).bytes()).toEqual(decode(sparse(wide, [2, 3])).bytes());
    const floats = { dims: [2], dataType: 1, floatData: [1, 5] };
    expect(() => decode(sparse(floats, [2, 3]))).toThrow(/its indices do not fit 2 values/);
  });

  test('with one index per axis', () => {
    const tensor = decode(sparse({ dims: [2, 2], dataType: 7, int64Data: [0, 2, 1, 0] }, [2, 3]));
    expect(tensor.bytes()).toEqual(raw(Float32Array.of(0, 0, 5, 7, 0, 0)));
  });
  test('an index outside is refused', () => {
    const tensor = decode(sparse({ dims: [2], dataType: 7, int64Data: [1, 6] }, [2, 3]));
    expect(() => tensor.bytes()).toThrow(/sparse "s".*index 6 where 6/);
  });
  test('a dense form beyond all bounds is refused by the limit', () => {
    const tensor = decode(sparse({ dims: [2], dataType: 7, int64Data: [1, 6] }, [2 ** 20, 2 ** 20]));
    expect(() => tensor.bytes()).toThrow(/limit "denseBytes"/);
  });
});
