import { describe, expect, it } from 'vitest';
import { toBf16 } from '../../../passes/quantize/to-bf16.ts';
import { toFp16 } from '../../../passes/quantize/to-fp16.ts';
import { auditModel } from '../../../src/engine/audit.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { tensorFrom } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import type { Step } from '../../../src/pass/pass.ts';
import { runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';
import { random } from '../../support/differential.ts';
import { type Feeds, runOrt } from '../../support/ort.ts';
import { sqnr } from './static/support.ts';

/** 64 frequencies, as rotary embeddings have them: 10000^(-i/64). */
const frequencies = Array.from({ length: 64 }, (_, i) => 10_000 ** (-i / 64)).join(', ');
const weights = 'float[128,128] w = random(1)';

/** Positions are a Cast of integers, as in exports of language models, with a Cast that casts nothing in between. */
const rotary = `<ir_version: 8, opset_import: ["" : 17]>
g (float[1,3,128] x, int64[1,3] position) => (float[1,3,128] y)
<float[1,1,64] freq = {${frequencies}}, int64[1] last = {2}, ${weights}> {
  p = Cast <to = 1> (position)  u = Unsqueeze (p, last)
  f = Cast <to = 1> (freq)  angle = MatMul (u, f)  both = Concat <axis = -1> (angle, angle)
  c = Cos (both)  s = Sin (both)  xc = Mul (x, c)  xs = Mul (x, s)  sum = Add (xc, xs)  y = MatMul (sum, w)
}`;

/** A time step as diffusion models take it: a float from the caller. */
const timeStep = `<ir_version: 8, opset_import: ["" : 17]>
g (float[3,1] t) => (float[3,128] y) <float[1,64] freq = {${frequencies}}, ${weights}> {
  angle = Mul (t, freq)  c = Cos (angle)  s = Sin (angle)  both = Concat <axis = -1> (s, c)  y = MatMul (both, w)
}`;

const far = [1000, 1777, 2047];

function feedsOf(model: Model): Feeds {
  const next = random(7);
  return new Map(
    model.graph.inputs.map(({ name }) => {
      if (name === 'position') return [name, tensorFrom('int64', [1, 3], BigInt64Array.from(far, BigInt))] as const;
      if (name === 't')
        return [
          name,
          tensorFrom(
            'float32',
            [3, 1],
            Float32Array.from(far, (x) => x - 0.3),
          ),
        ] as const;
      return [
        name,
        tensorFrom(
          'float32',
          [1, 3, 128],
          Float32Array.from({ length: 384 }, () => next() - 0.5),
        ),
      ] as const;
    }),
  );
}

async function decibels(text: string, step: Step): Promise<{ db: number; skips: string[] }> {
  const [before, after] = [parseModel(text), parseModel(text)];
  const ctx = new TestContext();
  const { changed } = await step.pass.run(after, step.options as never, ctx);
  expect(changed).toBe(true);
  const feeds = feedsOf(before);
  const [want] = await runOrt(before, [feeds]);
  const [got] = await runOrt(after, [feeds]);
  return { db: sqnr(want, got), skips: ctx.skips.map(({ node, why }) => `${node}: ${why}`) };
}

describe('angles of positions and times', () => {
  it.each([
    ['rotary', rotary],
    ['time step', timeStep],
  ])('stay float32, so that position 2047 is where it was: %s', async (_, text) => {
    const half = await decibels(text, toFp16());
    expect(half.db).toBeGreaterThan(55);
    expect(half.skips.join('\n')).toContain('it makes an angle of positions or times');
    expect((await decibels(text, toBf16())).db).toBeGreaterThan(35);
    const none = await decibels(text.replaceAll(/ (Cos|Sin) /g, ' Tanh '), toFp16());
    expect(none.skips.join('\n')).not.toContain('makes an angle');
  });

  it('are not what a layer gives: a sine as an activation becomes float16', async () => {
    const siren = `<ir_version: 8, opset_import: ["" : 17]>
g (float[3,128] x) => (float[3,128] y) <${weights}, float thirty = {30}> {
  h = MatMul (x, w)  z = Mul (h, thirty)  s = Sin (z)  y = MatMul (s, w)
}`;
    const model = parseModel(siren);
    await runSteps(model, [toFp16()], { context: new TestContext() });
    const sine = [...model.graph.nodes].find(({ op }) => op === 'Sin');
    expect(sine?.input(0)?.producer?.op).toBe('Mul');
    expect([...model.graph.nodes].filter(({ op }) => op === 'Cast')).toHaveLength(2);
  });
});

describe('norms that add up squares', () => {
  it.each([
    [
      'RMS norm',
      'p = Pow (x, two)  v = ReduceMean <axes = [-1]> (p)  e = Add (v, eps)  s = Sqrt (e)  r = Reciprocal (s)  n = Mul (x, r)',
    ],
    [
      'RMS norm with Div',
      'p = Mul (x, x)  v = ReduceMean <axes = [-1]> (p)  e = Add (v, eps)  s = Sqrt (e)  n = Div (x, s)',
    ],
    ['length', 'l = ReduceL2 <axes = [-1]> (x)  n = Div (x, l)'],
  ])('are finite where the residual stream reaches thousands: %s', async (_, body) => {
    const text = `<ir_version: 8, opset_import: ["" : 13]>
g (float[1,3,128] x0) => (float[1,3,128] y) <${weights}, float two = {2}, float eps = {0.000001}, float[1] large = {6000}, float[128] g = random(2)> {
  t = Tanh (x0)  x = Mul (t, large)  ${body}  h = Mul (g, n)  y = MatMul (h, w)
}`;
    const { db, skips } = await decibels(text, toFp16());
    expect(db).toBeGreaterThan(50);
    expect(skips.join('\n')).toContain('it belongs to a norm that adds up squares');
  });

  it('leave LayerNormalization spelled out to ONNX Runtime, which joins it', async () => {
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[1,3,128] x0) => (float[1,3,128] y) <${weights}, float two = {2}, float eps = {0.00001}, float[128] g = random(2), float[128] b = random(3)> {
  x = Tanh (x0)  m = ReduceMean <axes = [-1]> (x)  d = Sub (x, m)  p = Pow (d, two)  v = ReduceMean <axes = [-1]> (p)
  e = Add (v, eps)  s = Sqrt (e)  q = Div (d, s)  h = Mul (q, g)  n = Add (h, b)  y = MatMul (n, w)
}`);
    await runSteps(model, [toFp16()], { context: new TestContext() });
    expect((await auditModel(model)).fusedOps.LayerNormalization).toBe(1);
  });
});

describe('operators that ONNX Runtime writes out as functions of float32', () => {
  const normed = `<ir_version: 8, opset_import: ["" : 13]>
g (float[1,3,128] x) => (float[1,3,128] y) <${weights}> { n = MeanVarianceNormalization <axes = [0,2]> (x)  y = MatMul (n, w) }`;
  const sampled = `<ir_version: 9, opset_import: ["" : 20]>
g (float[1,3,128] x) => (float[1,4,4,2] y) <${weights}, int64[3] shape = {1,2,3}, int64[3] zero = {0,0,0}, int64[3] one = {1,1,6}, int64[4] size = {1,1,4,4}> {
  m = MatMul (x, w)  s = Slice (m, zero, one)  t = Reshape (s, shape)  y = AffineGrid (t, size) }`;
  it.each([
    ['MeanVarianceNormalization', normed],
    ['AffineGrid', sampled],
  ])('stay float32: %s', async (_, text) => {
    const { db, skips } = await decibels(text, toFp16());
    expect(db).toBeGreaterThan(50);
    expect(skips.join('\n')).toContain('has no float16 kernel for it');
  });
});
