import { describe, expect, it } from 'vitest';
import { simplify } from '../../../../passes/simplify/simplify.ts';
import { cloneModel } from '../../../../src/ir/clone.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';
import { verify } from '../../../../src/ir/verify.ts';
import { TestContext } from '../../../support/context.ts';
import { countOps } from '../../../support/count-ops.ts';
import { calmFillings, edgeFeeds } from '../../../support/differential.ts';
import { type Feeds, runOrt } from '../../../support/ort.ts';
import { activationsOf, calmFeeds, head, type Options, quantize, sqnr } from './support.ts';

/** Decibels with the runtime's optimizer off and with all of it, and the operators of the result. */
async function judged(text: string, options: Options = {}) {
  const before = parseModel(text);
  const after = parseModel(text);
  const { changed, skips } = await quantize(after, options);
  expect(changed).toBe(true);
  expect(verify(after)).toEqual([]);
  const feeds: Feeds[] = calmFeeds(before);
  const [want] = await runOrt(before, feeds);
  const [off] = await runOrt(after, feeds);
  const [on] = await runOrt(after, feeds, 'all');
  return { after, skips, off: sqnr(want, off), on: sqnr(want, on), ops: countOps(after) };
}

const forms: Options[] = [{}, { format: 'qoperator' }, { activations: 's8' }];
const image = 'float[1,4,9,9] x';
const weights = 'float[4,4,3,3] w = random(1), float[4,4,3,3] v = random(2)';
/** One operator between two convolutions. */
const between = (opset: number, body: string, constants = '') =>
  head(
    opset,
    `g (${image}) => (float[1,4,n,m] y) <${weights}${constants}> {
      c = Conv <pads = [1,1,1,1]> (x, w)  ${body}  y = Conv <pads = [1,1,1,1]> (d, v) }`,
  );

describe('quantize-static between layers on integers', () => {
  it.each(forms)(
    'leaves an AveragePool with dilations, which QLinearAveragePool has not, in float: %o',
    async (form) => {
      for (const more of ['', ', ceil_mode = 1']) {
        const text = between(19, `d = AveragePool <kernel_shape = [3,3], dilations = [2,2]${more}> (c)`);
        const { off, on, skips } = await judged(text, form);
        expect(Math.min(off, on)).toBeGreaterThan(30);
        expect(skips.join()).toContain('ONNX Runtime makes an integer operator of it that it cannot load');
      }
    },
  );

  it.each(forms)('leaves a Resize in float that fills what lies outside of its input: %o', async (form) => {
    for (const beyond of ['0.0', '40.0']) {
      const text = between(
        13,
        `d = Resize <mode = "nearest", coordinate_transformation_mode = "tf_crop_and_resize", extrapolation_value = ${beyond}> (c, roi, , sizes)`,
        ', float[8] roi = {0,0,-0.3,-0.3,1,1,1.3,1.3}, int64[4] sizes = {1,4,8,8}',
      );
      const { off, on } = await judged(text, form);
      expect(Math.min(off, on)).toBeGreaterThan(30);
    }
  });

  it.each<[string, string, string, string]>([
    ['scales', 'axes = [3, -2]', ', s', 'float[2] s = {2, 3}'],
    ['sizes', 'axes = [2, 3]', ', , s', 'int64[2] s = {18, 12}'],
    ['sizes behind an open extent', 'axes = [2, 3]', ', , s', 'int64[2] s = {18, 12}'],
  ])(
    'says all %s of a Resize that names its axes, which ONNX Runtime cannot run between them',
    async (name, axes, inputs, constant) => {
      for (const mode of ['nearest', 'linear']) {
        const text = between(18, `d = Resize <mode = "${mode}", ${axes}> (c, ${inputs})`, `, ${constant}`);
        const open = name.includes('open')
          ? text.replace('float[1,4,9,9] x', 'float[N,4,9,9] x').replace('[1,4,n,m] y', '[N,4,n,m] y')
          : text;
        const { off, on, ops } = await judged(open);
        expect(Math.min(off, on)).toBeGreaterThan(30);
        expect(ops.Shape).toBe(name.includes('open') ? 1 : undefined);
      }
    },
  );

  const crop = 'coordinate_transformation_mode = "tf_crop_and_resize", extrapolation_value = 9.0';
  it.each<[string, string, string, string, number]>([
    ['a crop', `axes = [2, 3], ${crop}`, ', r, , s', 'float[4] r = {-0.2, 0.1, 1.2, 0.8}, int64[2] s = {12, 20}', 2],
    ['a crop by scales', `axes = [3, 2], ${crop}`, ', r, s', 'float[4] r = {0.1, 0, 0.8, 0.9}, float[2] s = {2, 3}', 2],
    ['axes in another order', 'axes = [3, 2]', ', , , s', 'int64[2] s = {20, 12}', 2],
    ['one axis', 'axes = [2]', ', , , s', 'int64[1] s = {12}', 2],
    [
      'a ratio that is kept',
      'axes = [2, 3], keep_aspect_ratio_policy = "not_larger"',
      ', , , s',
      'int64[2] s = {16, 99}',
      2,
    ],
    [
      'a ratio, from above',
      'axes = [3, 2], keep_aspect_ratio_policy = "not_smaller"',
      ', , , s',
      'int64[2] s = {18, 3}',
      2,
    ],
    // 9 · 13 / 8 is no whole number: the Conv in front stays in float.
    [
      'a ratio that rounds',
      'axes = [2, 3], keep_aspect_ratio_policy = "not_larger"',
      ', , , s',
      'int64[2] s = {13, 99}',
      1,
    ],
  ])(
    'runs a Resize that names its axes with %s, open extents or not',
    async (name, attrs, inputs, constants, convs) => {
      for (const mode of ['nearest', 'linear'])
        for (const isOpen of [false, true]) {
          const text = between(19, `d = Resize <mode = "${mode}", ${attrs}> (c${inputs})`, `, ${constants}`)
            .replace('float[1,4,9,9] x', isOpen ? 'float[N,4,H,9] x' : 'float[1,4,8,9] x')
            .replace('[1,4,n,m] y', isOpen ? '[N,4,n,m] y' : '[1,4,n,m] y');
          const { off, on, ops } = await judged(text, { format: 'qoperator' });
          expect(Math.min(off, on)).toBeGreaterThan(30);
          expect(ops.QLinearConv ?? 0).toBe(isOpen && name.includes('ratio') ? 1 : convs);
        }
    },
  );

  it('takes the axis of Softmax that opset 12 has where none is named', async () => {
    // Scatter is not raised, so the model stays at opset 10.
    const text = head(
      10,
      `g (float[2,4,8] x) => (float[2,4,8] y) <float[8,8] w = random(1), float[8,8] v = random(2), int64[1,1,1] at = {0}, float[1,1,1] u = {0.5}> {
        c = MatMul (x, w)  s = Softmax (c)  d = MatMul (s, v)  y = Scatter <axis = 2> (d, at, u) }`,
      5,
    );
    const { off, on, ops } = await judged(text, { format: 'qoperator', perChannel: false });
    expect(ops).toMatchObject({ 'com.microsoft.QLinearSoftmax': 1 });
    expect(Math.min(off, on)).toBeGreaterThan(20);
  });
});

