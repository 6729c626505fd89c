import { describe, expect, it } from 'vitest';
import { logarithmBehind } from '../../../passes/quantize/logarithm.ts';
import { quantizeDynamic } from '../../../passes/quantize/quantize-dynamic.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import { type Tensor, tensorFrom } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { TestContext } from '../../support/context.ts';
import { runOrt } from '../../support/ort.ts';
import { activationsOf, quantize, sqnr } from './static/support.ts';

/** Powers of 128 frequencies by frames, their 32 bands, and the logarithm of these. */
const bands = (behind: string): string =>
  `<ir_version: 8, opset_import: ["" : 17]>
  g (float[1,64,128] x) => (float[] y) <float[128,32] mel = random(1), float[32,32] w = random(2), float[] eps = {1e-6}, float[] one = {1}> {
    p = Mul (x, x)  m = MatMul (p, mel)  ${behind} }`;

const logMel = bands('a = Abs (m)  e = Add (a, eps)  l = Log (e)  y = MatMul (l, w)');

/** Frames from loud to quiet, as speech is. */
function frames(): Map<string, Tensor>[] {
  const data = Float32Array.from({ length: 64 * 128 }, (_, at) => Math.sin(at * at) * 10 ** (-3 * ((at >> 7) / 64)));
  return [new Map([['x', tensorFrom('float32', [1, 64, 128], data)]])];
}

async function decibels(
  text: string,
  change: (model: ReturnType<typeof parseModel>) => Promise<unknown>,
): Promise<number> {
  const before = parseModel(text);
  const after = cloneModel(before);
  await change(after);
  const [float, rounded] = await Promise.all([before, after].map(async (model) => (await runOrt(model, frames()))[0]));
  return sqnr(float, rounded);
}

describe('what goes into a logarithm', () => {
  it('keeps its layer in float, rounded at run time or ahead', async () => {
    const ctx = new TestContext();
    const dynamic = await decibels(logMel, async (model) => {
      await quantizeDynamic.run(model, quantizeDynamic({ minElements: 512 }).options as never, ctx);
    });
    expect(ctx.counts()).toMatchObject({ linear: 1 });
    expect(ctx.skips.map(({ node, why }) => `${node}: ${why}`).join()).toMatch(
      /MatMul "m": its result goes into Log "l"/,
    );
    expect(dynamic).toBeGreaterThan(30);
    let made: Awaited<ReturnType<typeof quantize>> | undefined;
    const ahead = await decibels(logMel, async (model) => {
      made = await quantize(model, { cpu: 'vnni' }, activationsOf(frames()));
    });
    expect(made?.counts).toMatchObject({ weighted: 1 });
    expect(ahead).toBeGreaterThan(30);
  });

  it('may stand behind a square, a sum and the bands of a spectrum', () => {
    const text = `<ir_version: 8, opset_import: ["" : 13]>
    g (float[1,1,400] x) => (float[] y) <float[64,1,40] dft = random(1), int64[2] halves = {32,32}, float[32,8] mel = random(2), float[] eps = {1e-9}> {
      f = Conv <strides = [20]> (x, dft)  re, im = Split <axis = 1> (f, halves)  a = Mul (re, re)  b = Mul (im, im)  p = Add (a, b)
      t = Transpose <perm = [0,2,1]> (p)  m = MatMul (t, mel)  e = Max (m, eps)  y = Log (e) }`;
    const nodes = [...parseModel(text).graph.nodes].filter(({ op }) => op === 'Conv' || op === 'MatMul');
    expect(nodes.map((node) => logarithmBehind(node)?.slice(0, 25))).toEqual(
      Array(2).fill('its result goes into Log '),
    );
  });

  it.each([
    ['a floor that takes the small values away in float too', 'a = Abs (m)  e = Add (a, one)  y = Log (e)'],
    ['a layer in between', 'a = Tanh (m)  k = MatMul (a, w)  s = Sigmoid (k)  y = Log (s)'],
    ['an exponent in between', 'a = Exp (m)  s = ReduceSum (a)  y = Log (s)'],
  ])('may not: %s', (_, behind) => {
    const [, mel] = [...parseModel(bands(behind)).graph.nodes];
    expect(mel?.op).toBe('MatMul');
    expect(logarithmBehind(mel as NonNullable<typeof mel>)).toBeUndefined();
  });
});
