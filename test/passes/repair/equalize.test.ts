import { describe, expect, it } from 'vitest';
import { equalize } from '../../../passes/repair/equalize.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import { constantOf } from '../../../src/ir/constant.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { layersOf } from '../../support/activations.ts';
import { TestContext } from '../../support/context.ts';
import { calmFillings, edgeFeeds, violations } from '../../support/differential.ts';
import { type Feeds, runOrt } from '../../support/ort.ts';

const head = (body: string, opset = 13): string => `<ir_version: 8, opset_import: ["" : ${opset}]>\n${body}`;
type Options = Parameters<typeof equalize>[0];

async function run(model: Model, options: Options = {}, feeds?: readonly Feeds[]) {
  const unused = () => Promise.reject(new Error('equalize asks for channels'));
  const activations = feeds && {
    source: 'data' as const,
    samples: feeds.length,
    ranges: unused,
    histograms: unused,
    grams: unused,
    layers: layersOf(feeds),
  };
  const ctx = Object.assign(new TestContext(), { activations });
  const { changed } = await equalize.run(model, equalize(options).options as never, ctx);
  expect(verify(model)).toEqual([]);
  return { changed, counts: ctx.counts(), why: ctx.skips.map(({ rule, why }) => `${rule}: ${why}`) };
}

const weights = (model: Model, index: number, input = 1): Float32Array =>
  typedArray(
    constantOf(
      [...model.graph.nodes].filter((node) => node.op === 'Conv' || node.op === 'Gemm')[index]?.input(input),
    ) as never,
    'float32',
  );

const feedsFor = (model: Model, count = 4): Feeds[] =>
  Array.from({ length: count }, (_, i) => edgeFeeds(model, i, {}, {}, calmFillings.slice(0, 1))[0] as Feeds);

