import { describe, expect, it } from 'vitest';
import { quantizeStatic } from '../../../passes/quantize/quantize-static.ts';
import { absorberOf } from '../../../passes/repair/absorber.ts';
import { smoothQuant } from '../../../passes/repair/smooth-quant.ts';
import { gramsOf } from '../../../src/engine/grams.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import type { Activations } from '../../../src/pass/pass.ts';
import { layersOf } from '../../support/activations.ts';
import { TestContext } from '../../support/context.ts';
import { countOps } from '../../support/count-ops.ts';
import { random, violations } from '../../support/differential.ts';
import { type Feeds, runOrt } from '../../support/ort.ts';
import { activationsOf, sqnr } from '../quantize/static/support.ts';

const head = (body: string, opset = 17): string => `<ir_version: 8, opset_import: ["" : ${opset}]>\n${body}`;
const k = 32;

/** One channel in eight is thirty times as wide as the others, as in large language models. */
function uneven(count: number, seed: number): Feeds[] {
  const next = random(seed);
  return Array.from({ length: count }, () => {
    const data = Float32Array.from({ length: 24 * k }, (_, at) => (next() - 0.5) * (at % 8 === 3 ? 60 : 2));
    return new Map([['x', tensorFrom('float32', [2, 12, k], data)]]);
  });
}

const fit = uneven(12, 1);
const fresh = uneven(3, 2);

function contextWith(feeds: readonly Feeds[]) {
  const batches = () => feeds.map((one) => ({ feeds: one, size: 1 }));
  const activations: Activations = {
    ...activationsOf(feeds),
    layers: layersOf(feeds),
    grams: (model, requests, visit) => gramsOf(model, requests, batches, visit),
  };
  return Object.assign(new TestContext(), { activations: activations as never });
}

async function smooth(model: Model, options: Parameters<typeof smoothQuant>[0] = {}) {
  const ctx = contextWith(fit);
  const { changed } = await smoothQuant.run(model, smoothQuant(options).options as never, ctx);
  expect(verify(model)).toEqual([]);
  return { changed, counts: ctx.counts(), why: ctx.skips.map(({ node, why }) => `${node}: ${why}`) };
}

async function quantizedDb(source: Model): Promise<number> {
  const model = cloneModel(source);
  await quantizeStatic.run(
    model,
    quantizeStatic({ minElements: 0, place: 'all', keep: ['Mul'] }).options as never,
    contextWith(fit),
  );
  const [want, got] = [await runOrt(source, fresh), await runOrt(model, fresh)];
  return Math.min(...want.map((one, i) => sqnr(one, got[i])));
}

const weights = 'float[32,16] w1 = random(4), float[32,16] w2 = random(5)';
/** Where factors can go without a node of their own. `Add` of two activations cannot take any. */
const absorbing: Readonly<Record<string, string>> = {
  'a fused LayerNormalization': `float[32] g = random(1), float[32] b = random(2), ${weights}> { a = Add (x, b)  n = LayerNormalization (x, g, b)`,
  'a decomposed norm, Mul and Add': `float[32] g = random(1), float[32] b = random(2), ${weights}> { p = Mul (x, g)  n = Add (b, p)`,
  'a scalar factor': `float h = {0.5}, ${weights}> { n = Mul (x, h)`,
  'a layer and its Relu': `float[32,32] v = random(8), float[32] b = random(2), ${weights}> { m = MatMul (x, v)  p = Add (m, b)  n = Relu (p)`,
};

