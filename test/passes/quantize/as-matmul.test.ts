import { describe, expect, it } from 'vitest';
import { quantizeWeights } from '../../../passes/quantize/quantize-weights.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { TestContext } from '../../support/context.ts';
import { countOps } from '../../support/count-ops.ts';
import { calmFillings, edgeFeeds, violations } from '../../support/differential.ts';
import { signature } from '../../support/golden.ts';
import { runOrt } from '../../support/ort.ts';

const head = (body: string): string => `<ir_version: 8, opset_import: ["" : 13]>\n${body}`;

/** Quantizes in 8 bits, where a wrong axis or matrix cannot hide behind rounding, and holds the outputs against float's. */
async function run(text: string, options: Parameters<typeof quantizeWeights>[0] = {}) {
  const before = parseModel(head(text));
  const after = cloneModel(before);
  const ctx = new TestContext();
  const wanted = { bits: 8, minElements: 64, accuracyLevel: 1, method: 'kquant', ...options } as const;
  const { changed } = await quantizeWeights.run(after, quantizeWeights(wanted).options as never, ctx);
  expect(verify(after)).toEqual([]);
  expect(signature(after)).toBe(signature(before));
  const feeds = edgeFeeds(before, 3, { m: 5, b: 2 }, {}, [calmFillings[0] as (typeof calmFillings)[0]]);
  const [expected] = await runOrt(before, feeds);
  const [actual] = await runOrt(after, feeds, 'all');
  if (!expected || !actual) throw new Error('no outputs');
  expect(violations(expected, actual, { kind: 'lossy', sqnrDb: 30 })).toEqual([]);
  return { changed, ops: countOps(after), why: ctx.skips.map(({ why }) => why) };
}

describe('a batch of constant matrices', () => {
  it.each([
    ['a matrix for each index', 'float[3,m,32] x'],
    ['the same rows for all matrices', 'float[1,m,32] x'],
    ['rows without a batch', 'float[m,32] x'],
  ])('becomes one product each: %s', async (_, input) => {
    const { ops } = await run(`g (${input}) => (float[3,m,24] y) <float[3,32,24] w = random(1)> { y = MatMul (x, w) }`);
    expect(ops).toMatchObject({ 'com.microsoft.MatMulNBits': 3, Concat: 1 });
    expect(ops.MatMul).toBeUndefined();
  });

  it('becomes one product each where no type is declared: experts that all tokens go through', async () => {
    const { ops } = await run(`g (float[m,32] x) => (float[3,m,24] y)
      <float[3,32,32] w = random(1), float[3,1,32] c = random(2), float[3,32,24] v = random(3), int64[2] times = {3, 1}, int64[3] form = {3, -1, 32}> {
        tiled = Tile (x, times)
        spread = Reshape (tiled, form)
        product = MatMul (spread, w)
        sum = Add (product, c)
        h = Relu (sum)
        y = MatMul (h, v)
      }`);
    expect(ops).toMatchObject({ 'com.microsoft.MatMulNBits': 6 });
    expect(ops.MatMul).toBeUndefined();
  });

  it.each([
    ['float[b,m,32] x', 'it is not known how "x" is spread over them'],
    ['float[3,m,8] x', 'there is nothing to gain (--min-elements)', 8],
  ])('stays, and says why: %s', async (input, why, k = 32) => {
    const text = `g (${input}) => (float[3,m,24] y) <float[3,${k},24] w = random(1)> { y = MatMul (x, w) }`;
    const ctx = new TestContext();
    const model = parseModel(head(text));
    const { changed } = await quantizeWeights.run(model, quantizeWeights({ minElements: 64 }).options as never, ctx);
    expect(changed).toBe(false);
    expect(ctx.skips.some((skip) => skip.why.includes(why))).toBe(true);
  });
});

it('leaves a batch of a type that no format stores as it is', async () => {
  const model = parseModel(
    head('g (double[3,m,32] x) => (double[3,m,24] y) <double[3,32,24] w = random(1)> { y = MatMul (x, w) }'),
  );
  const { changed } = await quantizeWeights.run(model, quantizeWeights({}).options as never, new TestContext());
  expect(changed).toBe(false);
  expect(countOps(model)).toEqual({ MatMul: 1 });
});

describe('--conv', () => {
  it('makes products of convolutions with a window of one position', async () => {
    const conv =
      'g (float[b,32,7,5] x) => (float[b,24,7,5] y) <float[24,32,1,1] w = random(1), float[24] c = random(2)>';
    const { ops } = await run(`${conv} { y = Conv (x, w, c) }`, { conv: true });
    expect(ops).toEqual({ Transpose: 2, 'com.microsoft.MatMulNBits': 1, Add: 1 });
    expect((await run(`${conv} { y = Conv (x, w, c) }`)).changed).toBe(false);
  });

  it('needs no Transpose at a single position, nor a third dimension', async () => {
    const single = 'g (float[b,32,1,1] x) => (float[b,24,1,1] y) <float[24,32,1,1] w = random(1)> { y = Conv (x, w) }';
    expect((await run(single, { conv: true })).ops).toEqual({ Reshape: 2, 'com.microsoft.MatMulNBits': 1 });
    const line = 'g (float[b,32,9] x) => (float[b,24,9] y) <float[24,32,1] w = random(1)> { y = Conv (x, w) }';
    expect((await run(line, { conv: true })).ops).toEqual({ Transpose: 2, 'com.microsoft.MatMulNBits': 1 });
  });

  it.each([
    ['strides = [2,2]', 'strides or padding', '[b,24,4,3]'],
    ['pads = [1,1,1,1]', 'strides or padding', '[b,24,9,7]'],
  ])('leaves what is no plain product: %s', async (attr, why, shape) => {
    const text = `g (float[b,32,7,5] x) => (float${shape} y) <float[24,32,1,1] w = random(1)> { y = Conv <${attr}> (x, w) }`;
    const result = await run(text, { conv: true });
    expect(result.changed).toBe(false);
    expect(result.why.some((sentence) => sentence.includes(why))).toBe(true);
  });

  it('leaves groups, and weights that are shared', async () => {
    const groups =
      'g (float[b,64,3,3] x) => (float[b,64,3,3] y) <float[64,32,1,1] w = random(1)> { y = Conv <group = 2> (x, w) }';
    expect((await run(groups, { conv: true })).changed).toBe(false);
    const shared = `g (float[b,32,3,3] x) => (float[b,32,3,3] y) <float[32,32,1,1] w = random(1)> { h = Conv (x, w)  y = Conv (h, w) }`;
    expect((await run(shared, { conv: true })).why).toContain('its weights "w" are shared');
  });
});
