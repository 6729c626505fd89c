import { describe, expect, it } from 'vitest';
import { quantizeWeights } from '../../../passes/quantize/quantize-weights.ts';
import { toBf16 } from '../../../passes/quantize/to-bf16.ts';
import { openModel } from '../../../src/engine/open-model.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { bf16ToF32, f32ToBf16 } from '../../../src/kernels/bf16.ts';
import { TestContext } from '../../support/context.ts';
import { countOps } from '../../support/count-ops.ts';
import { calmFillings, edgeFeeds, violations } from '../../support/differential.ts';
import { signature } from '../../support/golden.ts';
import { runOrt } from '../../support/ort.ts';

const head = (opset: number, body: string): string => `<ir_version: 8, opset_import: ["" : ${opset}]>\n${body}`;

async function convert(model: Model, options: Parameters<typeof toBf16>[0] = {}) {
  const ctx = new TestContext();
  const { changed } = await toBf16.run(model, toBf16(options).options as never, ctx);
  expect(verify(model)).toEqual([]);
  return { changed, counts: ctx.counts(), why: ctx.skips.map(({ rule, node, why }) => `${rule} ${node}: ${why}`) };
}

const branches = head(
  12,
  `g (float[4,16] x, bool c) => (float[4,16] y) <float[16,16] w = random(1), float[16,16] k = random(2)> {
  m = MatMul (x, w)
  y = If <then_branch = a () => (float[4,16] p) <float[16,16] v = random(3)> { p = MatMul (m, v) },
          else_branch = b () => (float[4,16] q) { n = MatMul (m, k)  q = Add (n, m) }> (c)
}`,
);