describe('quantize-static of layers', () => {
  it.each<Options>([{}, { perChannel: false }, { format: 'qoperator' }])(
    'keeps the bias of channels whose weights are all zero: %o',
    async (form) => {
      // Steps of the input are 2: a bias of 0.7 would be 0 in them.
      const before = parseModel(
        head(
          13,
          `g (float[1,1,4,4] x) => (float[1,2,4,4] y) <float[1] k = {255}, float[2,1,1,1] w = {0, 0}, float[2] b = {0.7, -0.4}> {
            s = Mul (x, k)  y = Conv (s, w, b) }`,
        ),
      );
      const feeds = calmFeeds(before);
      const [want] = await runOrt(before, feeds);
      await quantize(before, form);
      for (const level of ['disabled', 'all'] as const) {
        const [got] = await runOrt(before, feeds, level);
        expect(sqnr(want, got)).toBeGreaterThan(40);
      }
    },
  );

  it.each<Options>([{}, { weights: 'mse' }, { weights: 'gptq' }, { format: 'qoperator' }])(
    'keeps the bias of next to dead channels, in steps of which it nearly fills int32: %o',
    async (form) => {
      const before = parseModel(
        head(
          13,
          `g (float[200,32] x) => (float[200,4] y) <float[32,4] r = random(1), float[1,4] f = {0.00000008, 1, 1, 1}, float[4] b = {0.5, 1, 2, -3}> {
            w = Mul (r, f)  y = Gemm (x, w, b) }`,
        ),
      );
      await simplify.run(before, simplify().options as never, new TestContext());
      const after = cloneModel(before);
      const feeds = [1, 2].flatMap((seed) => edgeFeeds(before, seed, {}, {}, calmFillings.slice(0, 1)));
      await quantize(after, form, activationsOf(feeds));
      const [want] = await runOrt(before, feeds);
      for (const level of ['disabled', 'all'] as const)
        expect(sqnr(want, (await runOrt(after, feeds, level))[0])).toBeGreaterThan(40);
    },
  );

  it.each<Options>([{}, { format: 'qoperator' }, { symmetric: true }, { engine: 'tensorrt' }])(
    'quantizes a layer in a branch that reads what a layer outside gives out: %o',
    async (form) => {
      const text = head(
        13,
        `g (bool k, float[1,4,5,5] x) => (float[1,4,5,5] y) <float[4,4,1,1] w = random(1), float[4,4,1,1] v = random(2)> {
          c = Conv (x, w)  r = Relu (c)
          y = If (k) <then_branch = t () => (float[1,4,5,5] a) { p = Conv (r, v)  a = Add (p, r) },
            else_branch = e () => (float[1,4,5,5] b) { q = Conv (r, w)  m = Add (q, r)  b = Conv (m, v) }> }`,
      );
      const { after, off, on } = await judged(text, form);
      expect(Math.min(off, on)).toBeGreaterThan(30);
      const inner = [...after.graphs()].flatMap(({ nodes }) => [...nodes]).filter(({ op }) => op === 'If');
      const ops = inner.flatMap(({ subgraphs }) => subgraphs).flatMap(({ nodes }) => [...nodes].map(({ op }) => op));
      expect(ops.some((op) => op === 'QLinearConv' || op === 'DequantizeLinear')).toBe(true);
    },
  );
});

