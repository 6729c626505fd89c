import { describe, expect, it } from 'vitest';
import { quantizeStatic } from '../../../../passes/quantize/quantize-static.ts';
import { auditModel } from '../../../../src/engine/audit.ts';
import { gramsOf } from '../../../../src/engine/grams.ts';
import { cloneModel } from '../../../../src/ir/clone.ts';
import { constantOf } from '../../../../src/ir/constant.ts';
import type { Model, Value } from '../../../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../../../src/ir/tensor.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';
import { verify } from '../../../../src/ir/verify.ts';
import type { Activations } from '../../../../src/pass/pass.ts';
import { layersOf } from '../../../support/activations.ts';
import { TestContext } from '../../../support/context.ts';
import { random } from '../../../support/differential.ts';
import { type Feeds, runOrt } from '../../../support/ort.ts';
import { activationsOf, head, type Options, sqnr } from './support.ts';

/** Inputs of which neighbours are alike, as in images, with a mean that is not zero. */
function alike(shape: readonly number[], count: number, seed: number): Feeds[] {
  const next = random(seed);
  const size = shape.reduce((a, b) => a * b, 1);
  return Array.from({ length: count }, () => {
    let last = 0;
    const data = Float32Array.from({ length: size }, () => (last = 0.9 * last + next() - 0.3));
    return new Map([['x', tensorFrom('float32', shape, data)]]);
  });
}

const contextWith = (activations: Activations | undefined) => Object.assign(new TestContext(), { activations });

async function quantize(text: string, feeds: readonly Feeds[], options: Options) {
  const model = parseModel(text);
  const activations = {
    ...activationsOf(feeds),
    grams: ((model, requests, visit) =>
      gramsOf(model, requests, () => feeds.map((one) => ({ feeds: one, size: 1 })), visit)) as ReturnType<
      typeof activationsOf
    >['grams'],
  };
  const ctx = contextWith(activations);
  await quantizeStatic.run(
    model,
    quantizeStatic({ minElements: 0, place: 'all', reduceRange: 'yes', ...options }).options as never,
    ctx,
  );
  expect(verify(model)).toEqual([]);
  return { model, counts: ctx.counts(), why: ctx.skips.map(({ rule, why }) => `${rule}: ${why}`) };
}

/** Mean over the samples, in dB. */
const quality = async (text: string, model: Model, feeds: readonly Feeds[]): Promise<number> => {
  const [expected, actual] = [await runOrt(parseModel(text), feeds), await runOrt(model, feeds)];
  return expected.reduce((sum, want, i) => sum + sqnr(want, actual[i]) / expected.length, 0);
};

const models: Readonly<Record<string, { text: string; shape: readonly number[]; audit: Record<string, number> }>> = {
  'Conv, a depthwise one with a Relu, and one in two groups': {
    shape: [1, 16, 10, 10],
    audit: { QLinearConv: 3 },
    text: head(
      13,
      `g (float[1,16,10,10] x) => (float[1,4,4,4] z) <float[8,16,3,3] w1 = random(1), float[8] b1 = {1,2,3,4,5,6,7,8}, float[8,1,3,3] w2 = random(2), float[4,4,3,3] w3 = random(3)> {
      a = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)  r = Relu (a)  d = Conv <group = 8, strides = [2, 2], auto_pad = "SAME_UPPER"> (r, w2)
      y = Conv <group = 2> (d, w3)  p = Pad <mode = "constant"> (y, pads)  z = Abs (p) }`.replace(
        'w3 = random(3)>',
        'w3 = random(3), int64[8] pads = {0,0,0,0,0,0,1,1}>',
      ),
    ),
  },
  'Gemm with transposed weights and alpha, Gemm without bias': {
    shape: [16, 48],
    audit: { QGemm: 2 },
    text: head(
      13,
      `g (float[16,48] x) => (float[16,20] y) <float[40,48] w1 = random(4), float[40] b1 = random(5), float[40,20] w2 = random(6)> {
      a = Gemm <transB = 1, alpha = 0.5> (x, w1, b1)  r = Relu (a)  y = Gemm (r, w2) }`,
    ),
  },
};

