import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import {
  affineParams,
  allFinite,
  axisView,
  channelRanges,
  intRanges,
  quantizeChannels,
  transpose,
} from '../../src/kernels/quantize.ts';
import { roundHalfEven } from '../../src/kernels/round.ts';

describe('roundHalfEven', () => {
  it('rounds ties to even on both sides of zero', () => {
    const cases = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999999999999994, 1e9 + 0.5, -1e9 - 1.5, 3, NaN];
    expect(cases.map(roundHalfEven)).toEqual([0, 2, 2, -0, -2, -2, 0, 1e9, -1e9 - 2, 3, NaN].map((x) => x + 0));
  });
});

describe('affineParams', () => {
  it('follows the conventions of ONNX Runtime', () => {
    expect(affineParams(-1, 3, intRanges.uint8.asymmetric, false)).toEqual({
      scale: Math.fround(4 / 255),
      zeroPoint: 64,
    });
    expect(affineParams(2, 6, intRanges.uint8.asymmetric, false)).toEqual({
      scale: Math.fround(6 / 255),
      zeroPoint: 0,
    });
    expect(affineParams(-6, -2, intRanges.uint8.asymmetric, false)).toEqual({
      scale: Math.fround(6 / 255),
      zeroPoint: 255,
    });
    expect(affineParams(-1, 3, intRanges.int8.symmetric, true)).toEqual({ scale: Math.fround(6 / 254), zeroPoint: 0 });
    expect(affineParams(-1, 3, intRanges.uint8.symmetric, true)).toEqual({
      scale: Math.fround(6 / 255),
      zeroPoint: 128,
    });
    expect(affineParams(-1, 3, intRanges.int8.reduced, true)).toEqual({ scale: Math.fround(6 / 128), zeroPoint: 0 });
  });

  it('gives scale 1 where the range has no usable scale', () => {
    expect(affineParams(0, 0, intRanges.int8.symmetric, true)).toEqual({ scale: 1, zeroPoint: 0 });
    expect(affineParams(0, 1e-45, intRanges.uint8.asymmetric, false)).toEqual({ scale: 1, zeroPoint: 0 });
  });
});

describe('quantizeChannels', () => {
  it('sees any axis of any shape', () => {
    expect(axisView([2, 3, 4], 1)).toEqual({ outer: 2, channels: 3, inner: 4 });
    expect(axisView([5, 6], 0)).toEqual({ outer: 1, channels: 5, inner: 6 });
    const data = Float32Array.of(1, -2, 3, 4, 50, -60);
    const view = axisView([2, 3], 1);
    expect(channelRanges(data, view)).toEqual({ low: Float32Array.of(1, -2, -60), high: Float32Array.of(4, 50, 3) });
    const scales = Float32Array.of(1, 10, 30);
    const codes = quantizeChannels(data, view, { scales, zeroPoints: [0, 1, 0] }, intRanges.int8.symmetric);
    expect(Array.from(new Int8Array(codes.buffer))).toEqual([1, 1, 0, 4, 6, -2]);
  });

  it('saturates at the range', () => {
    const view = axisView([3], 0);
    const one = { scales: Float32Array.of(1, 1, 1), zeroPoints: [0, 0, 0] };
    const codes = quantizeChannels(Float32Array.of(-500, 500, 63.5), view, one, intRanges.int8.reduced);
    expect(Array.from(new Int8Array(codes.buffer))).toEqual([-64, 64, 64]);
  });

  it('is bit-identical to QuantizeLinear of ONNX Runtime, ties included', async () => {
    const n = 4096;
    const scale = Math.fround(0.1);
    const data = Float32Array.from({ length: n }, (_, i) => Math.fround((i - n / 2) * 0.05));
    const session = await ort.InferenceSession.create(quantizeLinearModel());
    const { y } = await session.run({
      x: new ort.Tensor('float32', data, [n]),
      s: new ort.Tensor('float32', Float32Array.of(scale), []),
      z: new ort.Tensor('int8', Int8Array.of(3), []),
    });
    const codes = quantizeChannels(
      data,
      { outer: 1, channels: 1, inner: n },
      { scales: Float32Array.of(scale), zeroPoints: [3] },
      intRanges.int8.asymmetric,
    );
    expect(new Int8Array(codes.buffer)).toEqual(y?.data);
  });
});

describe('helpers', () => {
  it('notices what is not finite', () => {
    expect(allFinite(Float32Array.of(1, -3.4e38, 0))).toBe(true);
    expect(allFinite(Float32Array.of(1, NaN))).toBe(false);
    expect(allFinite(Float32Array.of(-Infinity))).toBe(false);
  });

  it('transposes sizes that no tile divides', () => {
    const [rows, columns] = [37, 71];
    const data = Float32Array.from({ length: rows * columns }, (_, i) => i);
    const turned = transpose(data, rows, columns);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) expect(turned[c * rows + r]).toBe(data[r * columns + c]);
    }
    expect(transpose(turned, columns, rows)).toEqual(data);
  });
});

/** The bytes of a one-node model; protobuf by hand keeps kernels' tests free of other rooms. */
function quantizeLinearModel(): Uint8Array {
  const field = (id: number, body: Uint8Array | string): number[] => {
    const bytes = typeof body === 'string' ? [...new TextEncoder().encode(body)] : [...body];
    return [(id << 3) | 2, ...varint(bytes.length), ...bytes];
  };
  const number = (id: number, value: number): number[] => [id << 3, ...varint(value)];
  const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]);
  const of = (...parts: number[][]): Uint8Array => Uint8Array.from(parts.flat());
  const info = (name: string, type: number): Uint8Array =>
    of(field(1, name), field(2, of(field(1, of(number(1, type))))));
  const node = of(field(1, 'x'), field(1, 's'), field(1, 'z'), field(2, 'y'), field(4, 'QuantizeLinear'));
  const graph = of(
    field(1, node),
    field(2, 'g'),
    field(11, info('x', 1)),
    field(11, info('s', 1)),
    field(11, info('z', 3)),
    field(12, info('y', 3)),
  );
  return of(number(1, 7), field(8, of(number(2, 13))), field(7, graph));
}
