import { describe, expect, it } from 'vitest';
import { permuteChannels } from '../../../passes/prune/permute.ts';
import { pruneWeights } from '../../../passes/prune/prune-weights.ts';
import { createJudge } from '../../../src/engine/judge.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { addErrors, emptyErrorSums, sqnrDb } from '../../../src/kernels/error.ts';
import { f32ToF16 } from '../../../src/kernels/f16.ts';
import { countZeros, isNofM, keepNofM } from '../../../src/kernels/mask.ts';
import type { Activations } from '../../../src/pass/pass.ts';
import { TestContext } from '../../support/context.ts';
import { observedOn } from '../../support/observed.ts';
import { type Feeds, runOrt } from '../../support/ort.ts';
import { normals } from '../../support/synthetic-layer.ts';

const head = (body: string): string => `<ir_version: 8, opset_import: ["" : 13]>\n${body}`;
type Options = NonNullable<Parameters<typeof pruneWeights>[0]>;

/** Pictures [count, 8, 6, 6] whose channels go together. */
function picturesOf(count: number, seed: number): Feeds {
  const draw = normals(seed);
  const x = new Float32Array(count * 8 * 36);
  for (let s = 0; s < count; s++)
    for (let p = 0; p < 36; p++) {
      const shared = [draw(), draw(), draw()];
      for (let c = 0; c < 8; c++)
        x[(s * 8 + c) * 36 + p] = (shared[c % 3] as number) * (1 + c / 8) + 0.3 * draw() + 0.5;
    }
  return new Map([['x', tensorFrom('float32', [count, 8, 6, 6], x)]]);
}

const network = head(`g (float[n,8,6,6] x) => (float[n,10] y)
<float[24,8,3,3] a = random(1), float[24] ab = random(2), float[24,1,3,3] d = random(3), float[32,24,1,1] p = random(4), float[32,10] w = random(5), float[10] b = random(6)> {
  c = Conv <pads = [1,1,1,1]> (x, a, ab)  r = Relu (c)
  e = Conv <group = 24, pads = [1,1,1,1]> (r, d)  f = Relu (e)
  h = Conv (f, p)  i = Relu (h)
  q = GlobalAveragePool (i)  v = Flatten (q)
  m = MatMul (v, w)  y = Add (m, b)
}`);

const seen = Array.from({ length: 12 }, (_, at) => picturesOf(16, at + 1));

const contextOf = (activations: Activations | undefined) => Object.assign(new TestContext(), { activations });

async function prune(model: Model, options: Options) {
  const ctx = contextOf(observedOn(seen));
  const { changed } = await pruneWeights.run(model, pruneWeights({ minElements: 0, ...options }).options as never, ctx);
  expect(verify(model)).toEqual([]);
  return { changed, applied: ctx.applications, skips: ctx.skips };
}

async function decibels(base: Model, model: Model): Promise<number> {
  const sums = emptyErrorSums();
  for (let at = 0; at < 4; at++) {
    const feeds = picturesOf(16, 100 + at);
    const [[want], [got]] = [await runOrt(base, [feeds]), await runOrt(model, [feeds])];
    addErrors(sums, typedArray(want?.get('y') as never, 'float32'), typedArray(got?.get('y') as never, 'float32'));
  }
  return sqnrDb(sums);
}

function weights(model: Model, name: string): Float32Array {
  const tensor = [...model.graph.initializers].find((value) => value.name === name)?.initializer;
  if (!tensor) throw new Error(`no ${name}`);
  return typedArray(tensor, 'float32');
}

const sizes = { a: 24 * 72, d: 24 * 9, p: 32 * 24, w: 320 };

