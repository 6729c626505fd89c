import { describe, expect, it } from 'vitest';
import { pruneWeights } from '../../../passes/prune/prune-weights.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { f16ToF32 } from '../../../src/kernels/f16.ts';
import { countZeros } from '../../../src/kernels/mask.ts';
import { TestContext } from '../../support/context.ts';
import { edgeFeeds } from '../../support/differential.ts';
import { runOrt } from '../../support/ort.ts';

const head = (body: string): string => `<ir_version: 8, opset_import: ["" : 13]>\n${body}`;

async function prune(model: Model, options: Parameters<typeof pruneWeights>[0] = {}) {
  const ctx = new TestContext();
  const { changed } = await pruneWeights.run(model, pruneWeights({ minElements: 0, ...options }).options as never, ctx);
  expect(verify(model)).toEqual([]);
  return { changed, applied: ctx.applications, skips: ctx.skips, notes: ctx.notes };
}

function weights(model: Model, name: string): Float32Array {
  const tensor = [...model.graph.initializers].find((value) => value.name === name)?.initializer;
  if (!tensor) throw new Error(`no ${name}`);
  return tensor.dtype === 'float16' ? f16ToF32(typedArray(tensor, 'float16')) : typedArray(tensor, 'float32');
}

const two = head(`g (float[2,40] x) => (float[2,30] y) <float[40,50] a = random(1), float[50,30] c = random(2)> {
  h = Gemm (x, a)  r = Relu (h)  y = MatMul (r, c)
}`);

