import { describe, expect, it } from 'vitest';
import { toFp16 } from '../../../passes/quantize/to-fp16.ts';
import type { OptimizationLevel } from '../../../src/engine/session.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import { graphsBelow, type Model } from '../../../src/ir/graph.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import type { ActivationRange } from '../../../src/pass/pass.ts';
import { TestContext } from '../../support/context.ts';
import { countOps } from '../../support/count-ops.ts';
import { calmFillings, edgeFeeds, violations } from '../../support/differential.ts';
import { signature } from '../../support/golden.ts';
import { runOrt } from '../../support/ort.ts';

const head = (opset: number, body: string, ir = 8): string =>
  `<ir_version: ${ir}, opset_import: ["" : ${opset}]>\n${body}`;

/** Graphs that break the usual converter, and what else conversion has to get right. `casts`: how many it may take. */
const graphs: Record<string, { text: string; casts: number; options?: Parameters<typeof toFp16>[0] }> = {
  'two blocked nodes that share an input': {
    casts: 2,
    text: head(
      13,
      `g (float[3,4] x) => (float[3,4] y, float[3,4] z) <int64 axis = {1}> {
      h = Sigmoid (x)  y = CumSum (h, axis)  z = CumSum (h, axis)
    }`,
    ),
  },
  'a blocked node that reads one input twice': {
    casts: 4,
    text: head(13, `g (float[3,4] x) => (float[3,4] y) { h = Sigmoid (x)  m = Max (h, h)  y = Exp (m) }`),
  },
  'a blocked node inside an If branch': {
    casts: 4,
    text: head(
      13,
      `g (float[3,4] x, bool c) => (float[3,4] y) <int64 axis = {1}> {
      h = Sigmoid (x)
      r = If <then_branch = t () => (float[3,4] a) { a = CumSum (h, axis) }, else_branch = e () => (float[3,4] b) { b = Relu (h) }> (c)
      y = Exp (r)
    }`,
    ),
  },
  'two branches that each own an initializer of the same name': {
    casts: 2,
    text: head(
      13,
      `g (float[3,4] x, bool c) => (float[3,4] y) {
      h = Sigmoid (x)
      y = If <then_branch = t () => (float[3,4] a) <float[4] w = {1, 2, 3, 4}> { a = Add (h, w) },
              else_branch = e () => (float[3,4] b) <float[4] w = {5, 6, 7, 8}> { b = Mul (h, w) }> (c)
    }`,
    ),
  },
  'a normalization of the input, spelled out, before which a Cast would stand': {
    casts: 2,
    text: head(
      17,
      `g (float[2,3,8] x) => (float[2,3,8] y) <float two = {2}, float eps = {0.001}, float[8] g = random(1), float[8] b = random(2), float[8,8] w = random(3)> {
      m = ReduceMean <axes = [-1]> (x)  d = Sub (x, m)  p = Pow (d, two)  v = ReduceMean <axes = [-1]> (p)
      e = Add (v, eps)  s = Sqrt (e)  q = Div (d, s)  h = Mul (g, q)  n = Add (b, h)  y = MatMul (n, w)
    }`,
    ),
  },
  'the same behind a node that stays float': {
    casts: 4,
    text: head(
      17,
      `g (float[2,3,8] x) => (float[2,3,8] y) <float two = {2}, float eps = {0.001}, float[8] g = random(1), float[8] b = random(2), float[8,8] w = random(3)> {
      i = MatMul (x, w)  c = Max (i, i)
      m = ReduceMean <axes = [-1]> (c)  d = Sub (c, m)  p = Pow (d, two)  v = ReduceMean <axes = [-1]> (p)
      e = Add (v, eps)  s = Sqrt (e)  q = Div (d, s)  h = Mul (q, g)  n = Add (h, b)  y = MatMul (n, w)
    }`,
    ),
  },
  'movers between blocked nodes stay float': {
    casts: 0,
    text: head(
      13,
      `g (float[3,4] x) => (float[12] y) <int64[1] s = {12}, int64 axis = {0}> {
      a = Max (x, x)  b = Transpose <perm = [1, 0]> (a)  c = Reshape (b, s)  y = CumSum (c, axis)
    }`,
    ),
  },
  'a mover next to arithmetic follows it': {
    casts: 2,
    text: head(
      13,
      `g (float[3,4] x) => (float[12] y) <int64[1] s = {12}> { a = Exp (x)  c = Reshape (a, s)  y = Max (c, c) }`,
    ),
  },
  'Resize keeps roi and scales in float32': {
    casts: 2,
    text: head(
      13,
      `g (float[1,1,4,4] x) => (float[1,1,8,8] y) <float[8] roi = {0, 0, 0, 0, 1, 1, 1, 1}, float[4] scales = {1, 1, 2, 2}> {
      h = Sigmoid (x)  y = Resize <mode = "linear"> (h, roi, scales)
    }`,
    ),
  },
  'a value carried through a Loop, with a blocked node in the body': {
    casts: 5,
    text: head(
      13,
      `g (float[3,4] x) => (float[3,4] y, float[2,3,4] s) <int64 n = {2}, bool yes = {1}, int64 axis = {1}, float k = {0.5}> {
      h = Sigmoid (x)
      y, s = Loop <body = b (int64 i, bool c, float[3,4] v) => (bool c2, float[3,4] v2, float[3,4] out) {
        c2 = Identity (c)  sum = CumSum (v, axis)  v2 = Mul (sum, k)  out = Add (v2, h)
      }> (n, yes, h)
    }`,
    ),
  },
  'Scan with state and scanned inputs': {
    casts: 4,
    text: head(
      13,
      `g (float[2] init, float[5,2] xs) => (float[2] last, float[5,2] ys) {
      last, ys = Scan <num_scan_inputs = 1, body = b (float[2] s, float[2] x) => (float[2] s2, float[2] o) { s2 = Add (s, x)  o = Tanh (s2) }> (init, xs)
    }`,
    ),
  },
  'an outer value captured two graphs deep, by a blocked node': {
    casts: 4,
    text: head(
      13,
      `g (float[3] x, bool c) => (float[3] y) <int64 axis = {0}> {
      h = Sigmoid (x)
      y = If <then_branch = t () => (float[3] a) {
        a = If <then_branch = tt () => (float[3] aa) { q = CumSum (h, axis)  aa = Mul (q, h) }, else_branch = te () => (float[3] ab) { ab = Identity (h) }> (c)
      }, else_branch = e () => (float[3] b) { b = Neg (h) }> (c)
    }`,
    ),
  },
  'a value that is an output, read inside, and made by a blocked node': {
    casts: 2,
    text: head(13, `g (float[3] x) => (float[3] m, float[3] y) { m = Max (x, x)  y = Exp (m) }`),
  },
  'a value that is an output twice over': {
    casts: 3,
    text: head(13, `g (float[3] x) => (float[3] y, float[3] z) { y = Exp (x)  z = Sigmoid (y) }`),
  },
  'an input that is an output': {
    casts: 2,
    text: head(13, `g (float[3] x) => (float[3] x2, float[3] y) { x2 = Identity (x)  y = Sigmoid (x) }`),
  },
  'sequences stay float32': {
    casts: 4,
    text: head(
      13,
      `g (float[3] x) => (float[3] y) <int64 zero = {0}> {
      a = Sigmoid (x)  s = SequenceConstruct (a, a)  b = SequenceAt (s, zero)  y = Exp (b)
    }`,
    ),
  },
  'random values are made in float32': {
    casts: 4,
    text: head(
      13,
      `g (float[3] x) => (float[3] y) <float[1] zero = {2}> {
      r = RandomNormal <shape = [3], seed = 1.0> ()  q = Mul (r, zero)  l = RandomNormalLike <seed = 2.0, scale = 0.5> (x)  t = Add (q, l)  y = Add (t, x)
    }`,
    ),
  },
  'LayerNormalization, whose statistics are always float32': {
    casts: 2,
    text: head(
      17,
      `g (float[2,8] x) => (float[2,8] y, float[2,1] mean) <float[8] w = {1,2,1,2,1,2,1,2}, float[8] b = {0,1,0,1,0,1,0,1}> {
      y, mean = LayerNormalization (x, w, b)
    }`,
    ),
  },
  'types in attributes: Cast, ConstantOfShape with and without a value': {
    casts: 1,
    text: head(
      13,
      `g (int64[3] i) => (float[3] y) <int64[1] s = {3}> {
      a = Cast <to = 1> (i)  b = ConstantOfShape <value = float[1] {1.5}> (s)  c = ConstantOfShape (s)  d = Add (a, b)  e = Add (d, c)  y = Sigmoid (e)
    }`,
    ),
  },
  'initializers that are inputs too, before IR 4': {
    casts: 2,
    text: head(
      8,
      `g (float[2,3] x, float[3,2] w) => (float[2,2] y) <float[3,2] w = {1, 2, 3, 4, 5, 6}> { y = MatMul (x, w) }`,
      3,
    ),
  },
  'initializers that a caller may override': {
    casts: 3,
    text: head(
      13,
      `g (float[2,3] x, float[3,2] w) => (float[2,2] y) <float[3,2] w = {1, 2, 3, 4, 5, 6}> { y = MatMul (x, w) }`,
    ),
  },
  'a small constant read in both precisions': {
    casts: 4,
    text: head(
      13,
      `g (float[2] x) => (float[2] y) <float[2] k = {0.1, 0.2}> { h = Sigmoid (x)  a = Add (h, k)  b = Max (a, k)  y = Exp (b) }`,
    ),
  },
  'a mask of minus infinity, and one of huge negative numbers': {
    casts: 2,
    text: head(
      13,
      `g (float[2,3] x, bool[2,3] m) => (float[2,3] y) <float inf = {-inf}, float[2,3] big = {0, -3.4e38, 0, -1e9, 0, 0}> {
      a = Where (m, x, inf)  n = Not (m)  b = Where (n, x, x)  c = Add (b, big)  p = Softmax (c)  y = Add (p, p)
    }`,
    ),
  },
  'quantized arithmetic keeps its float scales': {
    casts: 2,
    text: head(
      13,
      `g (float[2,4] x) => (float[20,2,3] y) <int8[4,3] w = {1,2,3,4,5,6,7,8,9,10,11,12}, float[3] ws = {0.1,0.2,0.3}, float[20,2,3] k = random(1)> {
      h = Sigmoid (x)  q, s, z = DynamicQuantizeLinear (h)  i = MatMulInteger (q, w, z)  f = Cast <to = 1> (i)  t = Mul (s, ws)  r = Mul (f, t)
      y = Mul (r, k)
    }`,
    ),
  },
  'a quantized model without float weights stays as it is': {
    casts: 0,
    text: head(
      13,
      `g (float[2,4] x) => (float[2,3] y) <int8[4,3] w = {1,2,3,4,5,6,7,8,9,10,11,12}, float[3] ws = {0.1,0.2,0.3}> {
      q, s, z = DynamicQuantizeLinear (x)  i = MatMulInteger (q, w, z)  f = Cast <to = 1> (i)  t = Mul (s, ws)  r = Mul (f, t)
      y = Tanh (r)
    }`,
    ),
  },
  'InstanceNormalization over a small map computes in half': {
    casts: 2,
    text: head(
      13,
      `g (float[1,2,8,8] x) => (float[1,2,8,8] y) <float[2] s = {1, 2}, float[2] b = {0, 1}> { h = Sigmoid (x)  y = InstanceNormalization (h, s, b) }`,
    ),
  },
  'a mean over a large map stays float, between half nodes': {
    casts: 4,
    text: head(
      13,
      `g (float[1,2,64,64] x) => (float[1,2] y) { h = Sigmoid (x)  m = ReduceMean <axes = [2, 3], keepdims = 0> (h)  y = Exp (m) }`,
    ),
  },
  'every node kept: nothing is squeezed through half on the way': {
    casts: 0,
    options: { keep: ['Sigmoid', 'Exp', 'MatMul'] },
    text: head(
      13,
      `g (float[3,4] x) => (float[3,4] y) <float[4,4] w = random(1)> { a = Sigmoid (x)  b = MatMul (a, w)  y = Exp (b) }`,
    ),
  },
  'half inputs and outputs': {
    casts: 3,
    options: { keepIoTypes: false },
    text: head(13, `g (float[3,4] x) => (float[3,4] y, float[3,4] z) { y = Sigmoid (x)  z = Max (y, x) }`),
  },
  'half inputs beside an initializer that a caller may replace': {
    casts: 1,
    options: { keepIoTypes: false },
    text: head(13, `g (float[3,4] x, float[4] b) => (float[3,4] y) <float[4] b = {1, 2, 3, 4}> { y = Add (x, b) }`),
  },
  'a chosen node and a chosen operator': {
    casts: 2,
    options: { keep: ['soft', 'Exp'] },
    text: head(
      13,
      `g (float[3] x) => (float[3] y) { a = Exp (x)  [soft] b = Softmax (a)  c = Neg (b)  y = Mul (c, c) }`,
    ),
  },
};

