import { describe, expect, it } from 'vitest';
import { quantizeWeights } from '../../../passes/quantize/quantize-weights.ts';
import { gramsOf } from '../../../src/engine/grams.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { addErrors, emptyErrorSums, sqnrDb } from '../../../src/kernels/error.ts';
import type { Activations } from '../../../src/pass/pass.ts';
import { layersOf } from '../../support/activations.ts';
import { TestContext } from '../../support/context.ts';
import { countOps } from '../../support/count-ops.ts';
import { edgeFeeds } from '../../support/differential.ts';
import { type Feeds, runOrt } from '../../support/ort.ts';
import { syntheticLayer } from '../../support/synthetic-layer.ts';

type Options = NonNullable<Parameters<typeof quantizeWeights>[0]>;

function dataOf(feeds: readonly Feeds[]): Activations {
  const unused = () => Promise.reject(new Error('quantize-weights asks for sums of squares'));
  const batches = () => feeds.map((one) => ({ feeds: one as Map<string, never>, size: 1 }));
  return {
    source: 'data',
    samples: feeds.length,
    ranges: unused,
    histograms: unused,
    grams: (model, requests, visit, how) => gramsOf(model, requests, batches, visit, undefined, how),
    layers: layersOf(feeds),
  };
}

async function quantize(model: Model, options: Options, activations?: Activations, signal?: AbortSignal) {
  const ctx = Object.assign(new TestContext(), { activations, ...(signal && { signal }) });
  const { changed } = await quantizeWeights.run(model, quantizeWeights(options).options as never, ctx);
  return { changed, details: ctx.applications.map(({ detail }) => detail ?? '') };
}

const head = (body: string, opset = 21): string => `<ir_version: 10, opset_import: ["" : ${opset}]>\n${body}`;

const [k, n] = [128, 48];
const layer = syntheticLayer(k, n);
const rowsOf = (count: number, seed: number): Feeds =>
  new Map([['x', tensorFrom('float32', [count, k], layer.rows(count, seed))]]);

function syntheticModel(): Model {
  const model = parseModel(
    head(
      `g (float[m,${k}] x) => (float[m,${n}] y) <float[${k},${n}] w = random(1)> { h = Identity (x)  y = MatMul (h, w) }`,
    ),
  );
  for (const value of [...model.graph.initializers]) value.tensor = tensorFrom('float32', [k, n], layer.weights);
  return model;
}

/** Signal-to-noise ratio of the outputs of rows that nothing was fitted to, in float32 arithmetic. */
async function outputDb(options: Options, activations?: Activations): Promise<number> {
  const base = syntheticModel();
  const model = cloneModel(base);
  await quantize(model, { accuracyLevel: 1, ...options }, activations);
  expect(countOps(model)['com.microsoft.MatMulNBits']).toBe(1);
  const fresh = [rowsOf(512, 999)];
  const [expected] = await runOrt(base, fresh);
  const [actual] = await runOrt(model, fresh);
  const numbers = (result: typeof expected) => typedArray(result?.get('y') as never, 'float32');
  return sqnrDb(addErrors(emptyErrorSums(), numbers(expected), numbers(actual)));
}