describe('equalize', () => {
  it('divides W₁ and b₁ by s and multiplies W₂ with it, s = √(r₁·r₂) / r₂', async () => {
    const model = parseModel(
      head(`g (float[1,1,2,2] x) => (float[1,2,2,2] y) <float[2,1,1,1] w1 = {8, -0.5}, float[2] b1 = {4, 3}, float[2,2,1,1] w2 = {1, 3, -2, 4}> {
      a = Conv (x, w1, b1)  r = Relu (a)  y = Conv (r, w2) }`),
    );
    expect((await run(model)).counts).toEqual({ equalize: 1 });
    const s = [Math.sqrt(16) / 2, Math.sqrt(2) / 4];
    const near = (actual: Float32Array, expected: readonly number[]): void =>
      expected.forEach((x, i) => expect(actual[i]).toBeCloseTo(x, 3));
    near(weights(model, 0), [8 / (s[0] as number), -0.5 / (s[1] as number)]);
    near(weights(model, 0, 2), [4 / (s[0] as number), 3 / (s[1] as number)]);
    near(
      weights(model, 1),
      [1, 3, -2, 4].map((w, i) => w * (s[i % 2] as number)),
    );
  });

  it('lets no range of activations grow when there are samples to see it by', async () => {
    // Channel 0 has tiny weights and a large bias: dividing both by a tiny factor would blow the activation up.
    const text =
      head(`g (float[1,1,2,2] x) => (float[1,1,2,2] y) <float[2,1,1,1] w1 = {0.001, 1}, float[2] b1 = {1, 0}, float[1,2,1,1] w2 = {1, 1}> {
      a = Conv (x, w1, b1)  r = Relu (a)  y = Conv (r, w2) }`);
    const [free, guarded] = [parseModel(text), parseModel(text)];
    const feeds = feedsFor(free);
    await run(free);
    expect(weights(free, 0, 2)[0]).toBeCloseTo(1 / Math.sqrt(0.001), 1);
    await run(guarded, {}, feeds);
    expect(weights(guarded, 0, 2)[0]).toBeLessThan(2.1);
  });

  it('--clip: inactive scales what stays below the bound, drop makes it a Relu', async () => {
    const text =
      head(`g (float[1,1,2,2] x) => (float[1,1,2,2] y) <float[2,1,1,1] w1 = {8, 1}, float[1,2,1,1] w2 = {1, 3}, float zero = {0}, float six = {6}> {
      a = Conv (x, w1)  r = Clip (a, zero, six)  y = Conv (r, w2) }`);
    const before = parseModel(text);
    const feeds = feedsFor(before);
    const some = cloneModel(before);
    expect((await run(some, { clip: 'inactive' }, feeds)).counts).toEqual({ equalize: 1 });
    // Channel 0 reaches 6, channel 1 stays below 2: bound 6 · s must stay above that.
    expect(weights(some, 0)[0]).toBe(8);
    expect(weights(some, 0)[1]).toBeGreaterThan(1);
    const [expected, actual] = [await runOrt(before, feeds), await runOrt(some, feeds)];
    expect(
      expected.flatMap((want, i) =>
        violations(want, actual[i] as Feeds, { kind: 'reordered', rtol: 1e-5, atol: 1e-6 }),
      ),
    ).toEqual([]);

    const all = cloneModel(before);
    expect((await run(all, { clip: 'drop' })).counts).toEqual({ equalize: 1, clip: 1 });
    expect([...all.graph.nodes].map((node) => node.op)).toEqual(['Conv', 'Relu', 'Conv']);
    expect((await run(cloneModel(before), { clip: 'inactive' })).why.join()).toContain('there are no samples');
  });

  it('--absorb moves max(0, β − 3γ) of each channel into the next bias', async () => {
    const before = parseModel(
      head(`g (float[1,1,4,4] x) => (float[1,2] y) <float[2,1,1,1] w1 = {0.1, 1}, float[2] b1 = {5, 0}, float[2,2,1,1] w2 = {1, 2, 3, 4}, float[2] b2 = {1, 1}, float[2,2] w3 = {1, 2, 3, 1}> {
      a = Conv (x, w1, b1)  r = Relu (a)  c = Conv (r, w2, b2)  p = GlobalAveragePool (c)  f = Flatten (p)  y = Gemm (f, w3) }`),
    );
    const feeds = feedsFor(before, 8);
    const model = cloneModel(before);
    const value = model.graph.firstNode?.output();
    if (!value) throw new Error('no value');
    const seen = (await layersOf(feeds).channels(model, [{ value, axis: 1 }])).get(value.name);
    const { counts } = await run(model, { absorb: true, guard: false }, feeds);
    expect(counts).toMatchObject({ absorb: 1 });
    const mean = seen?.mean[0] as number;
    const c = mean - 3 * Math.sqrt((seen?.meanSquare[0] as number) - mean * mean);
    expect(c).toBeGreaterThan(4);
    // After scaling by s the same share is gone: b₁' = (b₁ − c) / s.
    const s = 0.1 / (weights(model, 0)[0] as number);
    expect(weights(model, 0, 2)[0]).toBeCloseTo((5 - c) / s, 4);
    const [expected, actual] = [await runOrt(before, feeds), await runOrt(model, feeds)];
    expect(expected.flatMap((want, i) => violations(want, actual[i] as Feeds, { kind: 'lossy', sqnrDb: 60 }))).toEqual(
      [],
    );
    const padded = parseModel(
      head(`g (float[1,1,4,4] x) => (float[1,1,4,4] y) <float[1,1,1,1] w1 = {0.1}, float[1] b1 = {5}, float[1,1,3,3] w2 = {1,1,1,1,1,1,1,1,1}> {
      a = Conv (x, w1, b1)  r = Relu (a)  y = Conv <pads = [1,1,1,1]> (r, w2) }`),
    );
    expect((await run(padded, { absorb: true }, feeds)).why).toEqual([
      'absorb: Conv "y" pads with zeros, to which nothing was added: its border would change',
    ]);
  });
});
