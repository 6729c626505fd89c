import { describe, expect, it } from 'vitest';
import { lowRank } from '../../../passes/low-rank/low-rank.ts';
import { openModel } from '../../../src/engine/open-model.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { elementCount, type Tensor, tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { addErrors, emptyErrorSums, sqnrDb } from '../../../src/kernels/error.ts';
import type { Judge, MakeJudge } from '../../../src/pass/judge.ts';
import type { Activations } from '../../../src/pass/pass.ts';
import { TestContext } from '../../support/context.ts';
import { observedOn } from '../../support/observed.ts';
import { type Feeds, runOrt } from '../../support/ort.ts';
import { normals } from '../../support/synthetic-layer.ts';

const head = (body: string): string => `<ir_version: 8, opset_import: ["" : 13]>\n${body}`;
type Options = NonNullable<Parameters<typeof lowRank>[0]>;

/** A judge whose clock is a function of the model: a test must not hang on that of the machine. */
function judgeWith(feeds: Feeds, timeOf: (model: Model) => number): MakeJudge {
  return async () =>
    ({
      provider: 'cpu',
      some: async () => [{ feeds, size: 1 }],
      open: async (model: Model) => {
        const session = await openModel(model);
        return {
          run: async (one: Feeds) => await session.run(one),
          time: async () => timeOf(model),
          dispose: () => session.dispose(),
        };
      },
      tally: () => {
        const sums = emptyErrorSums();
        return {
          add: (base: ReadonlyMap<string, Tensor>, other: ReadonlyMap<string, Tensor>) => {
            for (const [name, tensor] of base)
              addErrors(sums, typedArray(tensor, 'float32'), typedArray(other.get(name) as Tensor, 'float32'));
          },
          result: () => ({ noise: 10 ** (-sqnrDb(sums) / 10), sqnrDb: sqnrDb(sums), kl: undefined, flips: undefined }),
        };
      },
      dispose: async () => undefined,
    }) as unknown as Judge;
}

/** Weights that are read by what is multiplied: what a machine without overhead would take. */
const byWeights = (model: Model): number =>
  [...model.graph.initializers].reduce((sum, { initializer }) => sum + elementCount(initializer?.shape ?? []), 0);

const contextOf = (activations: Activations | undefined, judge: MakeJudge) =>
  Object.assign(new TestContext(), { activations, judge });

async function run(model: Model, feeds: readonly Feeds[], options: Options, timeOf = byWeights) {
  const judge = judgeWith(feeds[0] as Feeds, timeOf);
  const ctx = contextOf(observedOn(feeds), judge);
  const { changed } = await lowRank.run(model, lowRank({ minElements: 0, ...options }).options as never, ctx);
  expect(verify(model)).toEqual([]);
  return { changed, applied: ctx.applications.map(({ detail }) => detail), skips: ctx.skips.map(({ why }) => why) };
}

/** [rows, columns] of this rank. */
function lowRankMatrix(rows: number, columns: number, rank: number, seed: number): Float32Array {
  const draw = normals(seed);
  const [a, b] = [Array.from({ length: rows * rank }, draw), Array.from({ length: rank * columns }, draw)];
  const result = new Float32Array(rows * columns);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++)
      for (let i = 0; i < rank; i++)
        result[r * columns + c] =
          (result[r * columns + c] as number) + (a[r * rank + i] as number) * (b[i * columns + c] as number) * 0.1;
  return result;
}

/** [size, size] whose directions count less and less, by this factor each. */
function decaying(size: number, factor: number): Float32Array {
  const draw = normals(7);
  const result = new Float32Array(size * size);
  for (let i = 0; i < size; i++) {
    const [a, b] = [Array.from({ length: size }, draw), Array.from({ length: size }, draw)];
    for (let at = 0; at < result.length; at++)
      result[at] =
        (result[at] as number) + factor ** i * 0.1 * (a[Math.floor(at / size)] as number) * (b[at % size] as number);
  }
  return result;
}

function withWeights(text: string, weights: Readonly<Record<string, Float32Array>>): Model {
  const model = parseModel(head(text));
  for (const value of [...model.graph.initializers]) {
    const data = weights[value.name];
    if (data) value.tensor = tensorFrom('float32', value.initializer?.shape ?? [], data);
  }
  return model;
}

