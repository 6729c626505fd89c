import { describe, expect, it } from 'vitest';
import { quantizeStatic } from '../../passes/quantize/quantize-static.ts';
import { saturationOf } from '../../src/engine/saturation.ts';
import type { Model } from '../../src/ir/graph.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { TestContext } from '../support/context.ts';

const seed = { seed: 1 };
const feed = (shape: readonly number[], data: Float32Array) => [
  { feeds: new Map([['x', tensorFrom('float32', shape, data)]]), size: 1 },
];

describe('saturation of pairs of products', () => {
  it('is found where weights and activations are large, with the loss it brings', async () => {
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 13]>
      g (float[1,4] x) => (float[1,2] y) <float s = {1}, uint8 z = {0}, int8[4,2] w = {127, 1, 127, 1, -127, 1, 127, 1}, float ws = {1}, int8 wz = {0}> {
        q = QuantizeLinear (x, s, z)  d = DequantizeLinear (q, s, z)  e = DequantizeLinear (w, ws, wz)  y = MatMul (d, e) }`);
    const batches = () => feed([1, 4], Float32Array.of(200, 200, 10, 20));
    const [layer, ...others] = await saturationOf(model, batches, seed);
    expect(others).toEqual([]);
    expect(layer).toMatchObject({ node: 'y', op: 'MatMul', share: 0.25 });
    // Column 0: 200·254 − 10·127 + 20·127, of which 200·254 − 32767 is lost; column 1 keeps all.
    const [exact, lost, other] = [200 * 254 + 10 * 127, 200 * 254 - 32767, 430];
    expect(layer?.sqnrDb).toBeCloseTo(10 * Math.log10((exact ** 2 + other ** 2) / lost ** 2), 9);
  });

  it('counts padding as the zero point, taps one by one, and signed codes as unsigned ones', async () => {
    // A 1×2 kernel over two channels; the pairs are the channels of one tap: 127·(a + b) of the right tap only.
    const text = (dtype: string, zero: number): Model =>
      parseModel(`<ir_version: 8, opset_import: ["" : 13]>
      g (float[1,2,1,1] x) => (float[1,1,1,2] y) <float s = {1}, ${dtype} z = {${zero}}, int8[1,2,1,2] w = {0, 127, 0, 127}, float ws = {1}, int8 wz = {0}> {
        q = QuantizeLinear (x, s, z)  d = DequantizeLinear (q, s, z)  e = DequantizeLinear (w, ws, wz)
        y = Conv <pads = [0,1,0,1]> (d, e) }`);
    for (const [dtype, zero] of [
      ['uint8', 128],
      ['int8', 0],
    ] as const) {
      // 128 + 1 and 128 + 4: 127·261 saturates; padding alone, 127·256, does not quite.
      const [layer] = await saturationOf(text(dtype, zero), () => feed([1, 2, 1, 1], Float32Array.of(1, 4)), seed);
      expect(layer?.share).toBeGreaterThan(0.1);
      expect(layer?.share).toBeLessThan(0.4);
      const [none] = await saturationOf(text(dtype, zero), () => feed([1, 2, 1, 1], Float32Array.of(1, 1)), seed);
      expect(none).toMatchObject({ share: 0, sqnrDb: Number.POSITIVE_INFINITY });
    }
  });

  it('never happens in what quantize-static writes for any processor, and does in what it writes for VNNI', async () => {
    const text = `<ir_version: 8, opset_import: ["" : 13]>
      g (float[1,8,8,8] x) => (float[1,8,4,4] y) <float[16,8,3,3] w1 = random(1), float[16,1,3,3] w2 = random(2), float[8,8,1,1] w3 = random(3)> {
        a = Conv (x, w1)  r = Relu (a)  b = Conv <group = 16> (r, w2)  y = Conv <group = 2> (b, w3) }`;
    const run = async (cpu: 'auto' | 'vnni', format: 'qdq' | 'qoperator') => {
      const model = parseModel(text);
      const options = quantizeStatic({ synthetic: true, place: 'all', minElements: 0, cpu, format }).options;
      await quantizeStatic.run(model, options as never, new TestContext());
      const data = Float32Array.from({ length: 512 }, (_, i) => 2 * Math.sin(i * i));
      return await saturationOf(model, () => feed([1, 8, 8, 8], data), seed);
    };
    for (const format of ['qdq', 'qoperator'] as const) {
      const [safe, fast] = [await run('auto', format), await run('vnni', format)];
      // The depthwise one is left out.
      expect(safe).toHaveLength(2);
      expect(safe.map(({ share }) => share)).toEqual([0, 0]);
      expect(fast[0]?.share).toBeGreaterThan(0);
    }
  });
});