describe('prune-weights', () => {
  it.each([0, 0.1, 0.333, 0.5, 0.9, 0.999])('zeroes exactly the share %f of each layer', async (sparsity) => {
    const model = parseModel(two);
    const feeds = edgeFeeds(model, 1);
    await prune(model, { sparsity });
    expect(countZeros(weights(model, 'a'))).toBe(Math.round(sparsity * 2000));
    expect(countZeros(weights(model, 'c'))).toBe(Math.round(sparsity * 1500));
    await runOrt(model, feeds);
    const again = await prune(model, { sparsity });
    expect(again.changed).toBe(false);
  });

  it('runs patterns along the inputs of weights that stand behind a Transpose, as TensorFlow has them', async () => {
    const model = parseModel(
      head(`g (float[1,4,2,2] x) => (float[1,2,2,2] y) <float[1,1,4,2] w = {1, -5, 2, 5, -3, 2, 4, -6}> {
        t = Transpose <perm = [3, 2, 0, 1]> (w)  y = Conv (x, t) }`),
    );
    await prune(model, { pattern: '2:4' });
    expect([...weights(model, 'w')]).toEqual([0, -5, 0, 0, -3, 0, 4, -6]);
  });

  it('meets the share with whole groups over all layers together, and says how near it came', async () => {
    const rows =
      head(`g (float[2,24] x) => (float[2,6] y) <float[24,6] a = random(1), float[6,24] b = random(2), float[24,6] c = random(3)> {
      h = MatMul (x, a)  i = MatMul (h, b)  y = MatMul (i, c)
    }`);
    const model = parseModel(rows);
    // Groups of 8 inputs: 18 in a, 24 of at most 6 in b, 18 in c; a third is 6 + 8 + 6.
    const { notes } = await prune(model, { sparsity: 1 / 3, pattern: 'block8' });
    const zeros = ['a', 'b', 'c'].reduce((sum, name) => sum + countZeros(weights(model, name)), 0);
    expect(zeros).toBe(144);
    expect(notes).toEqual([]);
    const odd = parseModel(
      head('g (float[2,24] x) => (float[2,1] y) <float[24,1] a = random(1)> { y = MatMul (x, a) }'),
    );
    expect((await prune(odd, { sparsity: 0.5, pattern: 'block16' })).notes).toEqual([
      '33.33 % of the weights are zero, not the 50.00 % asked for: groups of 16 go as a whole, and the nearest number of them is taken',
    ]);
    const narrow = parseModel(
      head('g (float[2,6] x) => (float[2,2] y) <float[6,2] a = random(1)> { y = MatMul (x, a) }'),
    );
    expect((await prune(narrow, { pattern: '2:4' })).notes).toEqual([
      '33.33 % of the weights are zero, not the 50.00 % asked for: rows end before a group of 4 is full, or have fewer inputs',
    ]);
  });

  it('rounds the mantissas of what is left', async () => {
    const model = parseModel(two);
    await prune(model, { mantissa: 7 });
    const a = weights(model, 'a');
    expect(countZeros(a)).toBe(1000);
    expect(new Uint32Array(a.slice().buffer).every((word) => (word & 0xffff) === 0)).toBe(true);
    const whole = parseModel(two);
    await prune(whole);
    for (const [i, w] of weights(whole, 'a').entries())
      expect(Math.abs((a[i] as number) - w)).toBeLessThanOrEqual(Math.abs(w) / 256);
  });

  it('zeroes the smallest of the whole model when asked to', async () => {
    const model = parseModel(
      head(
        `g (float[2,4] x) => (float[2,2] y) <float[4,2] a = {9, 8, 7, 6, 5, -4, 3, 2}, float[2,2] c = {1, -0.5, 1, 0.1}> { h = MatMul (x, a)  y = MatMul (h, c) }`,
      ),
    );
    await prune(model, { sparsity: 0.5, scope: 'global' });
    expect(Array.from(weights(model, 'a'))).toEqual([9, 8, 7, 6, 5, 0, 0, 0]);
    // All four would go, which would leave nothing of the layer.
    expect(Array.from(weights(model, 'c'))).toEqual([0, 0, 1, 0]);
  });

  it('of equal weights drops the first, always the same', async () => {
    const model = parseModel(
      head('g (float[1,4] x) => (float[1,2] y) <float[4,2] a = {1, -1, 1, 1, -1, 1, 1, 1}> { y = MatMul (x, a) }'),
    );
    await prune(model, { sparsity: 0.375 });
    expect(Array.from(weights(model, 'a'))).toEqual([0, 0, 0, 1, -1, 1, 1, 1]);
  });

  it('keeps 2 of 4 along what the layer sums over', async () => {
    const model = parseModel(
      head(`g (float[1,8,4,4] x) => (float[1,3] y)
      <float[4,8,1,1] conv = random(1), float[3,64] gemm = random(2), int64[2] s = {1, 64}> {
        h = Conv (x, conv)  f = Reshape (h, s)  y = Gemm <transB = 1> (f, gemm)
      }`),
    );
    const before = weights(model, 'conv').slice();
    const { applied } = await prune(model, { pattern: '2:4' });
    expect(applied.map(({ rule, detail }) => `${rule} ${detail}`)).toEqual([
      'pattern "conv": 16 of 32 are zero (50.0 %)',
      'pattern "gemm": 96 of 192 are zero (50.0 %)',
    ]);
    const conv = weights(model, 'conv');
    for (let group = 0; group < 8; group++) {
      const all = Array.from(before.subarray(group * 4, group * 4 + 4), Math.abs).sort((p, q) => q - p);
      const kept = Array.from(conv.subarray(group * 4, group * 4 + 4), Math.abs).filter((x) => x > 0);
      expect(kept.sort((p, q) => q - p)).toEqual(all.slice(0, 2));
    }
  });

  it('runs along rows or columns as the layer reads them', async () => {
    const model = parseModel(
      head(
        'g (float[1,4] x) => (float[1,4] y) <float[4,4] k = {1,5,1,5, 2,6,2,6, 3,7,3,7, 4,8,4,8}, float[4,4] n = {1,2,3,4, 5,6,7,8, 1,2,3,4, 5,6,7,8}> { h = MatMul (x, k)  y = Gemm <transB = 1> (h, n) }',
      ),
    );
    await prune(model, { pattern: '2:4' });
    expect(Array.from(weights(model, 'k'))).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 3, 7, 3, 7, 4, 8, 4, 8]);
    expect(Array.from(weights(model, 'n'))).toEqual([0, 0, 3, 4, 0, 0, 7, 8, 0, 0, 3, 4, 0, 0, 7, 8]);
  });

  it('prunes a shared weight once, float16 ones, and those of subgraphs', async () => {
    const model = parseModel(
      head(`g (float16[2,4] x, bool c) => (float16[2,4] y) <float16[4,4] w = random(1)> {
        h = MatMul (x, w)
        y = If <then_branch = t () => (float16[2,4] a) { a = MatMul (h, w) }, else_branch = e () => (float16[2,4] b) { b = Identity (h) }> (c)
      }`),
    );
    const { applied } = await prune(model, { sparsity: 0.25 });
    expect(applied).toHaveLength(1);
    expect(countZeros(weights(model, 'w'))).toBe(4);
  });

  it('says what it leaves, and that speed does not change', async () => {
    const why = async (body: string, options: Parameters<typeof pruneWeights>[0] = {}) =>
      (await prune(parseModel(head(body)), options)).skips.map(({ rule, why: reason }) => `${rule}: ${reason}`);
    expect(
      await why('g (float[1,4] x) => (float[1,2] y) <float[4,2] a = {1, 2, 3, 4, 5, 6, 7, 8}> { y = MatMul (x, a) }'),
    ).toEqual([
      'speed: ONNX Runtime has no sparse kernels: zeros make the compressed file smaller, not inference faster',
    ]);
    expect(
      await why(
        'g (float[1,4] x) => (float[1,2] y) <float[4,2] a = {1, 2, 3, 4, 5, 6, 7, 8}> { [m] y = MatMul (x, a) }',
        { keep: ['m'] },
      ),
    ).toEqual(['magnitude: you asked for it to stay as it is (--keep)']);
    expect(
      await why('g (float[1,4] x) => (float[1,2] y) <float[4,2] a = {1, 2, 3, 4, 5, 6, 7, 8}> { y = MatMul (x, a) }', {
        minElements: 9,
      }),
    ).toEqual(['magnitude: its weights "a" have 8 elements: below 9 there is nothing to gain (--min-elements)']);
    expect(
      await why('g (float[1,2] x) => (float[1,2] y) <float[2,2] a = {1, 2, 3, 4}> { y = MatMul (x, a) }', {
        pattern: '2:4',
      }),
    ).toEqual(['pattern: its weights "a" have 2 inputs, fewer than a group of 4']);
    expect(
      await why('g (int64[1] i) => (float[1,4] y) <float[4,4] t = random(1)> { h = Gather (t, i)  y = MatMul (h, t) }'),
    ).toEqual(['magnitude: its weights "t" are also read by Gather "h", which would lose its values too']);
    await expect(
      why('g (float[1,2] x) => (float[1,2] y) <float[2,2] a = {1, 2, 3, 4}> { y = MatMul (x, a) }', { pattern: '4:2' }),
    ).rejects.toThrow(/no pruning pattern/);
  });
});