describe('prune-weights, fitted to what layers see', () => {
  const base = parseModel(network);

  it('zeroes exactly the share of each layer and keeps the outputs nearer than magnitude does', async () => {
    const [fitted, plain] = [cloneModel(base), cloneModel(base)];
    const { applied } = await prune(fitted, {});
    await prune(plain, { score: 'magnitude' });
    for (const [name, size] of Object.entries(sizes)) expect(countZeros(weights(fitted, name))).toBe(size / 2);
    expect(applied.map(({ rule }) => rule)).toEqual(['fitted', 'fitted', 'fitted', 'fitted']);
    expect(await decibels(base, fitted)).toBeGreaterThan((await decibels(base, plain)) + 5);
    // The bias of the convolutions that had none is there for the mean; the one of the last layer was moved.
    expect([...fitted.graph.nodes].filter((node) => node.op === 'Conv').map((node) => node.inputs.length)).toEqual([
      3, 3, 3,
    ]);
    const again = await prune(fitted, {});
    expect(again.changed).toBe(false);
    expect(again.applied).toEqual([]);
  }, 60_000);

  it.each([
    [
      '2:4',
      (w: Float32Array, c: number, taps: number) =>
        isNofM(w, { outer: w.length / c / taps, length: c, inner: taps }, 2, 4),
    ],
    [
      '4:8',
      (w: Float32Array, c: number, taps: number) =>
        isNofM(w, { outer: w.length / c / taps, length: c, inner: taps }, 4, 8),
    ],
  ])(
    'keeps the pattern %s along the inputs',
    async (pattern, holds) => {
      const [fitted, plain] = [cloneModel(base), cloneModel(base)];
      const { skips } = await prune(fitted, { pattern, permute: false });
      await prune(plain, { pattern, permute: false, score: 'magnitude' });
      expect(holds(weights(fitted, 'a'), 8, 9)).toBe(true);
      expect(holds(weights(fitted, 'p'), 24, 1)).toBe(true);
      expect(skips.map(({ why }) => why).join()).toContain('its weights "d" have 1 inputs, fewer than a group of');
      expect(await decibels(base, fitted)).toBeGreaterThan(await decibels(base, plain));
    },
    60_000,
  );

  it('removes whole groups of inputs where the pattern says so', async () => {
    const model = cloneModel(base);
    await prune(model, { pattern: 'block8', sparsity: 0.25 });
    const [a, p] = [weights(model, 'a'), weights(model, 'p')];
    expect(countZeros(a)).toBe((24 * 72) / 4);
    expect(countZeros(p)).toBe((32 * 24) / 4);
    for (let at = 0; at < p.length; at += 8) expect(countZeros(p.subarray(at, at + 8)) % 8).toBe(0);
  }, 60_000);

  it('wanda weighs magnitudes by what inputs carry, and moves nothing else', async () => {
    const model = cloneModel(base);
    await prune(model, { score: 'wanda' });
    const [before, after] = [weights(base, 'p'), weights(model, 'p')];
    for (let at = 0; at < after.length; at++) if (after[at] !== 0) expect(after[at]).toBe(before[at]);
    expect(countZeros(after)).toBe(after.length / 2);
    expect([...model.graph.nodes].filter((node) => node.op === 'Conv').map((node) => node.inputs.length)).toEqual([
      3, 2, 2,
    ]);
  }, 60_000);

  it('says what is not fitted, and prunes it by magnitude', async () => {
    const model = parseModel(
      head(`g (float[n,8] x, bool c) => (float[n,8] y) <float[8,8] w = random(1), float[8,8] v = random(2)> {
        h = MatMul (x, w)  i = MatMul (h, w)
        y = If <then_branch = t () => (float[n,8] a) { a = MatMul (i, v) }, else_branch = e () => (float[n,8] b) { b = Identity (i) }> (c)
      }`),
    );
    const { skips, applied } = await prune(model, {});
    expect(skips.map(({ rule, why }) => `${rule}: ${why}`)).toEqual([
      'fitted: its weights "w" are shared by 2 layers, which see different things: by magnitude',
      'fitted: it stands in a branch, a loop or a function, where inputs are not observed: by magnitude',
      'speed: ONNX Runtime has no sparse kernels: zeros make the compressed file smaller, not inference faster',
    ]);
    expect(applied.map(({ rule }) => rule)).toEqual(['magnitude', 'magnitude']);
  });

  it('refuses what cannot be', async () => {
    const run = (options: Options, activations?: Activations) =>
      pruneWeights.run(cloneModel(base), pruneWeights(options).options as never, contextOf(activations));
    await expect(run({ sparsity: 1 })).rejects.toThrow(/would leave no weight at all/);
    await expect(run({ score: 'wanda' })).rejects.toThrow(
      /--score wanda looks at what layers see, and there are no samples/,
    );
    await expect(run({ score: 'sparsegpt' })).rejects.toThrow(/--data/);
    await expect(run({ pattern: 'block1' })).rejects.toThrow(/no pruning pattern/);
  });

  it('says so when there are too few rows to fit to', async () => {
    const model = parseModel(
      head('g (float[n,8] x) => (float[n,8] y) <float[8,8] w = random(1)> { y = MatMul (x, w) }'),
    );
    const few = observedOn([new Map([['x', tensorFrom('float32', [4, 8], new Float32Array(32).fill(1))]])]);
    const ctx = contextOf(few);
    await pruneWeights.run(model, pruneWeights({ minElements: 0 }).options as never, ctx);
    expect(ctx.skips[0]?.why).toBe('4 rows of data are too few to fit its weights to: by magnitude');
    expect(countZeros(weights(model, 'w'))).toBe(32);
  });
});