describe('--format qoperator of models that come quantized in part', () => {
  const constants = `float xs = {0.02}, uint8 xz = {128}, float cs = {0.1}, uint8 cz = {128}, int8[4,4,3,3] w1 = random(1), float ws = {0.01},
    int8 wz = {0}, float[4] each = {0.01, 0.1, 0.001, 0.05}, int8[4] zeros = {0, 0, 0, 0}, int32[4] b = {100, -200, 300, 50}, float bs = {0.02},
    float exact = {0.0002}, float[4,4,3,3] f = random(3)`;
  const given = (body: string) =>
    head(
      13,
      `g (float[1,4,8,8] x) => (float[1,4,8,8] y) <${constants}> { xq = QuantizeLinear (x, xs, xz)  xd = DequantizeLinear (xq, xs, xz)
        ${body} rq = QuantizeLinear (c, cs, cz)  rd = DequantizeLinear (rq, cs, cz)  y = Conv <pads = [1,1,1,1]> (rd, f) }`,
    );
  const own = 'wd = DequantizeLinear (w1, ws, wz)';
  const conv = 'c = Conv <pads = [1,1,1,1]>';

  it.each<[string, string, number]>([
    ['a bias in steps of the products goes along', `${own} bd = DequantizeLinear (b, exact) ${conv} (xd, wd, bd)`, 2],
    ['a bias in steps of its own stays', `${own} bd = DequantizeLinear (b, bs) ${conv} (xd, wd, bd)`, 1],
    ['scales by output channel go along', `wd = DequantizeLinear <axis = 0> (w1, each, zeros) ${conv} (xd, wd)`, 2],
    ['scales by input channel stay', `wd = DequantizeLinear <axis = 1> (w1, each, zeros) ${conv} (xd, wd)`, 1],
  ])('%s', async (_, body, count) => {
    const { ops, off } = await judged(given(body), { format: 'qoperator' });
    expect(ops.QLinearConv).toBe(count);
    expect(off).toBeGreaterThan(30);
  });

  it.each<[string, string, string]>([
    [
      'MatMul',
      'int8[8,8] w = random(1), float[8] ws = {0.1,0.01,0.2,0.02,0.1,0.01,0.2,0.3}',
      'wd = DequantizeLinear <axis = 0> (w, ws, wz)  c = MatMul (xd, wd)',
    ],
    [
      'Gemm',
      'int8[8,8] w = random(1), float[8] ws = {0.1,0.01,0.2,0.02,0.1,0.01,0.2,0.3}',
      'wd = DequantizeLinear <axis = 1> (w, ws, wz)  c = Gemm <transB = 1> (xd, wd)',
    ],
    [
      'Gemm',
      'int8[8,8] w = random(1), float ws = {0.1}, int32[8] b = {1000,20,-300,5,6,7,8,9}, float bs = {0.002}, int8 z = {0}',
      'wd = DequantizeLinear (w, ws, z)  bd = DequantizeLinear (b, bs)  c = Gemm <alpha = 0.5> (xd, wd, bd)',
    ],
  ])('%s with scales that its kernel does not take so stays', async (op, weights, body) => {
    const text = head(
      13,
      `g (float[4,8] x) => (float[4,8] y) <float xs = {0.02}, uint8 xz = {128}, ${weights}, int8[8] wz = {0,0,0,0,0,0,0,0}, float[8,8] f = random(2)> {
        xq = QuantizeLinear (x, xs, xz)  xd = DequantizeLinear (xq, xs, xz)  ${body}  y = MatMul (c, f) }`,
    );
    const { ops, off } = await judged(text, { format: 'qoperator' });
    expect(ops[op]).toBe(1);
    expect(off).toBeGreaterThan(30);
  });
});