describe('weights of quantize-static', () => {
  it.each(Object.entries(models))(
    'gptq: %s come nearer on inputs that nothing was fitted to, and fuse as before',
    async (_, { text, shape, audit }) => {
      const [fit, fresh] = [alike(shape, 24, 1), alike(shape, 8, 2)];
      for (const perChannel of [true, false]) {
        const plain = await quantize(text, fit, { perChannel });
        const fitted = await quantize(text, fit, { perChannel, weights: 'gptq' });
        expect(fitted.counts.rounding).toBeGreaterThanOrEqual(2);
        expect(await quality(text, fitted.model, fresh)).toBeGreaterThan(
          (await quality(text, plain.model, fresh)) + 0.3,
        );
        expect((await auditModel(fitted.model)).fusedOps).toMatchObject(audit);
      }
    },
  );

  it('leaves wide layers to plain rounding where nobody asked for gptq, and says what it would take', async () => {
    const text = head(
      13,
      `g (float[8,12288] x) => (float[8,8] z) <float[12288,32] w = random(1), float[32,8] v = random(2)> { y = MatMul (x, w)  z = MatMul (y, v) }`,
    );
    const { why, counts } = await quantize(text, alike([8, 12288], 24, 1), { weights: 'auto' });
    expect(why.join()).toContain(
      'rounding: fitting its 12288 inputs with gptq would take about 113 s and 6.6 GB; --weights gptq asks for it',
    );
    expect(counts.rounding ?? 0).toBeLessThanOrEqual(1);
  });

  it('leaves layers whose weights are shared, and says so where nothing better is found', async () => {
    const text = head(
      13,
      `g (float[8,32] x) => (float[8,32] y) <float[32,32] w = random(1)> { a = MatMul (x, w)  b = Relu (a)  y = MatMul (b, w) }`,
    );
    const { why } = await quantize(text, alike([8, 32], 24, 1), { weights: 'gptq' });
    expect(why).toEqual(
      Array.from(
        { length: 2 },
        () => 'rounding: its weights "w" are shared: codes fitted to one layer would harm the other',
      ),
    );
    const few = await quantize(
      models['Gemm with transposed weights and alpha, Gemm without bias']?.text ?? '',
      alike([16, 48], 2, 1),
      { weights: 'gptq' },
    );
    expect(few.why.join()).toContain('rows of data are too few to fit its weights to');
  });
});

/** Mean of each column or channel over all samples. */
async function means(model: Model, name: string, feeds: readonly Feeds[], axis: number): Promise<Float64Array> {
  const value = [...model.graph.nodes].flatMap((node) => node.outputs).find((output) => output?.name === name);
  const stats = await layersOf(feeds).channels(model, [{ value: value as Value, axis }]);
  return stats.get(name)?.mean ?? new Float64Array();
}

