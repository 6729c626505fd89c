import { describe, expect, it } from 'vitest';
import { parseModel } from '../../../../src/ir/text/parse.ts';
import { fused, head, quantize } from './support.ts';

const image = (body: string, constants: string, channels = 64): string =>
  head(13, `g (float[1,${channels},28,28] x) => (float[n,c,h,w0] y) <${constants}> { ${body} }`);

describe('what is quantized by default', () => {
  it('leaves in float what is faster there, and says by how much', async () => {
    const small = parseModel(image('y = Conv (x, w)', 'float[2,4,1,1] w = random(1)', 4));
    const { counts, skips } = await quantize(small, { place: 'pays' });
    expect(counts.weighted).toBeUndefined();
    expect(skips.join()).toMatch(
      /slower on integers \(about \d\.\d µs, \d\.\d µs in float\), by measured costs: --place all/,
    );
    expect((await quantize(small, { place: 'all' })).counts.weighted).toBe(1);
  });

  it('does not round a picture for its first convolution, where that saves less than a tenth of the time', async () => {
    const network = (filters: number): string => {
      const constants = `float[${filters},3,3,3] a = random(1), float[64,${filters},3,3] b = random(2), float[64,64,3,3] c = random(3)`;
      const body = 'p = Conv (x, a)  q = Conv (p, b)  r = Conv (q, c)  y = Conv (r, c)';
      return head(13, `g (float[1,3,64,64] x) => (float[] y) <${constants}> { ${body} }`);
    };
    const { counts, skips } = await quantize(parseModel(network(16)), { place: 'pays', cpu: 'vnni' });
    expect(counts.weighted).toBe(3);
    expect(skips.join()).toMatch(
      /its input is a picture, which rounding to 8 bits once more would blur for about \d % of the time: --place all/,
    );
    // All of the time is in the first one.
    const alone = head(
      13,
      'g (float[1,3,224,224] x) => (float[] y) <float[64,3,7,7] w = random(1)> { y = Conv (x, w) }',
    );
    expect((await quantize(parseModel(alone), { place: 'pays', cpu: 'vnni' })).counts.weighted).toBe(1);
    // Behind an operator it is no picture any more.
    const behind = network(16).replace('p = Conv (x', 's = Sigmoid (x)  p = Conv (s');
    expect((await quantize(parseModel(behind), { place: 'pays', cpu: 'vnni' })).skips.join()).not.toContain('picture');
    expect((await quantize(parseModel(network(16)), { place: 'all', cpu: 'vnni' })).counts.weighted).toBe(4);
  });

  it('leaves a model alone of which integers save less than the table of costs is sure of', async () => {
    // A convolution that gains 60 µs beside a depthwise one that takes 1,000 in any case.
    const constants = 'float[64,64,3,3] a = random(1), float[64,1,7,7] b = random(2)';
    const body = 'y = Conv <pads = [1,1,1,1]> (x, a)  u = Conv <group = 64, pads = [3,3,3,3]> (z, b)';
    const text = head(
      13,
      `g (float[1,64,12,12] x, float[1,64,112,112] z) => (float[] y, float[] u) <${constants}> { ${body} }`,
    );
    const { changed, skips } = await quantize(parseModel(text), { place: 'pays', cpu: 'vnni' });
    expect(changed).toBe(false);
    expect(skips.join()).toMatch(/integers would save about [1-9] % of the time of what can run on them/);
    expect((await quantize(parseModel(text), { place: 'may-pay', cpu: 'vnni' })).counts.weighted).toBe(1);
    expect((await quantize(parseModel(text), { place: 'all', cpu: 'vnni' })).counts.weighted).toBe(2);
  });

  it('quantizes convolutions that are large enough, together with a cheap one between them', async () => {
    const depthwise = 'float[64,64,1,1] a = random(1), float[64,1,3,3] d = random(2), float[64,64,1,1] b = random(3)';
    const body = 'p = Conv (x, a)  q = Conv <group = 64, pads = [1,1,1,1]> (p, d)  y = Conv (q, b)';
    expect((await quantize(parseModel(image(body, depthwise)), { place: 'pays' })).counts.weighted).toBe(3);
    // Alone it is slower on integers.
    const alone = 'y = Conv <group = 64, pads = [1,1,1,1]> (x, d)';
    const { counts } = await quantize(parseModel(image(alone, 'float[64,1,3,3] d = random(2)')), { place: 'pays' });
    expect(counts.weighted).toBeUndefined();
  });

  it('knows that windows of volumes are copied: clips of pictures stay in float for their first convolution', async () => {
    const constants = 'float[24,3,3,3,3] a = random(1), float[48,24,3,3,3] b = random(2)';
    const pads = '<pads = [1,1,1,1,1,1]>';
    const text = `g (float[1,3,8,48,48] x) => (float[] y) <${constants}> { r = Relu (x)  p = Conv ${pads} (r, a)  y = Conv ${pads} (p, b) }`;
    const { counts, skips } = await quantize(parseModel(head(13, text)), { place: 'pays', cpu: 'vnni' });
    expect(counts.weighted).toBe(1);
    expect(skips.join()).toMatch(/it is slower on integers \(about 9300 µs, 930 µs in float\)/);
  });

  it('keeps an AveragePool in float where integers would be slower, except between integers, where the runtime fuses it', async () => {
    const constants = 'float[64,64,3,3] a = random(1), float[64,64,3,3] b = random(3)';
    const pool = 'q = AveragePool <kernel_shape = [3,3], pads = [1,1,1,1]> (p)';
    const first = 'p = Conv <pads = [1,1,1,1]> (x, a)';
    const last = parseModel(image(`${first}  ${pool}  y = Sigmoid (q)`, 'float[64,64,3,3] a = random(1)'));
    const between = parseModel(image(`${first}  ${pool}  y = Conv <pads = [1,1,1,1]> (q, b)`, constants));
    expect((await quantize(last, { place: 'pays' })).counts).toMatchObject({ weighted: 1 });
    expect([...last.graph.nodes].find(({ op }) => op === 'AveragePool')?.output().consumers[0]?.op).toBe('Sigmoid');
    expect((await quantize(between, { place: 'pays' })).counts).toMatchObject({ weighted: 2, compute: 1 });
  });

  it('averages full windows by a depthwise convolution on integers, with exactly the numbers of the pool', async () => {
    const constants = 'float[64,64,3,3] a = random(1), float[64,64,3,3] b = random(3)';
    const between = (attrs: string): string =>
      `p = Conv <pads = [1,1,1,1]> (x, a)  q = AveragePool <kernel_shape = [3,3], strides = [2,2]${attrs}> (p)  y = Conv (q, b)`;
    const padded = image(between(', pads = [1,1,1,1], count_include_pad = 1'), constants);
    const { counts, problems, db } = await fused(padded, { place: 'pays', cpu: 'vnni' });
    expect(problems).toEqual([]);
    expect(counts).toMatchObject({ weighted: 3, pool: 1 });
    expect(counts.compute).toBeUndefined();
    expect(db).toBeGreaterThan(30);
    // A window at the border holds fewer elements where padding is not counted.
    const uneven = parseModel(image(between(', pads = [1,1,1,1]'), constants));
    expect((await quantize(uneven, { place: 'pays', cpu: 'vnni' })).counts.pool).toBeUndefined();
    const kept = parseModel(image(between(''), constants));
    expect((await quantize(kept, { place: 'pays', cpu: 'vnni', keep: ['AveragePool'] })).counts.pool).toBeUndefined();
  });

  it('quantizes what the runtime would round by itself, or nothing', async () => {
    // A convolution in float between two on integers gets one scale for all channels from ONNX Runtime, and its slower kernel.
    const weights =
      'float[64,64,1,1] a = random(1), float[24,1,3,3] d = random(2), float[24,64,1,1] b = random(3), float[64,24,1,1] e = random(4)';
    const body = 'p = Conv (x, a)  q = Conv (p, b)  r = Conv <group = 24, pads = [1,1,1,1]> (q, d)  y = Conv (r, e)';
    const model = parseModel(image(body, weights));
    await quantize(model, { place: 'pays', cpu: 'vnni' });
    for (const { op, inputs } of model.graph.nodes) {
      if (op !== 'Conv' || inputs[1]?.producer) continue;
      const [before, behind] = [
        inputs[0]?.producer?.op,
        [...model.graph.nodes].find((node) => node.inputs.includes(inputs[0])),
      ];
      expect([before, behind?.output().consumers[0]?.op]).not.toEqual(['DequantizeLinear', 'QuantizeLinear']);
    }
  });

  it('leaves convolutions around a MaxPool in float where integers would put its channels first', async () => {
    const weights = 'float[8,1,5,5] a = random(1), float[16,8,5,5] b = random(2)';
    const body = `p = Conv <pads = [2,2,2,2]> (x, a)  m = MaxPool <kernel_shape = [2,2], strides = [2,2]> (p)
      y = Conv <pads = [2,2,2,2]> (m, b)`;
    const { counts } = await quantize(parseModel(image(body, weights, 1)), { place: 'pays', cpu: 'vnni' });
    expect(counts.weighted).toBeUndefined();
  });

  it('keeps a MaxPool in float behind a sum of which one operand is in float: channels come first there', async () => {
    const weights = 'float[64,64,3,3] a = random(1), float[64,64,3,3] b = random(2)';
    const pooled = async (other: string): Promise<readonly string[]> => {
      const body = `p = Conv <pads = [1,1,1,1]> (x, a)  s = ${other}  t = Add (p, s)  r = Relu (t)
        m = MaxPool <kernel_shape = [2,2], strides = [2,2]> (r)  y = Conv <pads = [1,1,1,1]> (m, b)`;
      const model = parseModel(image(body, weights));
      await quantize(model, { place: 'pays', cpu: 'vnni' });
      const pool = [...model.graph.nodes].find(({ op }) => op === 'MaxPool');
      return [...(pool?.inputs ?? [])].map((value) => value?.producer?.op ?? '');
    };
    expect(await pooled('Conv <pads = [1,1,1,1]> (x, b)')).toEqual(['DequantizeLinear']);
    expect(await pooled('Tanh (x)')).toEqual(['Relu']);
  });

  it('counts rows: one row of a small matrix does not pay, a large matrix does', async () => {
    const product = (rows: number, k: number): string =>
      head(
        13,
        `g (float[${rows},${k}] x) => (float[${rows},64] y) <float[${k},64] w = random(1)> { y = MatMul (x, w) }`,
      );
    expect((await quantize(parseModel(product(1, 32)), { place: 'pays' })).counts.weighted).toBeUndefined();
    expect((await quantize(parseModel(product(1, 4096)), { place: 'pays' })).counts.weighted).toBe(1);
    expect((await quantize(parseModel(product(128, 256)), { place: 'pays' })).counts.weighted).toBe(1);
  });

  it('splits for WebAssembly by what was measured there: a depthwise convolution between two others stays in float', async () => {
    const weights =
      'float[128,128,1,1] a = random(1), float[128,1,3,3] d = random(2), float[128,128,1,1] b = random(3)';
    const body = 'p = Conv (x, a)  q = Conv <group = 128, pads = [1,1,1,1]> (p, d)  y = Conv (q, b)';
    const model = () => parseModel(image(body, weights, 128));
    expect((await quantize(model(), { place: 'pays', cpu: 'vnni' })).counts.weighted).toBe(3);
    const { counts, skips } = await quantize(model(), { place: 'pays', cpu: 'wasm' });
    expect(counts.weighted).toBe(2);
    // A DequantizeLinear with a scale for each channel keeps the runtime from rounding its weights.
    const guarded = model();
    await quantize(guarded, { place: 'pays', cpu: 'wasm' });
    const between = [...guarded.graph.nodes].find(({ op, inputs }) => op === 'Conv' && inputs[1]?.name === 'd');
    const axis = between?.input(0)?.producer;
    expect(axis).toMatchObject({ op: 'DequantizeLinear' });
    expect([axis?.int('axis', -1), axis?.input(1)?.shape]).toEqual([1, [128]]);
    expect(skips.join()).toMatch(/slower on integers \(about 1100 µs, 320 µs in float\)/);
    // Weights for WebAssembly are right on processors that saturate, too: their outputs are recorded on such ones.
    const two = parseModel(image('p = Conv (x, a)  y = Conv (p, b)', weights, 128));
    expect((await quantize(two, { place: 'pays', cpu: 'wasm' })).counts).toMatchObject({
      weighted: 2,
      saturation: 2,
    });
  });
});
