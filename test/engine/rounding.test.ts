import { describe, expect, it } from 'vitest';
import { roundingSpread } from '../../src/engine/rounding.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';

const random = (seed: number, count: number): Float32Array => {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (state * 16807) % 2147483647;
    return (state / 2147483647) * 2 - 1;
  });
};
const feeds = (seed: number, shape: readonly number[]) =>
  new Map([
    [
      'x',
      tensorFrom(
        'float32',
        shape,
        random(
          seed,
          shape.reduce((a, b) => a * b, 1),
        ),
      ),
    ],
  ]);

/** x → quantized → product → quantized (step 0.05) → what `tail` says. */
const model = (outputs: string, tail: string, scale = 'float s = {0.05}') =>
  parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[batch,32] x) => (${outputs})
<
  float[32,10] w = random(3, -0.5, 0.5),
  float sx = {0.008}, uint8 z = {128}, ${scale}
>
{
  xq = QuantizeLinear (x, sx, z)
  xd = DequantizeLinear (xq, sx, z)
  m = MatMul (xd, w)
  q = QuantizeLinear (m, s, z)
  ${tail}
}`);

const two = [feeds(1, [1, 32]), feeds(2, [1, 32])];

describe('what rounding may change', () => {
  it('is whole steps where an output comes out of the last rounding, one at least', async () => {
    const spreads = await roundingSpread(model('float[batch,10] y', 'y = DequantizeLinear (q, s, z)'), two);
    expect(spreads).toHaveLength(2);
    for (const spread of spreads ?? []) {
      const steps = (spread.get('y') ?? 0) / 0.05;
      expect(steps).toBeCloseTo(Math.round(steps), 4);
      expect(steps).toBeGreaterThanOrEqual(1);
      expect(steps).toBeLessThanOrEqual(3);
    }
  });

  it('goes through a softmax, each output and each case for itself', async () => {
    const tail = 'y = DequantizeLinear (q, s, z)\n  p = Softmax (y)\n  tenth = Mul (y, t)';
    const spreads = await roundingSpread(
      model('float[batch,10] y, float[batch,10] p, float[batch,10] tenth', tail, 'float s = {0.05}, float t = {0.1}'),
      two,
    );
    for (const spread of spreads ?? []) {
      const direct = spread.get('y') ?? 0;
      expect(spread.get('tenth')).toBeCloseTo(direct / 10, 5);
      // A logit moved by d changes no probability by more than d / 2 (the softmax's slope p (1 − p) is at most a quarter, twice for two).
      expect(spread.get('p')).toBeGreaterThan(0);
      expect(spread.get('p')).toBeLessThan(direct / 2);
    }
    expect(spreads?.[0]?.get('p')).not.toBe(spreads?.[1]?.get('p'));
  });

  it('counts integers where they are the output', async () => {
    const spreads = await roundingSpread(model('uint8[batch,10] q', ''), two);
    expect(spreads?.[0]?.get('q')).toBeGreaterThanOrEqual(1);
    expect(spreads?.[0]?.get('q')).toBeLessThanOrEqual(3);
  });

  it('is unknown without rounding, and where integers go on or scales are not constant', async () => {
    const float = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[batch,32] x) => (float[batch,32] y)
{
  y = Relu (x)
}`);
    expect(await roundingSpread(float, two)).toBeUndefined();
    const onward = model(
      'uint8[batch,5,2] y',
      'y = Reshape (q, shape)',
      'float s = {0.05}, int64[3] shape = {0, 5, 2}',
    );
    expect(await roundingSpread(onward, two)).toBeUndefined();
    const dynamic = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[batch,32] x) => (float[batch,32] y)
{
  q, s, z = DynamicQuantizeLinear (x)
  y = DequantizeLinear (q, s, z)
}`);
    expect(await roundingSpread(dynamic, two)).toBeUndefined();
  });
});