describe('the share of each layer', () => {
  const two =
    head(`g (float[n,10] x) => (float[n,10] y) <float[10,100] a = random(1), float[100,10] c = random(2), float[10,10] d = random(3)> {
    h = MatMul (x, a)  i = MatMul (h, c)  y = MatMul (i, d)
  }`);

  it('erk takes more of large layers, exactly the share of the whole', async () => {
    const model = parseModel(two);
    await prune(model, { score: 'magnitude', scope: 'erk', sparsity: 0.8 });
    const zeros = ['a', 'c', 'd'].map((name) => countZeros(weights(model, name)));
    expect(zeros.reduce((a, b) => a + b, 0)).toBe(Math.round(0.8 * 2100));
    // Σ extents / Π extents: 110/1000 and 20/100.
    const kept = [1 - (zeros[0] as number) / 1000, 1 - (zeros[2] as number) / 100];
    expect((kept[1] as number) / (kept[0] as number)).toBeCloseTo(0.2 / 0.11, 1);
  });

  it('global leaves 1 % of a layer whose weights are all small, and says so; the others make up for it', async () => {
    const model = parseModel(two);
    const small = [...model.graph.initializers].find(({ name }) => name === 'a');
    if (!small) throw new Error('no a');
    small.tensor = tensorFrom(
      'float32',
      [10, 100],
      weights(model, 'a').map((w) => w * 1e-6),
    );
    const { skips } = await prune(model, { score: 'magnitude', scope: 'global', sparsity: 0.5 });
    expect(countZeros(weights(model, 'a'))).toBe(990);
    expect(['a', 'c', 'd'].reduce((sum, name) => sum + countZeros(weights(model, name)), 0)).toBe(1050);
    expect(skips[0]?.why).toContain('so small beside those of other layers');
  });

  it('sensitivity takes less from the layer on which the outputs hang most, and exactly the share of the whole', async () => {
    const model = parseModel(two);
    // Nothing of what the first layer gives is lost on the way but by the last, whose weights count a hundred times.
    const ctx = Object.assign(contextOf(undefined), { judge: createJudge(undefined, { seed: 1 }) });
    const options = pruneWeights({ minElements: 0, score: 'magnitude', scope: 'sensitivity', sparsity: 0.6 }).options;
    await pruneWeights.run(model, options as never, ctx);
    const zeros = ['a', 'c', 'd'].map((name) => countZeros(weights(model, name)));
    expect(zeros.reduce((a, b) => a + b, 0)).toBe(Math.round(0.6 * 2100));
    // The small layer in the way of everything loses the smallest share.
    expect((zeros[2] as number) / 100).toBeLessThan((zeros[0] as number) / 1000);
    expect(ctx.notes.join()).toContain('each of 3 layers was pruned alone');
  }, 60_000);
});