async function decibels(base: Model, model: Model, feeds: Feeds): Promise<number> {
  const sums = emptyErrorSums();
  const [[want], [got]] = [await runOrt(base, [feeds]), await runOrt(model, [feeds])];
  addErrors(sums, typedArray(want?.get('y') as never, 'float32'), typedArray(got?.get('y') as never, 'float32'));
  return sqnrDb(sums);
}

const feedsOf = (shape: readonly number[], count: number): Feeds[] =>
  Array.from({ length: count }, (_, at) => {
    const data = Float32Array.from({ length: elementCount(shape) }, normals(at + 1));
    return new Map([['x', tensorFrom('float32', shape, data)]]);
  });

describe('low-rank', () => {
  const gemm = withWeights(
    `g (float[n,64] x) => (float[n,48] y) <float[48,64] w = random(1), float[48] b = random(2)> { y = Gemm <transB = 1, alpha = 0.5> (x, w, b) }`,
    { w: lowRankMatrix(48, 64, 6, 3) },
  );
  const seen = feedsOf([32, 64], 6);

  it('two products for one of low rank, factor and bias kept', async () => {
    const model = cloneModel(gemm);
    const { applied } = await run(model, seen, {});
    expect(applied).toEqual(['rank 8, 100.0 % of its output, ×0.30 of its time on cpu']);
    expect([...model.graph.nodes].map(({ op }) => op)).toEqual(['MatMul', 'Gemm']);
    expect(await decibels(gemm, model, feedsOf([16, 64], 9)[8] as Feeds)).toBeGreaterThan(80);
  });

  it('leaves factors whole when it runs again, with the same settings or others', async () => {
    const model = withWeights(
      `g (float[n,96] x) => (float[n,96] y) <float[96,96] w = random(1)> { y = MatMul (x, w) }`,
      { w: decaying(96, 0.9) },
    );
    const data = feedsOf([64, 96], 4);
    expect((await run(model, data, { energy: 0.99, maxLoss: 1 })).changed).toBe(true);
    const once = [...model.graph.nodes].map(({ op }) => op);
    const again = await run(model, data, { energy: 0.99, maxLoss: 1 });
    expect(again).toMatchObject({ changed: false, skips: [expect.stringContaining('these settings before')] });
    const lower = await run(model, data, { energy: 0.6, maxLoss: 1 });
    expect(lower.changed).toBe(false);
    expect(lower.skips).toEqual(once.map(() => expect.stringContaining('it took the place of a wider layer')));
    expect([...model.graph.nodes].map(({ op }) => op)).toEqual(once);
  });

  it('never where the clock says that it is slower, or not surely faster', async () => {
    for (const cost of [1.2, 1, 0.97]) {
      const model = cloneModel(gemm);
      const { changed, skips } = await run(model, seen, {}, (one) => (one.graph.nodeCount > 1 ? cost : 1));
      expect(changed).toBe(false);
      expect(skips[0]).toBe(
        `two layers are not faster than it on cpu, even of rank 8 (×${cost.toFixed(2)} of its time, up to ×${cost.toFixed(2)})`,
      );
    }
  });

  it('says what rank it would take where the weights have none that is low', async () => {
    const full = withWeights(
      `g (float[n,64] x) => (float[n,48] y) <float[64,48] w = random(1)> { y = MatMul (x, w) }`,
      {
        w: Float32Array.from({ length: 64 * 48 }, normals(4)),
      },
    );
    const { changed, skips } = await run(full, seen, {});
    expect(changed).toBe(false);
    expect(skips[0]).toMatch(
      /99\.0 % of its output take rank 4[08] of 48, and from 27 on two layers multiply more than one/,
    );
  });

  it('takes the largest rank that is fast enough, and leaves it where too little of the output is held', async () => {
    const weights = { w: lowRankMatrix(64, 48, 20, 5) };
    const text = `g (float[n,64] x) => (float[n,48] y) <float[64,48] w = random(1)> { y = MatMul (x, w) }`;
    const model = withWeights(text, weights);
    const { applied } = await run(model, seen, { rank: 'latency', speedup: 1.1, energy: 0.5 });
    // Rank 24 takes 24 · 112 of 3072 weights, ×0.88.
    expect(applied[0]).toContain('rank 24');
    const { skips } = await run(withWeights(text, weights), seen, { rank: 'latency', speedup: 3, energy: 0.95 });
    expect(skips[0]).toMatch(
      /rank 8, the largest that makes it 3 times as fast on cpu, holds .* and 95\.0 % are asked for/,
    );
    const none = await run(withWeights(text, weights), seen, { rank: 'latency', speedup: 50 });
    expect(none.skips[0]).toContain('no rank makes it 50 times as fast on cpu');
  });

  it('keeps more of a layer, or all of it, where the outputs of the model would lose too much', async () => {
    const text = `g (float[n,64] x) => (float[n,48] y) <float[64,48] w = random(1)> { y = MatMul (x, w) }`;
    const w = lowRankMatrix(64, 48, 20, 5);
    const loose = withWeights(text, { w });
    expect((await run(loose, seen, { energy: 0.5, maxLoss: 100 })).applied[0]).toContain('rank 8');
    const strict = withWeights(text, { w });
    // Half of the output would be noise of 0.5, 95 % of it noise of 0.05; 99.5 % take all 20 ranks.
    expect((await run(strict, seen, { energy: 0.5 })).applied[0]).toContain('rank 24');
    const draw = normals(9);
    const none = withWeights(text, { w: w.map((x) => x + 0.02 * draw()) });
    const { changed, skips } = await run(none, seen, { energy: 0.9, maxLoss: 1e-9 });
    expect(changed).toBe(false);
    expect(skips[0]).toMatch(
      /^with 99\.90 % of its output the outputs of the model would lose .*, more than 1\.0e-9 \(its part of --max-loss\)/,
    );
  });

  it('splits convolutions, their window kept: two of them, or three (Tucker-2)', async () => {
    const text = `g (float[n,32,9,9] x) => (float[n,40,5,5] y) <float[40,32,3,3] w = random(1), float[40] b = random(2)> {
      y = Conv <strides = [2,2], pads = [1,1,1,1], kernel_shape = [3,3]> (x, w, b)
    }`;
    const pictures = feedsOf([8, 32, 9, 9], 8);
    const outputs = withWeights(text, { w: lowRankMatrix(40, 288, 6, 6) });
    const pair = cloneModel(outputs);
    expect((await run(pair, pictures, { tucker: false })).applied[0]).toContain('rank 8, 100.0 % of its output');
    expect([...pair.graph.nodes].map(({ op }) => op)).toEqual(['Conv', 'Conv']);
    expect(await decibels(outputs, pair, pictures[7] as Feeds)).toBeGreaterThan(80);
    // Low along the channels too: w[n, c, t] = Σ a[n, i]·core[i, j, t]·b[j, c].
    const spread = lowRankMatrix(40, 8 * 9, 6, 7);
    const into = lowRankMatrix(8, 32, 8, 8);
    const w = new Float32Array(40 * 288);
    for (let n = 0; n < 40; n++)
      for (let c = 0; c < 32; c++)
        for (let t = 0; t < 9; t++)
          for (let j = 0; j < 8; j++)
            w[n * 288 + c * 9 + t] =
              (w[n * 288 + c * 9 + t] as number) +
              (spread[n * 72 + j * 9 + t] as number) * (into[j * 32 + c] as number);
    const both = withWeights(text, { w });
    const tucker = cloneModel(both);
    expect((await run(tucker, pictures, {})).applied[0]).toContain('8 channels in and 8 out (Tucker-2)');
    expect([...tucker.graph.nodes].map(({ op }) => op)).toEqual(['Conv', 'Conv', 'Conv']);
    expect(await decibels(both, tucker, pictures[7] as Feeds)).toBeGreaterThan(60);
    expect((await run(tucker, pictures, { minElements: 4000 })).changed).toBe(false);
  });

  it('names what it cannot split', async () => {
    const model = parseModel(
      head(`g (float[n,16,4,4] x, float[64,64] v) => (float[n,16,4,4] y, float[n,64] z)
      <float[16,1,3,3] d = random(1), float[64,64] v = random(2), int64[2] s = {-1, 64}> {
        y = Conv <group = 16, pads = [1,1,1,1]> (x, d)
        f = GlobalAveragePool (y)  g = Concat <axis = 1> (f, f, f, f)  r = Reshape (g, s)
        z = MatMul (r, v)
      }`),
    );
    const { skips } = await run(model, feedsOf([4, 16, 4, 4], 4), {});
    expect(skips).toEqual([
      'its weights "v" are a graph input too, so a caller may replace them: make them a plain initializer',
      'it works in 16 groups, each narrow already',
    ]);
  });
});
