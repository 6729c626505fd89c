import { describe, expect, it } from 'vitest';
import { quantizeWeights } from '../../../passes/quantize/quantize-weights.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import type { BlockFormat } from '../../../src/kernels/block-fit.ts';
import { dequantizeBlocks } from '../../../src/kernels/blockwise.ts';
import { addErrors, emptyErrorSums, sqnrDb } from '../../../src/kernels/error.ts';
import { f16ToF32 } from '../../../src/kernels/f16.ts';
import { TestContext } from '../../support/context.ts';
import { countOps } from '../../support/count-ops.ts';
import { edgeFeeds } from '../../support/differential.ts';
import { runOrt } from '../../support/ort.ts';

const head = (body: string, opset = 13): string => `<ir_version: 8, opset_import: ["" : ${opset}]>\n${body}`;

async function quantize(model: Model, options: Parameters<typeof quantizeWeights>[0] = {}) {
  const ctx = new TestContext();
  const { changed } = await quantizeWeights.run(model, quantizeWeights(options).options as never, ctx);
  return {
    changed,
    details: ctx.applications.map(({ detail }) => detail),
    skips: ctx.skips.map(({ rule, why }) => `${rule}: ${why}`),
  };
}

/** The float weights [N, K] that the MatMulNBits of a model stands for, by our own reading of the layout. */
function stored(model: Model): { weights: Float32Array; k: number; n: number } {
  const node = [...model.graph.nodes].find((candidate) => candidate.op === 'MatMulNBits');
  if (!node) throw new Error('no MatMulNBits');
  const [k, n] = [node.int('K', 0), node.int('N', 0)];
  const half = node.input(2)?.dtype === 'float16';
  const scales = node.input(2)?.initializer as NonNullable<
    ReturnType<() => import('../../../src/ir/tensor.ts').Tensor>
  >;
  const zeroPoints = node.input(3)?.initializer?.bytes();
  const format: BlockFormat = {
    bits: node.int('bits', 4) as 2 | 4 | 8,
    block: node.int('block_size', 0),
    symmetric: !zeroPoints,
    scaleType: half ? 'float16' : 'float32',
  };
  const quantized = {
    codes: node.input(1)?.initializer?.bytes() as Uint8Array,
    scales: half ? f16ToF32(typedArray(scales, 'float16')) : typedArray(scales, 'float32'),
    zeroPoints,
    signal: 0,
    noise: 0,
  };
  return { weights: dequantizeBlocks(quantized, n, k, format), k, n };
}

const identity = (size: number): Float32Array =>
  Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));

