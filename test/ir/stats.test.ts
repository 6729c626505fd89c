import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { countMacs } from '../../src/ir/macs.ts';
import { modelStats } from '../../src/ir/stats.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { decodeModel } from '../../src/onnx/decode.ts';
import { haveSharedModels, sharedModel } from '../support/shared-models.ts';

describe.skipIf(!haveSharedModels)('statistics of real models', () => {
  it.each<[string, string | undefined, number, Record<string, number>, number]>([
    ['cifar10-resnet20', undefined, 271_156, { float32: 271_100, int64: 56 }, 166],
    ['clinc150-bert', undefined, 4_560_966, { float32: 4_560_826, int64: 140 }, 404],
    ['gtcrn', 'model_unsimplified.onnx', 49_118, { float32: 48_234, int64: 884 }, 1786],
    ['imagenet-mobilenetv1-050', 'model_qdq.onnx', 1_326_751, { uint8: 1_320_218, float32: 6533 }, 147],
    ['silero-vad', undefined, 545_597, { float32: 545_286, int64: 311 }, 689],
    ['wine-gbdt', undefined, 1, { float32: 1 }, 4],
  ])('%s %s', (slug, file, parameters, byType, nodes) => {
    const stats = modelStats(decodeModel(readFileSync(sharedModel(slug, file))));
    expect(stats.parameters).toBe(parameters);
    expect(Object.fromEntries([...stats.byType].map(([dtype, { elements }]) => [dtype, elements]))).toEqual(byType);
    expect(stats.nodes).toBe(nodes);
  });

  it('counts ops of all graphs, and how deep they stand', () => {
    const stats = modelStats(decodeModel(readFileSync(sharedModel('silero-vad'))));
    expect(stats.ops.get('If')).toBe(25);
    expect(stats.ops.get('Slice')).toBe(60);
    expect(stats.depth).toBe(4);
    expect([...stats.ops.keys()][0]).toBe('Constant');
  });

  it.each<[string, Record<string, number>, number]>([
    // 41 M multiply-accumulates: He et al. 2016, table 6 (ResNet-20 on CIFAR).
    ['cifar10-resnet20', { batch: 1 }, 40.5e6],
    // Howard et al. 2017, table 7: 0.50 MobileNet-160 has 76 M multiply-adds.
    ['imagenet-mobilenetv1-050', { N: 1 }, 76e6],
  ])('%s multiplies as often as its paper says', (slug, bindings, expected) => {
    const model = decodeModel(readFileSync(sharedModel(slug)));
    const { total, unknown } = countMacs(model, inferShapes(model), { bindings: new Map(Object.entries(bindings)) });
    expect(unknown).toEqual([]);
    expect(Math.abs(total / expected - 1)).toBeLessThan(0.02);
  });
});

describe('multiply-accumulates', () => {
  const macs = (body: string, bindings: Record<string, number> = {}) => {
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>\ng ${body}`);
    return countMacs(model, inferShapes(model), { bindings: new Map(Object.entries(bindings)) });
  };

  it.each<[string, string, number]>([
    [
      'Conv',
      '(float[N,4,8,8] x) => (y) < float[6,2,3,3] w = random(1) > { y = Conv <group = 2, pads = [1,1,1,1]> (x, w) }',
      3 * 6 * 64 * 18,
    ],
    [
      'ConvTranspose',
      '(float[N,4,8,8] x) => (y) < float[4,6,2,2] w = random(1) > { y = ConvTranspose <strides = [2,2]> (x, w) }',
      3 * 4 * 64 * 24,
    ],
    ['MatMul', '(float[N,5,7] x) => (y) < float[7,11] w = random(1) > { y = MatMul (x, w) }', 3 * 5 * 7 * 11],
    [
      'Scan over the last axis',
      `(float[4,N] x) => (y) < float[4] z = {0,0,0,0}, float[4,4] w = random(1) > {
        y = Scan <num_scan_inputs = 1, scan_input_axes = [-1], body = b (float[4] a, float[4] e) => (float[4] s) { p = Add (a, e)  s = MatMul (w, p) }> (z, x) }`,
      3 * 16,
    ],
    [
      'Gemm',
      '(float[7,N] x) => (y) < float[11,7] w = random(1) > { y = Gemm <transA = 1, transB = 1> (x, w) }',
      3 * 7 * 11,
    ],
    [
      'LSTM',
      '(float[N,2,5] x) => (y) < float[2,16,5] w = random(1), float[2,16,4] r = random(1) > { y = LSTM <hidden_size = 4, direction = "bidirectional"> (x, w, r) }',
      3 * 2 * 2 * 16 * 9,
    ],
    [
      'MatMulNBits',
      '(float[N,32] x) => (y) < uint8[8,1,16] w = random(1), float[8] s = random(1) > { y = com.microsoft.MatMulNBits <K = 32, N = 8, block_size = 32> (x, w, s) }',
      3 * 32 * 8,
    ],
    [
      'MultiHeadAttention',
      '(float[N,5,16] q, float[N,9,16] k) => (y) { y = com.microsoft.MultiHeadAttention <num_heads = 2> (q, k, k) }',
      2 * 3 * 5 * 9 * 16,
    ],
    [
      'Attention',
      '(float[N,5,16] x) => (y) < float[16,48] w = random(1), float[48] b = random(1) > { y = com.microsoft.Attention <num_heads = 2> (x, w, b) }',
      3 * 5 * 16 * 48 + 2 * 3 * 5 * 5 * 16,
    ],
    [
      'Einsum',
      '(float[N,i,4] x, float[N,4,6] y) => (z) { z = Einsum <equation = "bij,bjk->bik"> (x, y) }',
      3 * 1 * 4 * 6,
    ],
    [
      'the larger branch',
      '(float[N,4] x, bool c) => (y) < float[4,8] w = random(1) > { y = If <then_branch = t () => (a) { a = MatMul (x, w) }, else_branch = e () => (b) { b = Relu (x) }> (c) }',
      3 * 32,
    ],
  ])('%s', (_, body, expected) => {
    const { total, unknown } = macs(body, { N: 3 });
    expect(unknown).toEqual([]);
    expect(total).toBe(expected);
  });

  it('names what it cannot count', () => {
    const { total, unknown } = macs('(float[] x) => (y) < float[7,11] w = random(1) > { y = MatMul (x, w) }');
    expect(total).toBe(0);
    expect(unknown.map((node) => node.op)).toEqual(['MatMul']);
  });
});