describe('to-bf16', () => {
  it('leaves the scales of weights in 4 bits: behind a Cast, ONNX Runtime without its optimizer multiplies by nothing', async () => {
    const model = parseModel(
      head(17, 'g (float[2,64] x) => (float[2,128] y) <float[64,128] w = random(1)> { y = MatMul (x, w) }'),
    );
    await quantizeWeights.run(model, quantizeWeights({}).options as never, new TestContext());
    const { changed, why } = await convert(model);
    expect(changed).toBe(false);
    expect(why.some((text) => text.startsWith('quantized "w_scales"'))).toBe(true);
  });

  it('leaves the scales of weights and activations in 8 bits', async () => {
    const scales = `<int8[64,64] w = random(1), float[64] w_scales = random(2), float x_scale = {0.1}, int8 zero = {0}>`;
    const model = parseModel(
      head(
        13,
        `g (float[2,64] x) => (float[2,64] y) ${scales} {
  d = DequantizeLinear <axis = 1> (w, w_scales)
  m = MatMul (x, d)
  q = QuantizeLinear (m, x_scale, zero)
  y = DequantizeLinear (q, x_scale, zero)
}`,
      ),
    );
    const { changed, why } = await convert(model);
    expect(changed).toBe(false);
    expect(why).toEqual([expect.stringMatching(/^quantized "w_scales": DequantizeLinear .* reads its scales from it/)]);
  });

  it('stores weights, those of branches too, and the CPU computes with exactly the rounded numbers', async () => {
    const before = parseModel(branches);
    const after = cloneModel(before);
    const { counts } = await convert(after);
    expect(counts).toEqual({ stored: 3, opset: 1 });
    expect(after.opset).toBe(13);
    expect(signature(after)).toBe(signature(before));
    const rounded = cloneModel(before);
    for (const graph of rounded.graphs()) {
      for (const value of graph.initializers) {
        const { initializer } = value;
        if (initializer?.dtype !== 'float32') continue;
        const numbers = bf16ToF32(f32ToBf16(typedArray(initializer, 'float32')));
        graph.setInitializer(value, tensorFrom('float32', initializer.shape, numbers));
      }
    }
    const feeds = edgeFeeds(before, 3, {}, {}, calmFillings.slice(0, 1));
    const [exact] = await runOrt(rounded, feeds);
    for (const level of ['disabled', 'basic', 'extended', 'all'] as const) {
      const [got] = await runOrt(after, feeds, level);
      expect(violations(exact as never, got as never, { kind: 'reordered', rtol: 1e-5, atol: 1e-6 })).toEqual([]);
    }
    expect((await convert(after)).why).toEqual([
      'mixed model: "w_bf16" is bfloat16 already: convert the float32 original instead',
    ]);
  });

  it('keeps what is asked for, and masks finite', async () => {
    const low = Array.from({ length: 256 }, () => '-3.4028234e38').join(', ');
    const model = parseModel(
      head(
        13,
        `g (float[16,16] x) => (float[16,16] y) <float[16,16] mask = {${low}}, float[16,16] w = random(1)> { a = Add (x, mask)  s = Softmax (a)  [last] y = MatMul (s, w) }`,
      ),
    );
    const feeds = edgeFeeds(model, 3, {}, {}, calmFillings.slice(0, 1));
    const [want] = await runOrt(model, feeds);
    const { counts } = await convert(model, { keep: ['last'] });
    expect(counts).toEqual({ stored: 1 });
    const [got] = await runOrt(model, feeds);
    expect(violations(want as never, got as never, { kind: 'reordered', rtol: 1e-4, atol: 1e-5 })).toEqual([]);
  });

  it('--arithmetic bfloat16: types are right throughout, so that what the CPU misses is kernels and nothing else', async () => {
    const model = parseModel(
      head(
        13,
        `g (float[1,3,8,8] x) => (float[1,4] y) <float[4,3,3,3] w = random(1), float[4] b = random(2), float[4,4] v = random(3)> {
      a = Conv (x, w, b)  r = Relu (a)  p = GlobalAveragePool (r)  f = Flatten (p)  m = MatMul (f, v)  u = CumSum (m, one)  y = Softmax (u) }`.replace(
          'v = random(3)>',
          'v = random(3), int64 one = {1}>',
        ),
      ),
    );
    const before = signature(model);
    const { counts, why } = await convert(model, { arithmetic: 'bfloat16' });
    expect(counts).toMatchObject({ opset: 1, half: 6, constant: 3 });
    expect(model.opset).toBe(22);
    expect(signature(model)).toBe(before);
    expect([...model.graph.nodes].find((node) => node.op === 'Conv')?.input(1)?.dtype).toBe('bfloat16');
    expect(countOps(model).Cast).toBe(4);
    expect(why.join('\n')).toContain('block-list CumSum "u"');
    expect(why.at(-1)).toContain(
      '6 nodes compute in bfloat16, for most of which ONNX Runtime has no kernel on the CPU',
    );
    await expect(openModel(model)).rejects.toThrow(/there is no kernel for/);
    const io = parseModel(
      head(22, 'g (float[4,4] x) => (float[4,4] y) <float[4,4] w = random(1)> { y = MatMul (x, w) }'),
    );
    await convert(io, { arithmetic: 'bfloat16', keepIoTypes: false });
    expect(signature(io)).toContain('bfloat16');
    expect(countOps(io).Cast).toBeUndefined();
  });

  it('stores what old files list as inputs, too', async () => {
    const old = parseModel(
      '<ir_version: 3, opset_import: ["" : 9]>\ng (float[1,16] x, float[16,16] w) => (float[1,16] y) <float[16,16] w = random(1)> { y = MatMul (x, w) }',
    );
    const { counts } = await convert(old);
    expect(counts).toEqual({ 'ir-version': 1, 'constant-input': 1, opset: 1, stored: 1 });
    expect(old.graph.inputs.map(({ name }) => name)).toEqual(['x']);
  });

  it('leaves weights that bfloat16 has as zero, single ones aside', async () => {
    const numbers = (tiny: number): string =>
      Array.from({ length: 64 }, (_, at) => (at < tiny ? '1e-41' : '0.5')).join();
    const text = (tiny: number): string =>
      head(13, `g (float[1,8] x) => (float[1,8] y) <float[8,8] w = {${numbers(tiny)}}> { y = MatMul (x, w) }`);
    const { changed, why } = await convert(parseModel(text(40)));
    expect(changed).toBe(false);
    expect(why).toEqual([
      'stored "w": 40 of its 64 numbers that are not 0 are below 4.6e-41, which bfloat16 has as 0, so it stays float32',
    ]);
    expect((await convert(parseModel(text(20)))).counts).toEqual({ stored: 1 });
  });

  it('--arithmetic bfloat16 says which operators take it from which opset on', async () => {
    const old = parseModel(
      '<ir_version: 8, opset_import: ["" : 13, "acme" : 1]>\ng (float[1,3,8,8] x) => (float[1,4,6,6] y) <float[4,3,3,3] w = random(1)> { a = Conv (x, w)  b = Relu (a)  y = acme.Odd (b) }',
    );
    const { why } = await convert(old, { arithmetic: 'bfloat16' });
    expect(why.join('\n')).toMatch(/acme\.Odd|takes bfloat16 from opset 22 on/);
  });
});
