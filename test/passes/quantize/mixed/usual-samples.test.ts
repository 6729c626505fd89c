import { expect, it } from 'vitest';
import { findLayers } from '../../../../passes/quantize/mixed/layers.ts';
import { usualSamples } from '../../../../passes/quantize/mixed/sensitivity.ts';
import { computedTensor } from '../../../../src/ir/tensor.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';

/** Four convolutions of size² · 64² · 9 multiply-accumulates. */
function samples(size: number, formats: number): number {
  const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
    g (float[1,64,${size},${size}] x) => (float[1,64,${size},${size}] y)
    <float[64,64,3,3] a = random(1), float[64,64,3,3] b = random(2), float[64,64,3,3] c = random(3), float[64,64,3,3] d = random(4)> {
      p = Conv <pads = [1, 1, 1, 1]> (x, a)  q = Conv <pads = [1, 1, 1, 1]> (p, b)
      r = Conv <pads = [1, 1, 1, 1]> (q, c)  y = Conv <pads = [1, 1, 1, 1]> (r, d)
    }`);
  // Nothing is computed: shapes decide.
  const value = computedTensor('float32', [1, 64, size, size], () => new Uint8Array(0));
  const single = new Map(['x', 'p', 'q', 'r', 'y'].map((name) => [name, value]));
  return usualSamples(model, findLayers(model, new Set()), single, formats);
}

it('layers are ranked on 64 samples, down to 16 where that is much work', () => {
  expect(samples(56, 2)).toBe(64);
  // 7.4e9 in all: 3.7e9 · 4 layers · 2 formats are 3e10 on a sample, of 1e12.
  expect(samples(224, 2)).toBe(33);
  expect(samples(224, 1)).toBe(64);
  expect(samples(1024, 2)).toBe(16);
});
