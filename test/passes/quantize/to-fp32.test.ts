import { describe, expect, it } from 'vitest';
import { toFp32 } from '../../../passes/quantize/to-fp32.ts';
import { openModel } from '../../../src/engine/open-model.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { TestContext } from '../../support/context.ts';

async function convert(model: Model, given: Parameters<typeof toFp32>[0] = {}) {
  const ctx = new TestContext();
  const { changed } = await toFp32.run(model, toFp32(given).options as never, ctx);
  expect(verify(model)).toEqual([]);
  return { changed, counts: ctx.counts(), why: ctx.skips.map(({ rule, why }) => `${rule}: ${why}`) };
}

/** A branch, a loop body, casts, constants of all kinds, and a mask that float32 cannot hold. */
const doubles = `<ir_version: 8, opset_import: ["" : 17]>
g (double[2,3] x, bool c) => (double[2,3] y, int64[2] shape) <double[3] b = random(1), double[1] mask = {-1e300}> {
  k = Constant <value_floats = [1.0, 2.0, 3.0]> ()
  kd = Cast <to = 11> (k)
  s = Add (x, kd)
  m = If <then_branch = a () => (double[2,3] p) <double[3] v = random(3)> { p = Mul (s, v) },
          else_branch = b2 () => (double[2,3] q) { q = Add (s, b) }> (c)
  z = ConstantOfShape <value = double[1] {0.5}> (shape)
  shape = Shape (m)
  n = Add (m, z)
  w = Max (n, mask)
  y = LayerNormalization <axis = -1, stash_type = 1> (w, b)
}`;

describe('to-fp32', () => {
  it('makes a model in float32 of one in float64, subgraphs, casts and attributes too', async () => {
    const before = parseModel(
      doubles.replace(
        '  z = ConstantOfShape <value = double[1] {0.5}> (shape)\n  shape = Shape (m)',
        '  shape = Shape (m)\n  z = ConstantOfShape <value = double[1] {0.5}> (shape)',
      ),
    );
    const after = cloneModel(before);
    const { changed, counts } = await convert(after);
    expect(changed).toBe(true);
    expect(counts).toMatchObject({ clamp: 1, type: 4 });
    expect((await convert(cloneModel(after))).changed).toBe(false);
    const [a, b] = [await openModel(before, { label: 'before' }), await openModel(after, { label: 'after' })];
    try {
      expect(b.inputs[0]?.dtype).toBe('float32');
      const numbers = [0.25, -1, 2, 3, 0.125, 5];
      for (const taken of [0, 1]) {
        const c = tensorFrom('bool', [], Uint8Array.of(taken));
        const want = await a.run(
          new Map([
            ['x', tensorFrom('float64', [2, 3], Float64Array.from(numbers))],
            ['c', c],
          ]),
        );
        const got = await b.run(
          new Map([
            ['x', tensorFrom('float32', [2, 3], Float32Array.from(numbers))],
            ['c', c],
          ]),
        );
        const y = got.get('y');
        if (y === undefined) throw new Error('no y');
        expect(y.dtype).toBe('float32');
        const wanted = typedArray(want.get('y') as typeof y, 'float64');
        for (const [i, value] of typedArray(y, 'float32').entries()) expect(value).toBeCloseTo(wanted[i] ?? 0, 4);
      }
    } finally {
      await a.dispose();
      await b.dispose();
    }
  });

  it('makes bfloat16 inputs float32, which the runtime exchanges', async () => {
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (bfloat16[2,2] x) => (bfloat16[2,2] y) { f = Cast <to = 1> (x)  r = Relu (f)  y = Cast <to = 16> (r) }`);
    await expect(openModel(cloneModel(model), { label: 'the model' })).rejects.toThrow(
      'an input or output is bfloat16, which no runtime in Node exchanges; mlpack to-fp32 makes',
    );
    await convert(model);
    const session = await openModel(model, { label: 'the model' });
    expect([session.inputs[0]?.dtype, session.outputs[0]?.dtype]).toEqual(['float32', 'float32']);
    await session.dispose();
  });

  it('says why it leaves a model alone', async () => {
    const plain = parseModel(
      `<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Relu (x) }`,
    );
    expect(await convert(plain)).toMatchObject({
      changed: false,
      why: ['nothing: it holds no float64, float16, bfloat16'],
    });
    const half = parseModel(
      `<ir_version: 8, opset_import: ["" : 17]> g (float16[2] x) => (float16[2] y) { y = Relu (x) }`,
    );
    expect((await convert(half, { from: ['float64'] })).changed).toBe(false);
    await expect(convert(half, { from: ['float8'] })).rejects.toThrow(
      '--from names "float8"; there are float64, float16, bfloat16.',
    );
  });

  it('leaves a model that takes the bits of a half apart', async () => {
    const model = parseModel(`<ir_version: 11, opset_import: ["" : 26]>
g (float16[4] x) => (uint16[4] y) { h = Neg (x)  y = BitCast <to = 4> (h) }`);
    const { changed, why } = await convert(model);
    expect(changed).toBe(false);
    expect(why.join()).toContain('bits: it takes the bits of a number apart');
  });
});
