import { describe, expect, it } from 'vitest';
import { quantizeStatic } from '../../../../passes/quantize/quantize-static.ts';
import type { Model } from '../../../../src/ir/graph.ts';
import { toNumbers, typedArray } from '../../../../src/ir/tensor.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';
import { TestContext } from '../../../support/context.ts';
import { countOps } from '../../../support/count-ops.ts';
import { signature } from '../../../support/golden.ts';
import { activationsOf, calmFeeds, fused, head, quantize } from './support.ts';

const conv = (more = '', constants = '', op = 'y = Relu (c)'): string =>
  head(
    13,
    `g (float[1,4,8,8] x) => (float[1,8,8,8] y) <float[8,4,3,3] w = random(1)${constants}> { c = Conv <pads = [1,1,1,1]> (x, w${more})  ${op} }`,
  );

function numbers(model: Model, name: string): number[] {
  const value = [...model.graph.initializers].find((value) => value.name === name);
  return value?.initializer ? (toNumbers(value.initializer) ?? []) : [];
}

describe('quantize-static', () => {
  it('refuses to invent ranges unless asked to', async () => {
    const ctx = new TestContext();
    const run = (synthetic: boolean) =>
      quantizeStatic.run(parseModel(conv()), quantizeStatic({ synthetic, place: 'all' }).options as never, ctx);
    await expect(run(false)).rejects.toMatchObject({ code: 'calibration.none' });
    await run(true);
    expect(ctx.applications.find(({ rule }) => rule === 'calibration')?.detail).toBe('8 made-up samples, minmax');
  });

  it('keeps the signature, and gives a bias exactly the scale of the products', async () => {
    const text = conv(', b', ', float[8] b = random(2)');
    const { after } = await fused(text);
    expect(signature(after)).toBe(signature(parseModel(text)));
    const [input] = numbers(after, 'x_scale');
    const weights = numbers(after, 'w_scale');
    expect(numbers(after, 'b_scale')).toEqual(weights.map((scale) => Math.fround((input as number) * scale)));
  });

  it('widens the scale of a weight whose bias would overflow int32', async () => {
    const text = head(
      13,
      `g (float[1,2,4,4] x) => (float[1,2,4,4] y) <float[2,2,1,1] w = {1e-9, -2e-9, 1, 0.5}, float[2] b = {300, 1}> { y = Conv (x, w, b) }`,
    );
    const { after, db, audit } = await fused(text);
    expect(audit.fusedOps).toEqual({ QLinearConv: 1 });
    expect(db).toBeGreaterThan(40);
    const codes = numbers(after, 'b_quantized');
    // The other half is for the products that are added to it.
    expect(Math.abs(codes[0] as number)).toBeGreaterThan(2 ** 29);
    expect(Math.abs(codes[0] as number)).toBeLessThanOrEqual(2 ** 30);
  });

  it('takes the range behind the Relu: zero point at the lowest code', async () => {
    for (const [activations, lowest] of [
      ['u8', 0],
      ['s8', -128],
    ] as const)
      expect(numbers((await fused(conv(), { activations })).after, 'y_zero_point')).toEqual([lowest]);
  });

  it('keeps sums of two products within 16 bits where they are added in 16', async () => {
    const worst = async (options: Parameters<typeof fused>[1]): Promise<number> => {
      const codes = numbers((await fused(conv(), options)).after, 'w_quantized');
      let most = 0;
      // [8, 4, 3, 3]: pairs are neighbouring input channels of one tap.
      for (let n = 0; n < 8; n++)
        for (let c = 0; c < 4; c += 2)
          for (let tap = 0; tap < 9; tap++) {
            const pair = [c, c + 1].map((channel) => codes[(n * 4 + channel) * 9 + tap] as number);
            for (const sign of [1, -1])
              most = Math.max(most, 255 * pair.reduce((sum, code) => sum + Math.max(0, sign * code), 0));
          }
      return most;
    };
    // Files for WebAssembly, which adds in 32 bits, are judged on whatever processor there is.
    for (const cpu of ['avx2', 'avx512', 'auto', 'wasm'] as const)
      expect(await worst({ cpu })).toBeLessThanOrEqual(32767);
    for (const cpu of ['vnni', 'arm-dot'] as const) expect(await worst({ cpu })).toBeGreaterThan(32767);
    expect(await worst({ cpu: 'avx2', reduceRange: 'no' })).toBeGreaterThan(32767);
    const largest = async (options: Parameters<typeof fused>[1]): Promise<number> =>
      Math.max(...numbers((await fused(conv(), options)).after, 'w_quantized').map(Math.abs));
    expect(await largest({ cpu: 'vnni', reduceRange: 'yes' })).toBe(64);
    // Wider than 7 bits wherever a channel allows.
    expect(await largest({ cpu: 'avx2' })).toBeGreaterThan(64);
  });

  it('gives all 8 bits to channels whose inputs are too small to saturate, and to depthwise convolutions', async () => {
    const text = head(
      13,
      'g (float[1,2,4,4] x) => (float[1,4,4,4] y) <float[4,2,1,1] w = {1, 1, 1, -1, -1, -1, 0.5, 0.1}> { y = Conv (x, w) }',
    );
    const codes = numbers((await fused(text, { cpu: 'avx2' })).after, 'w_quantized');
    // Equal signs add up; opposite ones, and a small neighbour, do not reach 16 bits.
    expect(codes.slice(2, 4).map(Math.abs)).toEqual([127, 127]);
    expect(Math.max(...codes.slice(0, 2), ...codes.slice(4, 6).map(Math.abs))).toBeLessThanOrEqual(64);
    expect(codes[6]).toBeGreaterThan(100);
    const quiet = activationsOf(
      calmFeeds(parseModel(text)).map((one) => {
        const x = typedArray(one.get('x') as NonNullable<ReturnType<typeof one.get>>, 'float32');
        // The second channel stays below a fifth of the first.
        for (let i = 0; i < 32; i++) x[i] = Math.abs(x[i] as number) * (i < 16 ? 1 : 0.1);
        return one;
      }),
    );
    expect(Math.max(...numbers((await fused(text, { cpu: 'avx2' }, quiet)).after, 'w_quantized'))).toBeGreaterThan(90);
    const depthwise = head(
      13,
      'g (float[1,4,8,8] x) => (float[1,4,8,8] y) <float[4,1,3,3] w = random(1)> { y = Conv <pads = [1,1,1,1], group = 4> (x, w) }',
    );
    expect(Math.max(...numbers((await fused(depthwise, { cpu: 'avx2' })).after, 'w_quantized').map(Math.abs))).toBe(
      127,
    );
  });

  it('leaves a layer in float whose input mixes a mask with live values, and says so', async () => {
    const text = head(
      13,
      `g (float[4,16] x) => (float[4,8] y) <float[16] mask = {0,0,0,0,0,0,0,0,-10000,-10000,-10000,-10000,-10000,-10000,-10000,-10000}, float[16,8] w = random(1)> { m = Add (x, mask)  y = MatMul (m, w) }`,
    );
    const { changed, skips } = await quantize(parseModel(text));
    expect(changed).toBe(false);
    expect(skips.join()).toContain('"m" mixes values as large as those of a mask (-1.00e+4) with live ones');
  });

  it.each([
    ['NaN', 'd = Sqrt (x)', '"d" was NaN'],
    ['infinite', 'z = Sub (x, x)  d = Log (z)', '"d" was infinite'],
    ['nothing but zero', 'd = Sub (x, x)', '"d" was 0 on all calibration samples'],
  ])('names an activation that was %s', async (_, op, why) => {
    const text = head(
      13,
      `g (float[4,16] x) => (float[4,8] y) <float[16,8] w = random(1)> { ${op}  y = MatMul (d, w) }`,
    );
    const { changed, skips } = await quantize(parseModel(text));
    expect(changed).toBe(false);
    expect(skips.join()).toContain(why);
  });

  it('names weights that no scale can be found for, and what half precision takes first', async () => {
    const tiny = head(
      13,
      'g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1e-40, 2e-41, -3e-41, 1e-41}> { y = MatMul (x, w) }',
    );
    const { changed, skips } = await quantize(parseModel(tiny));
    expect(changed).toBe(false);
    expect(skips.join()).toMatch(/"w" are too small to be scaled: the largest is 1\.0e-40/);
    const half = head(
      13,
      'g (float16[1,3,8,8] x) => (float16[1,4,6,6] y) <float16[4,3,3,3] w = random(1)> { y = Conv (x, w) }',
    );
    expect((await quantize(parseModel(half))).skips.join()).toContain('float16, not float32: to-fp32 makes');
  });

  it('names weights with NaN, and those a caller may replace', async () => {
    const nan = head(13, 'g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1, nan, 2, 3}> { y = MatMul (x, w) }');
    expect((await quantize(parseModel(nan))).skips.join()).toContain('"w" hold NaN or infinite numbers');
    const open = head(
      13,
      'g (float[2,2] x, float[2,2] w) => (float[2,2] y) <float[2,2] w = {1, 2, 2, 3}> { y = MatMul (x, w) }',
    );
    expect((await quantize(parseModel(open))).skips.join()).toContain('"w" are a graph input too');
  });

  it('works with symbolic dimensions', async () => {
    const text = conv().replace('float[1,4,8,8] x', 'float[N,4,H,W] x').replace('float[1,8,8,8] y', 'float[N,8,H,W] y');
    expect((await fused(text)).audit.fusedOps).toEqual({ QLinearConv: 1 });
  });

  it('leaves an activation in float for readers in float, but not behind a fused node', async () => {
    const { after } = await fused(
      conv('', '', 'y = Relu (c)')
        .replace('=> (', '=> (float[1,4,8,8] t, ')
        .replace('c = Conv', 't = Tanh (x)  c = Conv'),
    );
    expect([...after.graph.nodes].find((node) => node.op === 'Tanh')?.input(0)?.name).toBe('x');
    const second = await fused(
      conv('', '', 'y = Tanh (c)').replace('(float[1,8,8,8] y)', '(float[1,8,8,8] y, float[1,8,8,8] c)'),
    );
    expect(second.audit.fusedOps.QLinearConv).toBe(1);
    expect([...second.after.graph.nodes].find((node) => node.op === 'Tanh')?.input(0)?.producer?.op).toBe(
      'DequantizeLinear',
    );
    expect(second.after.graph.outputs.map((output) => output.name)).toEqual(['y', 'c']);
  });

  it('quantizes one weight of two layers once', async () => {
    const text = head(
      13,
      'g (float[1,4,8,8] x) => (float[1,4,8,8] y) <float[4,4,3,3] w = random(1)> { a = Conv <pads = [1,1,1,1]> (x, w)  r = Relu (a)  y = Conv <pads = [1,1,1,1]> (r, w) }',
    );
    const { after } = await fused(text);
    expect(countOps(after).Conv).toBe(2);
    expect(
      [...after.graph.initializers].filter((value) => value.dtype === 'int8' && (value.shape?.length ?? 0) > 1),
    ).toHaveLength(1);
  });

  it('quantizes only the operators asked for', async () => {
    const text = conv('', '', 'y = Sigmoid (c)');
    await expect(quantize(parseModel(text), { ops: ['Tanh'] })).rejects.toMatchObject({ code: 'option.value' });
    expect((await quantize(parseModel(text), { ops: ['MatMul'] })).changed).toBe(false);
  });

  it('chooses smaller ranges by mse where there are outliers', async () => {
    const text = conv();
    const feeds = calmFeeds(parseModel(text));
    for (const one of feeds) typedArray(one.get('x') as NonNullable<ReturnType<typeof one.get>>, 'float32')[0] = 300;
    const scale = async (calibrate: 'minmax' | 'mse' | 'percentile' | 'entropy'): Promise<number> => {
      const model = parseModel(text);
      await quantize(model, { calibrate, percentile: 99 }, activationsOf(feeds));
      return numbers(model, 'x_scale')[0] as number;
    };
    const whole = await scale('minmax');
    expect(await scale('percentile')).toBeLessThan(whole / 50);
    expect(await scale('entropy')).toBeLessThan(whole / 5);
    expect(await scale('mse')).toBeLessThanOrEqual(whole);
  });
});