describe('bias correction of quantize-static', () => {
  const { text, shape } = models['Conv, a depthwise one with a Relu, and one in two groups'] as (typeof models)[string];
  const fit = alike(shape, 12, 1);

  it('full: on its samples the mean of every channel of every layer is that of the float model', async () => {
    const { model, counts } = await quantize(text, fit, { correctBias: 'full' });
    expect(counts.bias).toBe(3);
    const float = parseModel(text);
    const plain = await quantize(text, fit, {});
    const off = async (quantized: Model, name: string): Promise<number> => {
      const expected = await means(float, name, fit, 1);
      const actual = await means(quantized, name, fit, 1);
      return Math.max(...expected.map((mean, c) => Math.abs(mean - (actual[c] as number))));
    };
    const steps = [...model.graph.initializers].filter((value) => /_bias_scale$|^b1_scale$/.test(value.name));
    expect(steps).toHaveLength(3);
    const halfStep = Math.max(...steps.flatMap((value) => [...typedArray(value.initializer as never, 'float32')])) / 2;
    for (const name of ['a', 'd', 'y']) {
      // What is left is half a step of the int32 bias.
      expect(await off(model, name)).toBeLessThan(halfStep + 1e-4);
      expect(await off(plain.model, name)).toBeGreaterThan(1.5 * (await off(model, name)));
    }
    expect((await auditModel(model)).fusedOps).toMatchObject({ QLinearConv: 3 });
  });

  it('fast: b + (W − Ŵ) · E[x]', async () => {
    const gemm = models['Gemm with transposed weights and alpha, Gemm without bias'] as (typeof models)[string];
    const feeds = alike(gemm.shape, 8, 3);
    const { model, counts } = await quantize(gemm.text, feeds, { correctBias: 'fast' });
    expect(counts.bias).toBe(2);
    const node = [...model.graph.nodes].find((one) => one.op === 'Gemm');
    const read = (index: number): { codes: ArrayLike<number>; scales: Float32Array } => {
      const inputs = node?.input(index)?.producer?.inputs ?? [];
      const codes = constantOf(inputs[0]);
      return {
        codes: codes?.dtype === 'int32' ? typedArray(codes, 'int32') : typedArray(codes as never, 'int8'),
        scales: typedArray(constantOf(inputs[1]) as never, 'float32'),
      };
    };
    const float = parseModel(gemm.text);
    const gemmNode = float.graph.firstNode;
    const w = typedArray(constantOf(gemmNode?.input(1)) as never, 'float32');
    const b = typedArray(constantOf(gemmNode?.input(2)) as never, 'float32');
    const [x] = float.graph.inputs;
    const mean = (await layersOf(feeds).channels(float, [{ value: x as Value, axis: -1 }])).get('x')
      ?.mean as Float64Array;
    const [weights, bias] = [read(1), read(2)];
    for (let row = 0; row < 40; row++) {
      let shift = 0;
      for (let i = 0; i < 48; i++)
        shift +=
          (0.5 * (w[row * 48 + i] as number) -
            (weights.codes[row * 48 + i] as number) * (weights.scales[row] as number)) *
          (mean[i] as number);
      const stored = (bias.codes[row] as number) * (bias.scales[row] as number);
      expect(stored).toBeCloseTo((b[row] as number) + shift, 3);
    }
  });

  it('fast: the mean of each input channel of a Gemm that turns its input, also where another layer reads the same value', async () => {
    const text = head(
      13,
      `g (float[48,48] x) => (float[48,40] y, float[48,40] z) <float[48,40] w = random(1), float[40] b = random(2), float[48,40] v = random(3)> {
  t = Relu (x)
  y = Gemm <transA = 1> (t, w, b)
  z = MatMul (t, v)
}`,
    );
    // Rows and columns of very different means.
    const feeds = alike([48, 48], 8, 3).map(
      (feed) =>
        new Map(
          [...feed].map(([name, tensor]) => [
            name,
            tensorFrom(
              'float32',
              tensor.shape,
              typedArray(tensor, 'float32').map((number, at) => Math.abs(number) * (Math.floor(at / 48) / 16)),
            ),
          ]),
        ),
    );
    const float = parseModel(text);
    const plain = await quantize(text, feeds, {});
    const { model, counts } = await quantize(text, feeds, { correctBias: 'fast' });
    expect(counts.bias).toBe(1);
    const expected = await means(float, 'y', feeds, 1);
    const off = async (quantized: Model): Promise<number> => {
      const actual = await means(quantized, 'y', feeds, 1);
      return Math.sqrt(expected.reduce((sum, mean, c) => sum + (mean - (actual[c] as number)) ** 2, 0));
    };
    expect(await off(model)).toBeLessThan(0.5 * (await off(plain.model)));
  });

  it('goes into the Add behind a MatMul, and is refused where nothing can take it', async () => {
    const text = head(
      13,
      `g (float[8,32] x) => (float[8,32] y, float[8,32] q) <float[32,32] w = random(1), float[32] b = random(2), float[32,32] v = random(3)> {
      a = MatMul (x, w)  y = Add (a, b)  c = MatMul (x, v)  q = Abs (c) }`,
    );
    const feeds = alike([8, 32], 8, 1);
    const { model, counts, why } = await quantize(text, feeds, { correctBias: 'full' });
    expect(counts.bias).toBe(1);
    expect(why.filter((one) => one.startsWith('bias'))).toEqual([
      'bias: it has no bias, and no Add of a float constant behind it that could take a correction',
    ]);
    const before = cloneModel(parseModel(text));
    const [expected, actual] = [await means(before, 'y', feeds, -1), await means(model, 'y', feeds, -1)];
    // As near as the int32 bias comes.
    for (const [c, value] of expected.entries()) expect(actual[c]).toBeCloseTo(value, 3);
  });
});
