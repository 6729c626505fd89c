import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cpuProfile } from '../../../passes/quantize/cpu.ts';
import { quantizeDynamic } from '../../../passes/quantize/quantize-dynamic.ts';
import { openSession } from '../../../src/engine/session.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model, Value } from '../../../src/ir/graph.ts';
import { type Tensor, tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { decodeModel } from '../../../src/onnx/decode.ts';
import { encodeModel } from '../../../src/onnx/encode.ts';
import { TestContext } from '../../support/context.ts';
import { countOps } from '../../support/count-ops.ts';
import { calmFillings, edgeFeeds, violations } from '../../support/differential.ts';
import { signature } from '../../support/golden.ts';
import { runOrt } from '../../support/ort.ts';

const head = (opset: number, body: string, ir = 8): string =>
  `<ir_version: ${ir}, opset_import: ["" : ${opset}]>\n${body}`;

async function quantize(model: Model, options: Parameters<typeof quantizeDynamic>[0] = {}) {
  const ctx = new TestContext();
  const { changed } = await quantizeDynamic.run(model, quantizeDynamic(options).options as never, ctx);
  return { changed, counts: ctx.counts(), skips: ctx.skips.map(({ rule, why }) => `${rule}: ${why}`) };
}

/** Operators of the graph that ONNX Runtime makes of the model at level extended. */
async function optimized(model: Model): Promise<Record<string, number>> {
  const dir = mkdtempSync(join(tmpdir(), 'mlpack-opt-'));
  try {
    const path = join(dir, 'o.onnx');
    const session = await openSession(encodeModel(model), {
      graphOptimizationLevel: 'extended',
      optimizedModelFilePath: path,
    });
    await session.dispose();
    return countOps(decodeModel(readFileSync(path)));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function holds(text: string, minDb: number, options: Parameters<typeof quantizeDynamic>[0] = {}) {
  const before = parseModel(text);
  const after = cloneModel(before);
  const result = await quantize(after, options);
  expect(verify(after)).toEqual([]);
  expect(signature(after)).toBe(signature(before));
  const feeds = edgeFeeds(before, 5, {}, {}, [calmFillings[0] as (typeof calmFillings)[0]]);
  const [expected] = await runOrt(before, feeds);
  for (const level of ['disabled', 'all'] as const) {
    const [actual] = await runOrt(after, feeds, level);
    if (!expected || !actual) throw new Error('no outputs');
    expect(violations(expected, actual, { kind: 'lossy', sqnrDb: minDb }), level).toEqual([]);
  }
  expect((await quantize(after, options)).changed).toBe(false);
  return { before, after, ...result };
}

describe('quantize-dynamic', () => {
  const matmul = head(13, 'g (float[5,64] x) => (float[5,48] y) <float[64,48] w = random(1)> { y = MatMul (x, w) }');

  it('turns MatMul into the form that ONNX Runtime fuses', async () => {
    const { after, counts } = await holds(matmul, 30);
    expect(counts).toEqual({ linear: 1 });
    expect(countOps(after)).toEqual({ DynamicQuantizeLinear: 1, MatMulInteger: 1, Cast: 1, Mul: 2 });
    expect(await optimized(after)).toEqual({ 'com.microsoft.DynamicQuantizeMatMul': 1 });
  });

  it('works with unsigned weights, whose zero point is 128', async () => {
    const { after } = await holds(matmul, 30, { weights: 'u8' });
    expect(await optimized(after)).toEqual({ 'com.microsoft.DynamicQuantizeMatMul': 1 });
    const zero = [...after.graph.initializers].find((value) => value.name.endsWith('zero_point'));
    expect(zero?.dtype).toBe('uint8');
    expect(zero?.initializer?.bytes()).toEqual(Uint8Array.of(128));
  });

  interface Codes {
    readonly codes: Int8Array;
    readonly k: number;
    /** Between neighbours along K, and between output channels. */
    readonly strides: readonly [k: number, n: number];
  }
  /** The [K, N] matrices of the weights; tables stand as embeddings read them, [N, K], turned for the layer. */
  const matricesOf = (model: Model): Codes[] =>
    [...model.graph.initializers].flatMap(({ initializer, name }) => {
      if (initializer?.dtype !== 'int8' || initializer.shape.length < 2) return [];
      const [rows = 1, columns = 1] = initializer.shape.slice(-2);
      const all = typedArray(initializer, 'int8');
      const [size, turned] = [rows * columns, name.includes('table')];
      return Array.from({ length: all.length / size }, (_, i) => ({
        codes: all.subarray(i * size, (i + 1) * size),
        k: turned ? columns : rows,
        strides: turned ? [1, columns] : [columns, 1],
      }));
    });
  const largestPair = ({ codes, k, strides: [along, across] }: Codes): number => {
    let largest = 0;
    for (let n = 0; n < codes.length / k; n++) {
      for (let at = 0; at + 1 < k; at += 2) {
        const first = codes[n * across + at * along] as number;
        largest = Math.max(largest, Math.abs(first + (codes[n * across + (at + 1) * along] as number)));
      }
    }
    return largest;
  };

  it.each([
    ['MatMul', matmul],
    [
      'Gemm',
      'g (float[5,64] x) => (float[5,40] y) <float[40,64] w = random(1, -1, 2)> { y = Gemm <transB = 1> (x, w) }',
    ],
    [
      'batched MatMul of an odd K',
      'g (float[2,5,63] x) => (float[2,5,40] y) <float[2,63,40] w = random(1)> { y = MatMul (x, w) }',
    ],
    [
      'tied embedding',
      'g (int64[5] i) => (float[5,40] y) <float[40,64] table = random(1)> { h = Gather (table, i)  y = Gemm <transB = 1> (h, table) }',
    ],
    [
      'LSTM',
      'g (float[7,3,16] x) => (float[7,2,3,16] y) <float[2,64,16] w = random(1), float[2,64,16] r = random(2)> { y = LSTM <direction = "bidirectional", hidden_size = 16> (x, w, r) }',
    ],
  ])('%s: weights have as many bits as no pair of products can saturate with', async (_, text) => {
    const most = async (options: Parameters<typeof quantizeDynamic>[0]): Promise<[code: number, pair: number]> => {
      const model = parseModel(head(13, text.includes('<ir_version') ? text.slice(text.indexOf('\n') + 1) : text));
      await quantize(model, { minElements: 1, ...options });
      const matrices = matricesOf(model);
      expect(matrices.length).toBeGreaterThan(0);
      const codes = matrices.flatMap(({ codes }) => [...codes].map(Math.abs));
      return [codes.reduce((a, b) => Math.max(a, b), 0), Math.max(...matrices.map(largestPair))];
    };
    // 255 · 128 = 32640 fits 16 bits, and 255 · 129 does not.
    for (const cpu of ['auto', 'avx2', 'avx512'] as const) {
      for (const ranges of ['minmax', 'mse'] as const) {
        const [code, pair] = await most({ cpu, ranges });
        expect(pair, cpu).toBeLessThanOrEqual(128);
        expect(code, cpu).toBeGreaterThan(64);
      }
    }
    const [code, pair] = await most({ cpu: 'vnni' });
    expect(code).toBe(127);
    expect(pair).toBeGreaterThan(128);
    expect((await most({ cpu: 'vnni', reduceRange: 'yes' }))[0]).toBe(64);
    expect((await most({ cpu: 'avx2', reduceRange: 'no' }))[0]).toBe(127);
  });

  it.each([
    [
      'a head behind a pool',
      'MatMul',
      'h = Relu (x)  p = GlobalAveragePool (h)  f = Flatten (p)  y = MatMul (f, w)',
      512,
    ],
    ['a convolution stored in 8 bits', 'Conv', 'h = Sigmoid (x)  y = Conv (h, w)', 64],
  ])('%s keeps what the mean of its inputs adds', async (_, op, body, channels) => {
    const shape = op === 'Conv' ? `40,${channels},3,3` : `${channels},40`;
    const text = head(
      13,
      `g (float[4,${channels},6,6] x) => (float[${op === 'Conv' ? '4,40,4,4' : '4,40'}] y) <float[${shape}] w = random(4)> { ${body} }`,
    );
    const after = parseModel(text);
    await quantize(after);
    // The same with each weight rounded to nearest.
    const nearest = cloneModel(after);
    const [weights, scales] = ['w_quantized', 'w_scale'].map(
      (name) => [...nearest.graph.initializers].find((value) => value.name === name) as Value,
    );
    const plain = [...parseModel(text).graph.initializers].find(({ name }) => name === 'w')?.tensor as Tensor;
    const perRow = op === 'Conv' ? (at: number) => Math.floor(at / (channels * 9)) : (at: number) => at % 40;
    const steps = typedArray(scales?.tensor as Tensor, 'float32');
    const codes = Int8Array.from(typedArray(plain, 'float32'), (w, at) =>
      Math.round(w / (steps[perRow(at)] as number)),
    );
    (weights as Value).tensor = tensorFrom('int8', plain.shape, codes);
    const feeds = edgeFeeds(after, 4, {}, {}, [calmFillings[0] as (typeof calmFillings)[0]]);
    const run = async (model: Model): Promise<Float32Array> => {
      const [outputs] = await runOrt(model, feeds);
      return typedArray(outputs?.get('y') as Tensor, 'float32');
    };
    const expected = await run(parseModel(text));
    const noise = async (model: Model): Promise<number> => {
      const actual = await run(model);
      return expected.reduce((sum, value, at) => sum + (value - (actual[at] as number)) ** 2, 0);
    };
    expect(await noise(after)).toBeLessThan((await noise(nearest)) / 1.5);
  });

  it('shares one quantized activation among its readers', async () => {
    const { after } = await holds(
      head(
        13,
        `g (float[5,64] x) => (float[5,32] q, float[5,32] k) <float[64,32] a = random(1), float[64,32] b = random(2)> {
        h = Relu (x)  q = MatMul (h, a)  k = MatMul (h, b)
      }`,
      ),
      28,
    );
    expect(countOps(after)).toMatchObject({ DynamicQuantizeLinear: 1, MatMulInteger: 2 });
    expect(await optimized(after)).toMatchObject({ 'com.microsoft.MatMulIntegerToFloat': 2, DynamicQuantizeLinear: 1 });
  });

  it('quantizes a shared weight once', async () => {
    const { after, counts } = await holds(
      head(
        13,
        `g (float[5,64] x) => (float[5,64] y) <float[64,64] w = random(1)> { h = MatMul (x, w)  r = Tanh (h)  y = MatMul (r, w) }`,
      ),
      24,
    );
    expect(counts).toEqual({ linear: 2 });
    expect([...after.graph.initializers].filter((value) => value.dtype === 'int8')).toHaveLength(1);
  });

  it.each([
    [
      'transB, alpha, beta and a bias',
      '<transB = 1, alpha = 0.5, beta = 2.0> (x, w, c)',
      'float[48,64] w = random(1), float[48] c = random(2)',
      'float[5,64]',
    ],
    ['transA', '<transA = 1> (x, w)', 'float[64,48] w = random(1)', 'float[64,5]'],
    [
      'a bias that is an activation, with beta',
      '<beta = 0.5> (x, w, b)',
      'float[64,48] w = random(1)',
      'float[5,64]',
      ', float[5,48] b',
    ],
    ['no bias', '(x, w)', 'float[64,48] w = random(1)', 'float[5,64]'],
  ])('Gemm with %s', async (_, call, constants, shape, more = '') => {
    const attrs = call.startsWith('<') ? call.slice(0, call.indexOf('>') + 1) : '';
    const text = head(
      13,
      `g (${shape} x${more}) => (float[5,48] y) <${constants}> { y = Gemm ${attrs} ${call.slice(attrs.length)} }`,
    );
    const { after, counts } = await holds(text, 28);
    expect(counts).toEqual({ linear: 1 });
    expect(countOps(after).Gemm).toBeUndefined();
  });

  it('batched weights, each matrix with its own scales', async () => {
    const { after } = await holds(
      head(13, 'g (float[3,5,64] x) => (float[3,5,32] y) <float[3,64,32] w = random(1)> { y = MatMul (x, w) }'),
      30,
    );
    expect(countOps(after).MatMulInteger).toBe(1);
  });

  it('weights behind a Transpose', async () => {
    const { after } = await holds(
      head(
        13,
        'g (float[5,64] x) => (float[5,48] y) <float[48,64] w = random(1)> { t = Transpose <perm = [1, 0]> (w)  y = MatMul (x, t) }',
      ),
      30,
    );
    expect(countOps(after).Transpose).toBeUndefined();
  });

  it('inside an If branch, with weights and activations of the outer graph', async () => {
    const { after } = await holds(
      head(
        13,
        `g (float[5,64] x, bool c) => (float[5,48] y) <float[64,48] w = random(1)> {
        h = Tanh (x)
        y = If <then_branch = t () => (float[5,48] a) { a = MatMul (h, w) }, else_branch = e () => (float[5,48] b) { m = MatMul (h, w)  b = Neg (m) }> (c)
      }`,
      ),
      28,
    );
    expect([...after.graph.initializers].filter((value) => value.dtype === 'int8')).toHaveLength(1);
    expect(countOps(after).DynamicQuantizeLinear).toBe(2);
  });

  it.each([
    ['forward', '', 'float[1,64,16] w = random(1), float[1,64,16] r = random(2), float[1,128] b = random(3)', 1],
    [
      'bidirectional',
      'direction = "bidirectional", ',
      'float[2,64,16] w = random(1), float[2,64,16] r = random(2), float[2,128] b = random(3)',
      2,
    ],
  ])('LSTM, %s', async (_, attrs, constants, directions) => {
    const { after, counts } = await holds(
      head(
        13,
        `g (float[7,3,16] x) => (float[7,${directions},3,16] y, float[${directions},3,16] h) <${constants}> { y, h = LSTM <${attrs}hidden_size = 16> (x, w, r, b) }`,
      ),
      25,
    );
    expect(counts).toEqual({ lstm: 1 });
    expect(countOps(after)).toEqual({ 'com.microsoft.DynamicQuantizeLSTM': 1 });
    expect(after.opsets.get('com.microsoft')).toBe(1);
  });

  it('embedding tables, tied ones too once the product has weights of its own', async () => {
    const { after, counts } = await holds(
      head(
        13,
        `g (int64[2,3] ids) => (float[2,3,96] y) <float[96,32] table = random(1)> {
        h = Gather (table, ids)  t = Transpose <perm = [1, 0]> (table)  y = MatMul (h, t)
      }`,
      ),
      28,
    );
    expect(counts).toEqual({ linear: 1, embedding: 1 });
    expect([...after.graph.initializers].every((value) => value.name !== 'table')).toBe(true);
  });

  it('an all-zero column stays zero', async () => {
    const model = parseModel(
      head(13, 'g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1, 0, 2, 0}> { y = MatMul (x, w) }'),
    );
    const feeds = edgeFeeds(model, 1);
    await quantize(model, { minElements: 0 });
    for (const result of await runOrt(model, feeds)) {
      const y = typedArray(result.get('y') as never, 'float32');
      expect([y[1], y[3]].map((x) => Math.abs(x ?? 1))).toEqual([0, 0]);
    }
  });

  const why = async (text: string, options: Parameters<typeof quantizeDynamic>[0] = {}): Promise<string[]> => {
    const { changed, skips } = await quantize(parseModel(text), options);
    expect(changed).toBe(false);
    return skips;
  };

  it.each([
    [
      'Conv',
      'g (float[1,16,8,8] x) => (float[1,16,6,6] y) <float[16,16,3,3] w = random(1), float[16] b = random(2)> { y = Conv (x, w, b) }',
    ],
    [
      'ConvTranspose',
      'g (float[1,16,8,8] x) => (float[1,8,10,10] y) <float[16,8,3,3] w = random(1)> { y = ConvTranspose (x, w) }',
    ],
    [
      'GRU',
      'g (float[7,3,16] x) => (float[7,1,3,16] y) <float[1,48,16] w = random(1), float[1,48,16] r = random(2)> { y = GRU <hidden_size = 16> (x, w, r) }',
    ],
    [
      'RNN',
      'g (float[7,3,16] x) => (float[7,2,3,32] y) <float[2,32,16] w = random(1), float[2,32,32] r = random(2)> { y = RNN <hidden_size = 32, direction = "bidirectional"> (x, w, r) }',
    ],
    [
      'a Conv in a branch',
      'g (float[1,16,8,8] x, bool c) => (float[1,16,6,6] y) <float[16,16,3,3] w = random(1)> { y = If <then_branch = t () => (float[1,16,6,6] p) { p = Conv (x, w) }, else_branch = e () => (float[1,16,6,6] q) { m = Neg (x)  q = Conv (m, w) }> (c) }',
    ],
  ])('stores the weights of %s in 8 bits, which ONNX Runtime expands at load', async (_, body) => {
    const { after, counts } = await holds(head(13, body), 30, { minElements: 512 });
    expect(counts.stored).toBeGreaterThan(0);
    const ops = await optimized(after);
    expect(ops.Cast).toBeUndefined();
    expect(ops.Mul).toBeUndefined();
    const stored = [...after.graph.initializers].filter((value) => value.dtype === 'int8');
    expect(stored.length).toBeGreaterThan(0);
    expect([...after.graph.initializers].some((value) => value.name === 'w')).toBe(false);
    expect((await quantize(parseModel(head(13, body)), { stored: false, minElements: 512 })).changed).toBe(false);
  });

  it('makes integer convolutions when asked, with unsigned weights', async () => {
    const text = head(
      13,
      'g (float[1,16,8,8] x) => (float[1,8,4,4] y) <float[8,8,3,3] w = random(1), float[8] b = random(2)> { y = Conv <group = 2, strides = [2, 2], pads = [1, 1, 1, 1]> (x, w, b) }',
    );
    const { after, counts } = await holds(text, 30, { conv: true, minElements: 0 });
    expect(counts).toEqual({ conv: 1 });
    expect([...after.graph.nodes].find(({ op }) => op === 'ConvInteger')?.input(1)?.dtype).toBe('uint8');
  });

  it.each([{ minElements: 0 }, { minElements: 0, conv: true }])(
    'keeps what a convolution makes of an even area within a step: %j',
    async (options) => {
      const body = 'g (float[4,4,7,7] x) => (float[4,16,3,3] y) <float[16,4,5,5] w = random(1)> { y = Conv (x, w) }';
      const model = parseModel(head(13, body));
      const weights = typedArray(
        [...model.graph.initializers].find(({ name }) => name === 'w')?.initializer as Tensor,
        'float32',
      ).slice();
      await quantize(model, options);
      // One input channel of ones in each sample: the output is the sum over its window.
      const x = new Float32Array(4 * 4 * 49);
      for (let channel = 0; channel < 4; channel++) x.fill(1, channel * 5 * 49, (channel * 5 + 1) * 49);
      const [result] = await runOrt(model, [new Map([['x', tensorFrom('float32', [4, 4, 7, 7], x)]])]);
      const y = typedArray(result?.get('y') as Tensor, 'float32');
      for (let at = 0; at < 64; at++) {
        const [channel, output] = [Math.floor(at / 16), at % 16];
        const own = weights.subarray(output * 100, (output + 1) * 100);
        const step = own.reduce((most, w) => Math.max(most, Math.abs(w)), 0) / 127;
        const exact = own.subarray(channel * 25, (channel + 1) * 25).reduce((sum, w) => sum + w, 0);
        expect(Math.abs((y[at * 9] as number) - exact)).toBeLessThan(1.001 * step);
      }
    },
  );

  it('quantizes fused attention, whose products of activations stay in float', async () => {
    const attention = (inputs: string, attrs = '') =>
      `<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
g (float[2,6,32] x) => (float[2,6,32] y) <float[32,96] w = random(1), float[96] b = random(2), float[2,4,6,6] bias = random(3)> {
  y = com.microsoft.Attention <num_heads = 4${attrs}> (x, w, ${inputs})
}`;
    for (const weights of ['s8', 'u8'] as const) {
      const { after, counts } = await holds(attention('b'), 25, { weights });
      expect(counts).toEqual({ attention: 1 });
      expect(countOps(after)['com.microsoft.QAttention']).toBe(1);
    }
    expect(await why(attention('b, , , bias'))).toEqual(['attention: it has attention_bias, which QAttention has not']);
    expect(await why(attention('b', ', qkv_hidden_sizes = [32, 32, 32]'))).toEqual([
      'attention: it has qkv_hidden_sizes, which QAttention has not',
    ]);
  });

  it('stores a table once that an output layer shares', async () => {
    for (const product of [
      't = Transpose <perm = [1, 0]> (table)  y = MatMul (h, t)',
      'y = Gemm <transB = 1> (h, table)',
    ]) {
      const text = head(
        13,
        `g (int64[5] i) => (float[5,40] y) <float[40,64] table = random(1)> { h = Gather (table, i)  ${product} }`,
      );
      const { after, counts } = await holds(text.replace('int64[5] i', 'int64[5] i'), 25);
      expect(counts).toEqual({ linear: 1, embedding: 1 });
      const bytes = [...after.graph.initializers].reduce((sum, value) => sum + (value.tensor?.byteLength ?? 0), 0);
      expect(bytes).toBe(40 * 64 + 2 * 4 * 40);
      expect((await optimized(after)).Transpose).toBeUndefined();
    }
  });

  it('takes function bodies, raises old opsets, and gives WebAssembly unsigned weights', async () => {
    const inside = await holds(
      `<ir_version: 8, opset_import: ["" : 17, "my" : 1]>
g (float[3,64] x) => (float[3,32] y) { y = my.F (x) }
<domain: "my", opset_import: ["" : 17]>
F (x) => (y) {
  w = Constant <value = float[64,32] random(1)> ()
  y = MatMul (x, w)
}`,
      30,
    );
    expect(inside.counts).toEqual({ linear: 1 });
    const old = parseModel(
      head(9, 'g (float[2,64] x) => (float[2,32] y) <float[64,32] w = random(1)> { y = MatMul (x, w) }'),
    );
    expect((await quantize(old)).counts).toEqual({ opset: 1, linear: 1 });
    expect(old.opset).toBe(13);
    await runOrt(old, edgeFeeds(old, 1), 'all');
    const web = await holds(matmul, 30, { cpu: 'wasm' });
    expect(
      [...web.after.graph.initializers].some((value) => value.dtype === 'uint8' && value.shape?.length === 2),
    ).toBe(true);
  });

  it('leaves what it must leave, each with a reason', async () => {
    const linear = (constants: string, opset = 13, options = {}) =>
      why(head(opset, `g (float[2,64] x) => (float[2,32] y) <${constants}> { y = MatMul (x, w) }`), options);
    expect(await linear('float[64,32] w = random(1)', 6)).toEqual([
      'opset: opset 6 is too old to be raised: export the model with opset 13 or later',
      'linear: opset 6 has no DynamicQuantizeLinear: export the model with opset 11 or later',
    ]);
    expect(
      await why(
        head(13, 'g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1e-42, 1e-43, 2e-42, 0}> { y = MatMul (x, w) }'),
        {
          minElements: 0,
        },
      ),
    ).toEqual([
      'linear: its weights "w" are too small to be scaled: the largest is 2.0e-42, for which the scale would be below the smallest float32 number',
    ]);
    expect(
      await why(
        head(
          13,
          'g (float[2,64] x, float[64,32] w) => (float[2,32] y) <float[64,32] w = random(1)> { y = MatMul (x, w) }',
        ),
      ),
    ).toEqual([
      'linear: its weights "w" are a graph input too, so a caller may replace them: make them a plain initializer',
    ]);
    expect(
      await why(head(13, 'g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1, nan, 2, 3}> { y = MatMul (x, w) }'), {
        minElements: 0,
      }),
    ).toEqual(['linear: its weights "w" hold NaN or infinite numbers']);
    expect(
      await why(head(13, 'g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1, 1, 2, 3}> { y = MatMul (x, w) }')),
    ).toEqual(['linear: its weights "w" have 4 elements: below 1024 there is nothing to gain (--min-elements)']);
    expect(await why(head(13, 'g (float[2,64] x) => (float[2,2] y) { t = Transpose (x)  y = MatMul (x, t) }'))).toEqual(
      ['linear: it multiplies two activations ("x" and "t"): there are no weights to quantize'],
    );
    expect(await linear('float[64,32] w = random(1)', 13, { keep: ['MatMul'] })).toEqual([
      'linear: you asked for it to stay as it is (--keep)',
    ]);
    expect(
      await why(
        head(
          13,
          'g (int64[3] i, float[96,32] u) => (float[3,32] y, float[96,32] z) <float[96,32] t = random(1)> { y = Gather (t, i)  z = Add (t, u) }',
        ),
      ),
    ).toEqual([
      'embedding: its table "t" is also read by Add "z", so the float copy would stay beside the quantized one',
    ]);
  });

  it('knows the processors', () => {
    expect(cpuProfile('x64', ['fma', 'avx2'])).toBe('avx2');
    expect(cpuProfile('x64', ['avx2', 'avx512f'])).toBe('avx512');
    expect(cpuProfile('x64', ['avx512f', 'avx512_vnni'])).toBe('vnni');
    expect(cpuProfile('x64', ['avx_vnni'])).toBe('vnni');
    expect(cpuProfile('arm64', ['asimddp'])).toBe('arm-dot');
    expect(cpuProfile('arm64', [])).toBe('arm');
  });
});

it('--ranges mse takes the scale with the least squared error, for signed and unsigned codes', async () => {
  // One weight far beyond the others: cutting it costs less than rounding all others more coarsely.
  const text = head(13, 'g (float[4,16384] x) => (float[4,2] y) <float[16384,2] w = random(3)> { y = MatMul (x, w) }');
  const outlier = (): Model => {
    const model = parseModel(text);
    for (const value of model.graph.initializers) {
      const data = Float32Array.from({ length: 32768 }, (_, at) => (at === 0 ? 1.06 : Math.sin(at)));
      value.tensor = tensorFrom('float32', [16384, 2], data);
    }
    return model;
  };
  for (const weights of ['s8', 'u8'] as const) {
    const scales = async (ranges: 'minmax' | 'mse'): Promise<Float32Array> => {
      const model = outlier();
      await quantize(model, { weights, ranges, reduceRange: 'no' });
      const found = [...model.graph.initializers].find(({ name }) => name === 'w_scale')?.tensor;
      return typedArray(found as never, 'float32');
    };
    const [whole, searched] = [await scales('minmax'), await scales('mse')];
    expect(searched[0]).toBeLessThan(whole[0] as number);
    expect(searched[1]).toBeLessThanOrEqual(whole[1] as number);
  }
});

describe('a model that computes on integers in part', () => {
  const text = (rest: string): string =>
    head(
      21,
      `g (float[2,64] x) => (float[2,64] y) <float s = {0.05}, uint8 z = {128}, float[64,64] w = random(1)> { ${rest} }`,
    );
  it.each([
    [
      'stays as it is where that is asked for',
      'q = QuantizeLinear (x, s, z)  d = DequantizeLinear (q, s, z)  y = MatMul (d, w)',
      false,
    ],
    ['and one in float does not', 'y = MatMul (x, w)', true],
  ])('%s', async (_, rest, changes) => {
    const before = parseModel(text(rest));
    const after = cloneModel(before);
    expect((await quantize(after, { ifFloat: true })).changed).toBe(changes);
    if (!changes) expect(signature(after)).toEqual(signature(before));
    expect((await quantize(cloneModel(before))).changed).toBe(true);
  });
});