describe('channels that change places for N of M', () => {
  const chain = head(`g (float[n,8,6,6] x) => (float[n,6] y)
  <float[32,8,3,3] a = random(1), float[32] ab = random(2), float[32,1,1] s = random(7), float[16,32,1,1] p = random(3), float[16,6] w = random(4)> {
    c = Conv <pads = [1,1,1,1]> (x, a, ab)  t = Add (c, s)  r = Relu (t)
    h = Conv (r, p)  i = LeakyRelu (h)
    q = GlobalAveragePool (i)  v = Flatten (q)
    y = MatMul (v, w)
  }`);

  it('keeps more of the weights, and nothing else changes', async () => {
    const base = parseModel(chain);
    const permuted = parseModel(chain);
    const ctx = contextOf(undefined);
    expect(permuteChannels(permuted, { n: 2, m: 4 }, { keep: [], minElements: 0 }, ctx)).toBe(true);
    expect(verify(permuted)).toEqual([]);
    expect(ctx.applications.map(({ node }) => node)).toEqual(['Conv "c"', 'Conv "h"']);
    expect(await decibels(base, permuted)).toBeGreaterThan(100);
    const kept = (model: Model): number => {
      const all = weights(model, [...model.graph.initializers].find(({ name }) => name.startsWith('p'))?.name ?? '');
      return keepNofM(all, { outer: 16, length: 32, inner: 1 }, 2, 4).reduce((sum, x) => sum + Math.abs(x), 0);
    };
    expect(kept(permuted)).toBeGreaterThan(kept(base) * 1.01);
  });

  it('within the pass, once; and not where it is switched off', async () => {
    const model = parseModel(chain);
    const run = async (target: Model, options: Options) => {
      const ctx = contextOf(undefined);
      await pruneWeights.run(
        target,
        pruneWeights({ minElements: 0, pattern: '2:4', ...options }).options as never,
        ctx,
      );
      return ctx.applications.map(({ rule }) => rule);
    };
    expect(await run(model, {})).toEqual(['permute', 'permute', 'pattern', 'pattern', 'pattern']);
    expect(await run(model, {})).toEqual([]);
    expect(await run(parseModel(chain), { permute: false })).toEqual(['pattern', 'pattern', 'pattern']);
    // Where no weight is large enough to lose any, nothing is worth an order of its own.
    expect(await run(parseModel(chain), { minElements: 1e6 })).toEqual([]);
  });

  it('gives a convolution in half precision no bias in float32', async () => {
    const model = parseModel(
      head(`g (float16[4,4,6,6] x) => (float16[4,8,6,6] y) <float16[8,4,3,3] a = random(1)> {
        y = Conv <pads = [1,1,1,1]> (x, a) }`),
    );
    const draw = normals(1);
    const feeds = Array.from({ length: 4 }, (): Feeds => {
      const x = Float32Array.from({ length: 4 * 4 * 36 }, () => draw() + 0.5);
      return new Map([['x', tensorFrom('float16', [4, 4, 6, 6], f32ToF16(x))]]);
    });
    const ctx = contextOf(observedOn(feeds));
    await pruneWeights.run(model, pruneWeights({ minElements: 0, score: 'sparsegpt' }).options as never, ctx);
    expect(ctx.applications.map(({ rule }) => rule)).toEqual(['fitted']);
    expect(verify(model)).toEqual([]);
  });

  it('moves a bias that a Constant node says as value_floats', async () => {
    const model = parseModel(
      head(`g (float[32,16] x) => (float[32,4] y) <float[16,4] a = random(1)> {
        c = Constant <value_floats = [0.1, 0.2, 0.3, 0.4]> ()  m = MatMul (x, a)  y = Add (m, c) }`),
    );
    const draw = normals(2);
    const feeds = Array.from({ length: 4 }, (): Feeds => {
      const x = Float32Array.from({ length: 32 * 16 }, () => draw() + 3);
      return new Map([['x', tensorFrom('float32', [32, 16], x)]]);
    });
    const ctx = contextOf(observedOn(feeds));
    const { options } = pruneWeights({ minElements: 0, score: 'sparsegpt', sparsity: 0.7 });
    await pruneWeights.run(model, options as never, ctx);
    expect([...(model.graph.firstNode?.attrs.keys() ?? [])]).toEqual(['value']);
    expect(verify(model)).toEqual([]);
  });

  it('says what stands in the way', async () => {
    const model = parseModel(
      head(`g (float[n,8,4,4] x) => (float[n,8,4,4] y, float[n,8,4,4] z)
      <float[8,8,1,1] a = random(1), float[8,1,3,3] d = random(2), float[8,8,1,1] b = random(3), float[8,1,1] s = random(4), float[8,8,1,1] e = random(5)> {
        h = Conv (x, a)  i = Conv <group = 8, pads = [1,1,1,1]> (h, d)
        j = Conv (i, b)  k = PRelu (j, s)  z = Conv (k, e)  y = Add (z, x)
      }`),
    );
    const ctx = contextOf(undefined);
    permuteChannels(model, { n: 2, m: 4 }, { keep: [], minElements: 0 }, ctx);
    const why = ctx.skips.map(({ why: sentence }) => sentence).join('; ');
    expect(why).toContain('one of the two layers works in groups');
    expect(why).toContain('PRelu');
  });
});