describe('quantize-weights', () => {
  // K = 83: a tail in every block size; blocks 6, 3, 2: zero points of 4 and 2 bits that fill bytes and do not.
  const shapes = [
    { k: 83, n: 19 },
    { k: 64, n: 5 },
    { k: 33, n: 8 },
  ];
  const formats = [2, 3, 4, 8].flatMap((bits) =>
    [16, 32, 64].flatMap((block) =>
      [true, false].map(
        (symmetric) => ({ bits, block, symmetric }) as { bits: 2 | 3 | 4 | 8; block: 16 | 32 | 64; symmetric: boolean },
      ),
    ),
  );

  it.each(formats)('ONNX Runtime reads the weights as we packed them: %o', async (format) => {
    for (const { k, n } of shapes) {
      const model = parseModel(
        head(`g (float[${k},${k}] x) => (float[${k},${n}] y) <float[${k},${n}] w = random(1)> { y = MatMul (x, w) }`),
      );
      await quantize(model, { ...format, minElements: 0, accuracyLevel: 1 });
      const { weights } = stored(model);
      const [result] = await runOrt(model, [new Map([['x', tensorFrom('float32', [k, k], identity(k))]])]);
      const y = typedArray(result?.get('y') as never, 'float32');
      // The product with the identity reads the weights out, [K, N]. 2- and 8-bit weights always compute in int8, where a
      // row of one 1 is exact but for the scale 1/127.
      for (let i = 0; i < k; i++) {
        for (let j = 0; j < n; j++) {
          const want = weights[j * k + i] as number;
          if (Math.abs((y[i * n + j] as number) - want) > 2e-6 * Math.abs(want) + 1e-9)
            expect.fail(`weight [${i},${j}] is ${y[i * n + j]}, not ${want}`);
        }
      }
    }
  });

  it.each([
    ['n', '64,48', {}, 1],
    ['n', '512,65', {}, 4],
    ['15', '64,48', {}, 4],
    ['16', '64,48', {}, 1],
    ['n', '64,48', { accuracyLevel: 4 }, 4],
    ['n', '64,48', { bits: 8 }, 4],
  ] as const)('over %s rows, weights %s with %o are multiplied at level %i', async (rows, size, options, level) => {
    const [k] = size.split(',');
    const model = parseModel(
      head(`g (float[${rows},${k}] x) => (float[] y) <float[${size}] w = random(1)> { y = MatMul (x, w) }`),
    );
    await quantize(model, options);
    expect([...model.graph.nodes].find(({ op }) => op === 'MatMulNBits')?.int('accuracy_level')).toBe(level);
  });

  it.each([
    ['MatMul', 'y = MatMul (x, w)', 'float[64,48] w = random(1)'],
    [
      'Gemm with everything',
      'y = Gemm <transB = 1, alpha = 0.5, beta = 2.0> (x, w, c)',
      'float[48,64] w = random(1), float[48] c = random(2)',
    ],
    [
      'weights behind a Transpose',
      't = Transpose <perm = [1, 0]> (w)  y = MatMul (x, t)',
      'float[48,64] w = random(1)',
    ],
  ])('%s keeps its meaning and signature', async (_, body, constants) => {
    const before = parseModel(head(`g (float[5,64] x) => (float[5,48] y) <${constants}> { ${body} }`));
    const after = cloneModel(before);
    const { changed, details } = await quantize(after);
    expect(changed).toBe(true);
    expect(details[0]).toMatch(/weights in 4 bits, 2\d\.\d dB$/);
    expect(verify(after)).toEqual([]);
    expect(countOps(after)['com.microsoft.MatMulNBits']).toBe(1);
    expect(after.opsets.get('com.microsoft')).toBe(1);
    const node = [...after.graph.nodes].find(({ op }) => op === 'MatMulNBits');
    expect(node?.int('accuracy_level')).toBe(4);
    const feeds = edgeFeeds(before, 9).slice(0, 1);
    const [expected] = await runOrt(before, feeds);
    for (const level of ['disabled', 'basic', 'extended', 'all'] as const) {
      const [actual] = await runOrt(after, feeds, level);
      const sums = addErrors(
        emptyErrorSums(),
        typedArray(expected?.get('y') as never, 'float32'),
        typedArray(actual?.get('y') as never, 'float32'),
      );
      expect(sqnrDb(sums)).toBeGreaterThan(15);
    }
    expect((await quantize(after)).changed).toBe(false);
  });

  it('stores a shared weight once, and takes weights of an outer graph', async () => {
    const model = parseModel(
      head(`g (float[5,64] x, bool c) => (float[5,64] y) <float[64,64] w = random(1)> {
        h = MatMul (x, w)
        y = If <then_branch = t () => (float[5,64] a) { a = MatMul (h, w) }, else_branch = e () => (float[5,64] b) { b = Neg (h) }> (c)
      }`),
    );
    await quantize(model);
    expect(verify(model)).toEqual([]);
    expect([...model.graph.initializers].map((value) => value.name).sort()).toEqual([
      'w_q4',
      'w_scales',
      'w_zero_points',
    ]);
    await runOrt(model, edgeFeeds(model, 1));
  });

  it('gives float16 layers float16 scales, and codes chosen for them', async () => {
    const model = parseModel(
      head('g (float16[64,64] x) => (float16[64,8] y) <float16[64,8] w = random(1)> { y = MatMul (x, w) }'),
    );
    const { changed } = await quantize(model, { minElements: 0 });
    expect(changed).toBe(true);
    expect(stored(model).weights).toHaveLength(512);
    const [result] = await runOrt(model, edgeFeeds(model, 2).slice(0, 1));
    expect(result?.get('y')?.dtype).toBe('float16');
  });

  it('asymmetric is the more exact', async () => {
    const text = head('g (float[5,256] x) => (float[5,64] y) <float[256,64] w = random(1)> { y = MatMul (x, w) }');
    const decibels = async (symmetric: boolean): Promise<number> => {
      const { details } = await quantize(parseModel(text), { symmetric, method: 'rtn' });
      return Number(/([\d.]+) dB/.exec(details[0] ?? '')?.[1]);
    };
    expect(await decibels(false)).toBeGreaterThan(await decibels(true));
  });

  it.each(formats.filter(({ bits }) => bits !== 2))(
    'the form with DequantizeLinear holds the same weights: %o',
    async (format) => {
      for (const body of ['y = MatMul (x, w)', 'y = Gemm <transB = 1> (x, w)']) {
        const [k, n] = [83, 19];
        const shape = body.includes('transB') ? [n, k] : [k, n];
        const text = head(
          `g (float[${k},${k}] x) => (float[${k},${n}] y) <float[${shape}] w = random(1)> { ${body} }`,
          21,
        );
        const [packed, blocked] = [parseModel(text), parseModel(text)];
        await quantize(packed, { ...format, minElements: 0 });
        const { changed } = await quantize(blocked, { ...format, minElements: 0, format: 'qdq' });
        expect(changed).toBe(true);
        expect(verify(blocked)).toEqual([]);
        expect(countOps(blocked).DequantizeLinear).toBe(1);
        expect((await quantize(blocked, { ...format, minElements: 0, format: 'qdq' })).changed).toBe(false);
        const { weights } = stored(packed);
        const feeds = [new Map([['x', tensorFrom('float32', [k, k], identity(k))]])];
        const [result] = await runOrt(blocked, feeds);
        const y = typedArray(result?.get('y') as never, 'float32');
        for (let i = 0; i < k; i++)
          for (let j = 0; j < n; j++)
            if (y[i * n + j] !== weights[j * k + i])
              expect.fail(`weight [${i},${j}] is ${y[i * n + j]}, not ${weights[j * k + i]}`);
        await runOrt(blocked, feeds, 'all');
      }
    },
  );

  it('names Einsums with weights beside layers that were quantized', async () => {
    const { changed, skips } = await quantize(
      parseModel(
        head(`g (float[2,3,64] x) => (float[2,3,4,16] y) <float[64,64] w = random(1), float[64,4,16] v = random(2)> {
          h = MatMul (x, w)
          y = Einsum <equation = "bsk,khd->bshd"> (h, v)
        }`),
      ),
      {},
    );
    expect(changed).toBe(true);
    expect(skips.filter((why) => why.includes('Einsum'))).toEqual([
      expect.stringContaining(
        '1 Einsum: only MatMul and Gemm (and tables of Gather) have a form with weights in blocks; mlpack fuse',
      ),
    ]);
  });

  it('says why a layer stays', async () => {
    const why = async (body: string, options: Parameters<typeof quantizeWeights>[0] = {}): Promise<string[]> => {
      const { changed, skips } = await quantize(parseModel(head(body)), options);
      expect(changed).toBe(false);
      return skips;
    };
    expect(
      await why('g (float[2,15] x) => (float[2,80] y) <float[15,80] w = random(1)> { y = MatMul (x, w) }'),
    ).toEqual(['matmul-nbits: its weights "w" have 15 inputs, fewer than the smallest block (16)']);
    expect(
      await why('g (float[80,5,64] x) => (float[80,5,32] y) <float[80,64,32] w = random(1)> { y = MatMul (x, w) }'),
    ).toEqual([
      'batched: its weights "w" are a batch of 80 matrices: more than 64 would make a graph of small products',
      'matmul-nbits: its weights "w" are a batch of matrices (80×64×32): weight-only formats take a single matrix',
    ]);
    expect(
      await why('g (double[2,64] x) => (double[2,32] y) <double[64,32] w = random(1)> { y = MatMul (x, w) }'),
    ).toEqual([
      'matmul-nbits: its weights "w" are float64, not float32 or float16: to-fp32 makes such a model float32 first',
    ]);
    expect(await why('g (float[2,32] x) => (float[2,1] y) <float[32,1] w = random(1)> { y = MatMul (x, w) }')).toEqual([
      'matmul-nbits: its weights "w" have 32 elements: below 1024 there is nothing to gain (--min-elements)',
    ]);
    expect(
      await why('g (float[2,64] x) => (float[2,32] y) <float[64,32] w = random(1)> { y = MatMul (x, w) }', {
        keep: ['y'],
      }),
    ).toEqual(['matmul-nbits: you asked for it to stay as it is (--keep)']);
    expect(
      await why(
        'g (float[2,64] x) => (float[2,32] y) <float[64,32] w = random(1)> { u = Scatter (x)  y = MatMul (u, w) }',
        {
          format: 'qdq',
        },
      ),
    ).toEqual(
      [
        'Scatter "u" cannot be raised from opset 13 to 21: it ended with opset 10',
        'opset 13 has no blocked DequantizeLinear (21 has): use --format matmul-nbits, which needs none',
      ].map((sentence, index) => `${['opset', 'blocked-dq'][index]}: ${sentence}`),
    );
    const raised = parseModel(
      head('g (float[2,64] x) => (float[2,32] y) <float[64,32] w = random(1)> { y = MatMul (x, w) }'),
    );
    expect((await quantize(raised, { format: 'qdq' })).changed).toBe(true);
    expect(raised.opset).toBe(21);
    await runOrt(raised, edgeFeeds(raised, 1), 'all');
    expect(
      await why('g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1, 2, 3, 4}> { y = MatMul (x, w) }', {
        keep: ['MatMull', 'MatMul'],
      }),
    ).toEqual([
      'keep: no node, operator or node output of the model has this name',
      'matmul-nbits: you asked for it to stay as it is (--keep)',
    ]);
  });
});