describe('smooth-quant', () => {
  it.each(Object.entries(absorbing))(
    '%s takes the factors in, the function stays, and INT8 comes nearer',
    async (name, body) => {
      const isLayer = name.startsWith('a layer');
      const text = head(
        `g (float[2,12,32] x) => (float[2,12,16] y, float[2,12,16] z) <${body}  y = MatMul (n, w1)  z = MatMul (n, w2) }`.replace(
          'a = Add (x, b)  ',
          '',
        ),
      );
      const before = parseModel(text);
      const after = cloneModel(before);
      const { counts, changed, why } = await smooth(after, {
        insert: false,
        ...(isLayer && { minGain: -100, check: false }),
      });
      expect(counts.smooth, why.join()).toBeGreaterThanOrEqual(2);
      expect(changed).toBe(true);
      expect(Object.keys(countOps(after)).sort()).toEqual(Object.keys(countOps(before)).sort());
      const [want, got] = [await runOrt(before, fresh), await runOrt(after, fresh)];
      expect(want.flatMap((one, i) => violations(one, got[i] as Feeds, smoothQuant.numerics({} as never)))).toEqual([]);
      if (!isLayer && !name.includes('fused'))
        expect(await quantizedDb(after)).toBeGreaterThan((await quantizedDb(before)) + 3);
    },
  );

  it('inserts a multiplication where others read the value too, and only for the layers', async () => {
    const text =
      head(`g (float[2,12,32] x) => (float[2,12,16] y, float[2,12,16] z, float[2,12,32] r) <float[32] g = random(1), ${weights}> {
      n = Sub (x, g)  y = MatMul (n, w1)  z = MatMul (n, w2)  r = Add (n, x) }`);
    const before = parseModel(text);
    const after = cloneModel(before);
    const refused = await smooth(cloneModel(before), { insert: false });
    expect(refused.changed).toBe(false);
    expect(refused.why[0]).toContain(
      '"n" is read by Add "r" too, so that factors would take a multiplication of their own (--insert)',
    );
    expect((await smooth(after)).counts).toEqual({ 'smooth-insert': 2 });
    expect(countOps(after).Mul).toBe(1);
    const [want, got] = [await runOrt(before, fresh), await runOrt(after, fresh)];
    expect(want.flatMap((one, i) => violations(one, got[i] as Feeds, smoothQuant.numerics({} as never)))).toEqual([]);
    expect(await quantizedDb(after)).toBeGreaterThan((await quantizedDb(before)) + 3);
  });

  it('says why layers stay: nothing to gain, shared or broken weights, too little data', async () => {
    const model = parseModel(
      head(
        `g (float[2,12,32] x) => (float[2,12,32] y, float[2,12,32] z, float[2,12,32] q) <float[32,32] w = random(1), float[32,32] bad = {...}, float[32] s = random(3)> {
      f = Tanh (x)  h = MatMul (f, w)  y = MatMul (h, w)  z = MatMul (x, x2)  q = MatMul (x, bad) }`.replace(
          'float[32,32] bad = {...}',
          `float[32,32] bad = {${Array.from({ length: 1024 }, (_, i) => (i === 5 ? 'nan' : '0.5')).join(', ')}}, float[32,32] x2 = random(9)`,
        ),
      ),
    );
    const { why } = await smooth(model, { minGain: 30 });
    expect(why.find((one) => one.includes('"h"'))).toContain('its weights "w" are shared with MatMul "y"');
    expect(why.find((one) => one.includes('"q"'))).toContain('its weights "bad" hold NaN or infinite numbers');
    expect(why.find((one) => one.includes('"z"'))).toMatch(
      /no factors bring its outputs nearer by 30 dB on rows that they were not chosen by \(best [\d.-]+ dB, with α [\d.]+\)/,
    );
  });
});

describe('absorberOf', () => {
  it('keeps the rank that a gain or a shift gives its result', async () => {
    const model = parseModel(
      head(
        'g (float[2,4] x) => (float[1,2,4] z) <float[1,1,4] c = {1, 2, 3, 4}, float[1,1] d = {2}> { n = Mul (x, c)  z = Add (n, d) }',
      ),
    );
    const absorb = absorberOf(model.graph.outputs[0] as never, 4, []);
    if (typeof absorb === 'string') throw new Error(absorb);
    absorb(Float64Array.of(1, 2, 4, 8));
    const x = tensorFrom('float32', [2, 4], Float32Array.of(1, 1, 1, 1, 2, 2, 2, 2));
    const [outputs] = await runOrt(model, [new Map([['x', x]])]);
    expect(outputs?.get('z')?.shape).toEqual([1, 2, 4]);
    expect([...typedArray(outputs?.get('z') as never, 'float32')]).toEqual([3, 2, 1.25, 0.75, 4, 3, 2, 1.25]);
  });

  it('takes nothing in where it was asked to keep the weights', () => {
    const model = parseModel(
      head('g (float[2,4] x) => (float[2,4] z) <float[4,4] w = random(1)> { h = MatMul (x, w)  z = Relu (h) }'),
    );
    const z = model.graph.outputs[0] as never;
    expect(typeof absorberOf(z, 4, [])).toBe('function');
    expect(absorberOf(z, 4, ['h'])).toBe('MatMul "h" makes it, which you asked to keep (--keep)');
  });
});