describe('methods of quantize-weights', () => {
  it('leave wide layers to kquant unless gptq is asked for by name, and refuse what the memory does not hold', async () => {
    const wide = head(`g (float[m,25088] x) => (float[m,8] y) <float[25088,8] w = random(1)> { y = MatMul (x, w) }`);
    const data: Activations = {
      ...dataOf([]),
      grams: (_, requests) => (requests.length === 0 ? Promise.resolve() : Promise.reject(new Error('summed up'))),
    };
    const left = await quantize(parseModel(wide), {}, data);
    expect(left.details.join()).toContain(
      'kquant, since fitting its 25088 inputs with gptq would take about 2846 s and 25.2 GB; --method gptq asks for it',
    );
    const activations: { activations: Activations | undefined } = { activations: data };
    const ctx = Object.assign(new TestContext(), activations);
    Object.assign(ctx.compute, { freeBytes: () => 8e9 });
    const asked = quantizeWeights({ method: 'gptq' }).options as never;
    await expect(async () => await quantizeWeights.run(parseModel(wide), asked, ctx)).rejects.toThrow(
      /25088 inputs: fitting them with gptq takes about 25\.2 GB of memory, and 8\.0 GB are free.*--keep/,
    );
    const clip = await quantize(parseModel(wide), { method: 'clip' }, { ...data, grams: () => Promise.resolve() });
    expect(clip.details).toHaveLength(1);
  });

  it('keep more of a layer with correlated inputs than rounding does, without and with data', async () => {
    const data = dataOf([rowsOf(1024, 5), rowsOf(1024, 6)]);
    const plain = await outputDb({ method: 'rtn', symmetric: false });
    expect(await outputDb({ method: 'clip', symmetric: false })).toBeGreaterThan(plain + 0.1);
    expect(await outputDb({ method: 'kquant', symmetric: false })).toBeGreaterThan(plain + 0.2);
    expect(await outputDb({ method: 'hqq', realZeros: true })).toBeGreaterThan(plain + 0.3);
    // With zero points rounded to codes little is left of it.
    expect(await outputDb({ method: 'hqq' })).toBeGreaterThan(plain - 0.1);
    expect(await outputDb({ method: 'clip', symmetric: false }, data)).toBeGreaterThan(plain + 0.5);
    expect(await outputDb({ method: 'awq', symmetric: false }, data)).toBeGreaterThan(plain + 0.5);
    expect(await outputDb({ method: 'gptq', symmetric: false }, data)).toBeGreaterThan(plain + 2);
    expect(await outputDb({}, data)).toBe(await outputDb({ method: 'gptq' }, data));
    expect(await outputDb({})).toBe(await outputDb({ method: 'kquant' }));
  });

  it('hqq gives tied embeddings zero points that their lookup takes, and other layers real ones', async () => {
    const before = parseModel(
      head(`g (int64[2] i) => (float[2,40] y) <float[40,64] w = random(1), float[64,64] v = random(2)> {
        a = Gather (w, i)  b = MatMul (a, v)  t = Transpose (w)  y = MatMul (b, t) }`),
    );
    const after = cloneModel(before);
    await quantize(after, { method: 'hqq', realZeros: true, minElements: 0 });
    const zeros = [...after.graph.initializers].filter(({ name }) => name.endsWith('zero_points'));
    expect(zeros.map(({ name, dtype }) => `${name} ${dtype}`).sort()).toEqual([
      'v_zero_points float32',
      'w_zero_points uint8',
    ]);
    const feeds = [new Map([['i', tensorFrom('int64', [2], BigInt64Array.of(3n, -1n))]])];
    const read = async (model: Model) =>
      typedArray((await runOrt(model, feeds))[0]?.get('y') as never, 'float32') as Float32Array;
    expect(sqnrDb(addErrors(emptyErrorSums(), await read(before), await read(after)))).toBeGreaterThan(15);
  });

  it.each([1, 2, 3, 4])('gptq with fewer rows than inputs is never below rounding (seed %i)', async (seed) => {
    const data = dataOf([rowsOf(k / 2, seed)]);
    for (const symmetric of [true, false]) {
      const plain = await outputDb({ method: 'rtn', symmetric });
      const fitted = await outputDb({ method: 'gptq', symmetric }, data);
      expect(fitted).toBeGreaterThanOrEqual(plain);
      // Nor, but for the luck of a dozen rows, below what there would be without data.
      expect(fitted).toBeGreaterThan((await outputDb({ method: 'kquant', symmetric })) - 0.3);
    }
  });

  it('gptq says what it reached on rows it was not fitted to, and gives way when they are too few', async () => {
    const enough = await quantize(syntheticModel(), { method: 'gptq', symmetric: true }, dataOf([rowsOf(400, 5)]));
    expect(enough.details[0]).toMatch(
      /^128×48 weights in 4 bits, 2\d\.\d dB at the output with gptq \(rtn \d\d\.\d dB\), on rows it was not fitted to$/,
    );
    const few = await quantize(syntheticModel(), { method: 'gptq', symmetric: true }, dataOf([rowsOf(30, 5)]));
    expect(few.details[0]).toMatch(/dB; kquant, since 30 rows of data are too few$/);
  });

  it('gptq rounds when inputs are all zero, and takes layers of branches as they are', async () => {
    const zeros = new Map([['x', tensorFrom('float32', [400, k], new Float32Array(400 * k))]]);
    const { details } = await quantize(syntheticModel(), { method: 'gptq', symmetric: true }, dataOf([zeros]));
    expect(details[0]).toContain('with rtn');
    const branch = parseModel(
      head(`g (float[m,64] x, bool c) => (float[m,64] y) <float[64,64] w = random(1)> {
        y = If <then_branch = t () => (float[m,64] a) { a = MatMul (x, w) }, else_branch = e () => (float[m,64] b) { b = Neg (x) }> (c)
      }`),
    );
    const feeds = edgeFeeds(branch, 1, { m: 3 }).slice(0, 1);
    expect((await quantize(branch, { method: 'gptq' }, dataOf(feeds))).changed).toBe(true);
    expect(verify(branch)).toEqual([]);
  });

  it('gptq without data, and hqq in a form that cannot hold it, are refused', async () => {
    const run = (options: Options) => quantize(syntheticModel(), options);
    await expect(run({ method: 'gptq' })).rejects.toThrow(/--method gptq fits the weights to samples.*--data/);
    await expect(run({ method: 'awq' })).rejects.toThrow(/--method awq fits the weights to samples.*--data/);
    await expect(run({ method: 'hqq', realZeros: true, format: 'qdq' })).rejects.toThrow(/held by DequantizeLinear/);
    await expect(run({ method: 'hqq', realZeros: true, bits: 8 })).rejects.toThrow(/4 and 2 bits only/);
    await expect(run({ method: 'rtn', realZeros: true })).rejects.toThrow(/--method hqq finds/);
    await expect(run({ format: 'bnb4', bits: 8 })).rejects.toThrow(/takes --bits 4 only/);
    await expect(run({ format: 'bnb4', method: 'clip' })).rejects.toThrow(/--method rtn only/);
    await expect(run({ layer: ['w'] })).rejects.toThrow(/--layer takes NAME=BITS/);
    await expect(run({ layer: ['w=5'] })).rejects.toThrow(/not "w=5"/);
  });

  it('gptq stops when told', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(quantize(syntheticModel(), { method: 'gptq' }, dataOf([rowsOf(400, 1)]), signal)).rejects.toThrow(
      'enough',
    );
  });

  const forms = (['clip', 'kquant', 'hqq', 'awq', 'gptq'] as const).flatMap((method) =>
    ([2, 3, 4, 8] as const).flatMap((bits) =>
      (['matmul-nbits', 'qdq'] as const).flatMap((format) =>
        [true, false].map((symmetric) => ({ method, bits, format, symmetric })),
      ),
    ),
  );
  const possible = forms.filter(
    ({ method, bits, format, symmetric }) => !(method === 'hqq' && symmetric) && !(bits === 2 && format === 'qdq'),
  );
  it.each(possible)('run in ONNX Runtime and settle: %o', async (options) => {
    // A tail block, shared activations, a Gemm with alpha and [N, K] weights, a layer of halves.
    const base = parseModel(
      head(`g (float[m,83] x) => (float[m,24] y, float[m,40] z, float16[m,24] p) <float[83,24] w = random(1), float[40,83] v = random(2), float16[83,24] u = random(3)> {
        h = Tanh (x)  y = MatMul (h, w)  z = Gemm <transB = 1, alpha = 0.5> (h, v)
        q = Cast <to = 10> (h)  p = MatMul (q, u)
      }`),
    );
    const feeds = edgeFeeds(base, 3, { m: 60 });
    const model = cloneModel(base);
    const given: Options = { ...options, block: 16, minElements: 0 };
    const { details } = await quantize(model, given, dataOf(feeds));
    expect(details.filter((detail) => detail.includes('weights in'))).toHaveLength(3);
    expect(verify(model)).toEqual([]);
    const [expected] = await runOrt(base, feeds.slice(0, 1));
    for (const level of ['disabled', 'all'] as const) {
      const [actual] = await runOrt(model, feeds.slice(0, 1), level);
      for (const name of ['y', 'z']) {
        const numbers = (result: typeof expected) => typedArray(result?.get(name) as never, 'float32');
        const db = sqnrDb(addErrors(emptyErrorSums(), numbers(expected), numbers(actual)));
        expect(db).toBeGreaterThan({ 2: 1, 3: 8, 4: 15, 8: 30 }[options.bits]);
      }
    }
    expect((await quantize(model, given, dataOf(feeds))).changed).toBe(false);
  });
});

it('says where the weights are when nothing has a form in blocks', async () => {
  const model = parseModel(
    '<ir_version: 8, opset_import: ["" : 17]> g (float[1,8,4,4] x) => (float[1,16,4,4] y) <float[16,8,1,1] w = random(1)> { y = Conv (x, w) }',
  );
  const ctx = new TestContext();
  const { changed } = await quantizeWeights.run(model, quantizeWeights().options as never, ctx);
  expect(changed).toBe(false);
  expect(ctx.skips.map(({ why }) => why)).toEqual([expect.stringContaining('1 Conv: only MatMul and Gemm')]);
});