const levels: readonly OptimizationLevel[] = ['disabled', 'basic', 'extended', 'all'];

async function convert(
  model: Model,
  options: Record<string, unknown> = {},
  ranges?: ReadonlyMap<string, ActivationRange>,
) {
  const ctx = new TestContext();
  const activations = ranges && { source: 'data' as const, samples: 1, ranges: async () => ranges };
  const result = await toFp16.run(model, toFp16(options).options as never, Object.assign(ctx, { activations }));
  return { ...result, skips: ctx.skips, counts: ctx.counts() };
}

const castsIn = (model: Model): number => countOps(model).Cast ?? 0;

describe('to-fp16', () => {
  it.each(Object.entries(graphs))('%s', async (_, { text, casts, options }) => {
    const before = parseModel(text);
    expect(verify(before)).toEqual([]);
    const after = cloneModel(before);
    const { changed } = await convert(after, options);
    expect(verify(after)).toEqual([]);
    expect(castsIn(after) - castsIn(before)).toBe(casts);
    expect(changed).toBe(casts > 0);
    if (options?.keepIoTypes !== false) expect(signature(after)).toBe(signature(before));
    const feeds = edgeFeeds(before, 3, {}, {}, [calmFillings[0] as (typeof calmFillings)[0]]);
    const halfFeeds = edgeFeeds(after, 3, {}, {}, [calmFillings[0] as (typeof calmFillings)[0]]);
    const [expected] = await runOrt(before, feeds);
    for (const level of levels) {
      const [actual] = await runOrt(after, halfFeeds, level);
      if (!expected || !actual) throw new Error('no outputs');
      if (options?.keepIoTypes === false) for (const tensor of actual.values()) expect(tensor.dtype).toBe('float16');
      else expect(violations(expected, actual, { kind: 'lossy', sqnrDb: 50 }), level).toEqual([]);
    }
    const again = await convert(after, options);
    expect(again.changed).toBe(false);
  });

  it('keeps casts of a subgraph in the subgraph', async () => {
    const model = parseModel((graphs['a blocked node inside an If branch'] as { text: string }).text);
    await convert(model);
    const outer = [...model.graph.nodes].filter((node) => node.op === 'Cast');
    expect(outer.map((node) => [node.input(0)?.name, node.outputs[0]?.name])).toEqual([
      ['x', 'x_fp16'],
      ['y_fp16', 'y'],
    ]);
    const inner = [...graphsBelow(model.graph)].slice(1).map((graph) => [...graph.nodes].map((node) => node.op));
    expect(inner).toContainEqual(['Cast', 'CumSum', 'Cast']);
  });

  it('says why a node stays, in words that name the tensor or the remedy', async () => {
    const why = async (text: string, options: Record<string, unknown> = {}) =>
      (await convert(parseModel(text), options)).skips.map((skip) => `${skip.rule}: ${skip.why}`);
    expect(await why(head(13, 'g (float[2] x) => (float[2] y) <float[2] k = {1e5, 1}> { y = Mul (x, k) }'))).toEqual([
      'range: its constant "k" has 1 value beyond ±65504, the largest number of float16',
    ]);
    expect(await why(head(13, 'g (float[1,4096] x) => (float[1,1] y) { y = ReduceMean <axes = [1]> (x) }'))).toEqual([
      'reduction: it adds up 4096 values, more than 2048 that a float16 sum can take (--max-reduction)',
    ]);
    expect(await why(head(12, 'g (float[2] x) => (float[2] y) { r = Celu (x)  y = Exp (r) }'))).toEqual([
      'schema: Celu takes float16 from opset 28 on, and the model is of opset 12',
    ]);
    expect(
      await why(
        '<ir_version: 8, opset_import: ["" : 13, "acme" : 1]>\ng (float[2] x) => (float[2] y) { r = acme.Foo (x)  y = Exp (r) }',
      ),
    ).toEqual([
      'schema: operator acme.Foo of opset 13 is not known, nor whether it takes float16',
      'type: the type of its input "r" is not known: give the value a type, or run simplify first',
    ]);
    expect(
      await why(
        head(13, 'g (float[2] x) => (float[2] y) { h = Cast <to = 10> (x)  e = Exp (h)  y = Cast <to = 1> (e) }'),
      ),
    ).toEqual([
      'mixed: the model is in mixed precision already: Cast "h" casts from float32 to float16; convert the float32 original instead',
    ]);
    expect(
      await why(head(13, 'g (double[2,4] x) => (double[2,3] y) <double[4,3] w = random(1)> { y = MatMul (x, w) }')),
    ).toEqual(['gain: its weights are float64, not float32: to-fp32 makes such a model float32 first']);
  });

  it('keeps float32 where measured activations ask for it, and lets masks through', async () => {
    const range = (min: number, max: number, more: Partial<ActivationRange> = {}): ActivationRange => ({
      min,
      max,
      absMax: Math.max(-min, max),
      nan: 0,
      inf: 0,
      ...more,
    });
    const text = head(
      13,
      `g (float[2,3] x, float[2,3] mask) => (float[2,3] y) {
      [square] s = Mul (x, x)  [root] r = Sqrt (s)  [masked] m = Add (r, mask)  [soft] p = Softmax (m)  [last] y = Neg (p)
    }`,
    );
    const run = async (ranges: [string, ActivationRange][]) =>
      (await convert(parseModel(text), {}, new Map(ranges))).skips.map((skip) => `${skip.node} ${skip.why}`);
    expect(
      await run([
        ['s', range(0, 9000)],
        ['m', range(-10_000, 20)],
        ['mask', range(-10_000, 0)],
      ]),
    ).toEqual([
      'Mul "square" "s" reaches 9000 on the samples, more than 8188',
      'Sqrt "root" "s" reaches 9000 on the samples, more than 8188',
    ]);
    expect(await run([['m', range(-600, 600)]])).toEqual([
      'Softmax "soft" "m" reaches 600.0 on the samples, more than 512, and Softmax is sensitive to it',
    ]);
    expect(await run([['p', range(0, 1, { nan: 2 })]])).toEqual([
      'Softmax "soft" "p" was NaN or infinite on the samples',
      'Neg "last" "p" was NaN or infinite on the samples',
    ]);
  });

  it('keeps float32 where a sum on the way overflows, and in branches', async () => {
    const range = (absMax: number): ActivationRange => ({ min: 0, max: absMax, absMax, nan: 0, inf: 0 });
    const skips = async (text: string, ranges: [string, ActivationRange][]) =>
      (await convert(parseModel(text), {}, new Map(ranges))).skips.map((skip) => `${skip.node} ${skip.why}`);
    const mean = head(
      13,
      `g (float[2,1000] x) => (float[2] y) { [mean] m = ReduceMean <axes = [1], keepdims = 0> (x)  [last] y = Neg (m) }`,
    );
    expect(await skips(mean, [['m', range(9)]])).toEqual([
      'ReduceMean "mean" the sum that it makes on its way to "m" reaches 9000 on the samples, more than 8188',
    ]);
    expect(await skips(mean, [['m', range(8)]])).toEqual([]);
    const length = head(
      13,
      `g (float[2,8] x) => (float[2] y) { [length] m = ReduceL2 <axes = [1], keepdims = 0> (x)  [last] y = Neg (m) }`,
    );
    expect(await skips(length, [['m', range(100)]])).toEqual([
      'ReduceL2 "length" the sum that it makes on its way to "m" reaches 1.000e+4 on the samples, more than 8188',
    ]);
    const branch = head(
      13,
      `g (float[4] x, bool c) => (float[4] y) {
        y = If <then_branch = t () => (float[4] a) { [square] q = Mul (x, x)  [root] a = Sqrt (q) },
                else_branch = e () => (float[4] b) { b = Neg (x) }> (c)
      }`,
    );
    expect(await skips(branch, [['q', range(1e4)]])).toEqual([
      'Mul "square" "q" reaches 1.000e+4 on the samples, more than 8188',
      'Sqrt "root" "q" reaches 1.000e+4 on the samples, more than 8188',
    ]);
  });

  it('clamps constants and says so', async () => {
    const model = parseModel(
      head(
        13,
        'g (float[2,2] x) => (float[2,2] y) <float[2,2] k = {-1e9, 1e-9, 0, -inf}> { h = Sigmoid (x)  a = Add (h, k)  y = Softmax (a) }',
      ),
    );
    const { counts } = await convert(model);
    expect(counts).toMatchObject({ clamp: 1, constant: 1, half: 3 });
    const [k] = [...model.graph.initializers];
    expect(k?.dtype).toBe('float16');
    expect(Array.from(new Uint16Array(k?.initializer?.bytes().slice().buffer ?? new ArrayBuffer(0)))).toEqual([
      0xfbff, 1, 0, 0xfc00,
    ]);
  });
});
