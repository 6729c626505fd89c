import { describe, expect, it } from 'vitest';
import { pruneChannels } from '../../../passes/prune/prune-channels.ts';
import { readReader } from '../../../passes/prune/repair/reader.ts';
import { createSyntheticActivations } from '../../../src/engine/activations.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import type { Activations } from '../../../src/pass/pass.ts';
import { runSteps } from '../../../src/pass/pipeline.ts';
import { layersOf } from '../../support/activations.ts';
import { TestContext } from '../../support/context.ts';
import { random } from '../../support/differential.ts';
import { type Feeds, runOrt } from '../../support/ort.ts';

const head = '<ir_version: 8, opset_import: ["" : 13]>\n';

function feedsOf(shape: readonly number[], count: number, seed: number): Feeds[] {
  const next = random(seed);
  const size = shape.reduce((a, b) => a * b, 1);
  const one = () => Float32Array.from({ length: size }, () => next() * 2 - 1);
  return Array.from({ length: count }, () => new Map([['x', tensorFrom('float32', shape, one())]]));
}

/** Activations over these very inputs. */
function activationsOf(feeds: readonly Feeds[]): Activations {
  return { ...createSyntheticActivations({ seed: 1 }), source: 'data', samples: feeds.length, layers: layersOf(feeds) };
}

async function prune(model: Model, options: Parameters<typeof pruneChannels>[0], feeds: readonly Feeds[]) {
  const context = Object.assign(new TestContext(), { activations: activationsOf(feeds) });
  const [trace] = await runSteps(model, [pruneChannels(options)], { context });
  if (!trace) throw new Error('no trace');
  return trace;
}

/** Largest error of the output over inputs that nothing was fitted to. */
async function errorOf(before: Model, after: Model, shape: readonly number[]): Promise<number> {
  const feeds = feedsOf(shape, 3, 99);
  const [a, b] = [await runOrt(before, feeds), await runOrt(after, feeds)];
  let worst = 0;
  for (const [index, outputs] of a.entries()) {
    const [want, got] = [outputs.get('y'), b[index]?.get('y')];
    if (!want || !got) throw new Error('no output');
    const numbers = typedArray(got, 'float32');
    for (const [i, x] of typedArray(want, 'float32').entries())
      worst = Math.max(worst, Math.abs(x - (numbers[i] as number)));
  }
  return worst;
}

/** Mean and deviation of each channel of the output [N, 3, 4, 4]. */
async function statisticsOf(model: Model, feeds: readonly Feeds[]): Promise<number[]> {
  const channels: number[][] = [[], [], []];
  for (const outputs of await runOrt(model, feeds)) {
    const y = outputs.get('y');
    if (!y) throw new Error('no output');
    for (const [i, value] of typedArray(y, 'float32').entries()) channels[Math.floor(i / 16) % 3]?.push(value);
  }
  return channels.flatMap((values) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return [mean, Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)];
  });
}

describe('repair', () => {
  // Channel 2 is channel 0 plus channel 1 plus a constant, and smaller weights read it: what it tells the others tell too.
  const conv = parseModel(`${head}main (float[N,2,6,6] x) => (float[N,3,4,4] y)
<
  float[3,2,1,1] w1 = {1, 0.5, -0.5, 1, 0.5, 1.5},
  float[3] b1 = {2, 0.2, 1},
  float[3,3,3,3] w2 = random(2),
  float[3] b2 = {1, 2, 3}
>
{
  a = Conv (x, w1, b1)
  y = Conv (a, w2, b2)
}`);
  const shape = [2, 2, 6, 6];
  const options = { ratio: 0.34, round: 1, score: 'fit' } as const;

  it('makes up for a channel that the others tell, exactly', async () => {
    const cut = cloneModel(conv);
    await prune(cut, options, feedsOf(shape, 24, 1));
    const repaired = cloneModel(conv);
    const trace = await prune(repaired, { ...options, repair: true }, feedsOf(shape, 24, 1));
    expect(trace.applied['repair']).toBe(1);
    expect(await errorOf(conv, cut, shape)).toBeGreaterThan(0.1);
    expect(await errorOf(conv, repaired, shape)).toBeLessThan(2e-3);
  });

  it('meets the mean where only biases may move', async () => {
    const cut = cloneModel(conv);
    await prune(cut, { ...options, score: 'l2' }, feedsOf(shape, 24, 1));
    const repaired = cloneModel(conv);
    await prune(repaired, { ...options, score: 'l2', repair: true, repairBy: 'bias' }, feedsOf(shape, 24, 1));
    expect(await errorOf(conv, repaired, shape)).toBeLessThan(await errorOf(conv, cut, shape));
  });

  it.each([
    ['with a bias', conv],
    [
      'in front of a BatchNormalization',
      parseModel(`${head}main (float[N,2,6,6] x) => (float[N,3,4,4] y)
<
  float[3,2,1,1] w1 = {1, 0.5, -0.5, 1, 0.5, 1.5}, float[3] b1 = {2, 0.2, 1}, float[3,3,3,3] w2 = random(2),
  float[3] scale = {1, 2, 0.5}, float[3] shift = {1, 2, 3}, float[3] mean = {0.1, -0.2, 0.3}, float[3] variance = {1, 2, 3}
>
{
  a = Conv (x, w1, b1)
  b = Conv (a, w2)
  y = BatchNormalization (b, scale, shift, mean, variance)
}`),
    ],
  ])('gives outputs %s the mean and deviation that they had', async (_, model) => {
    const by = { ...options, score: 'l2', ratio: 0.67 } as const;
    const cut = cloneModel(model);
    await prune(cut, by, feedsOf(shape, 48, 1));
    const repaired = cloneModel(model);
    const trace = await prune(repaired, { ...by, repair: true, repairBy: 'statistics' }, feedsOf(shape, 48, 1));
    expect(trace.applied['repair']).toBe(1);
    const want = await statisticsOf(model, feedsOf(shape, 48, 1));
    // Odd places hold deviations.
    const off = (got: readonly number[]): number =>
      Math.max(...got.map((value, i) => Math.abs(value - (want[i] as number)) / (want[i | 1] as number)));
    // Every eighth sample is held out of the sums.
    expect(off(await statisticsOf(repaired, feedsOf(shape, 48, 1)))).toBeLessThan(0.05);
    expect(off(await statisticsOf(cut, feedsOf(shape, 48, 1)))).toBeGreaterThan(0.2);
    expect(off(await statisticsOf(repaired, feedsOf(shape, 48, 2)))).toBeLessThan(0.1);
  });

  it('takes what stands beside a residual connection into account, layer by layer', async () => {
    const residual = parseModel(`${head}main (float[N,6] x) => (float[N,4] y)
<
  float[6,8] w1 = random(1), float[8] b1 = random(2), float[8,6] w2 = random(3), float[6] b2 = random(4),
  float[6,8] w3 = random(5), float[8] b3 = random(6), float[8,6] w4 = random(7), float[6] b4 = random(8),
  float[6,4] w5 = random(9)
>
{
  a = Gemm (x, w1, b1)  r = Relu (a)  b = Gemm (r, w2, b2)  s = Add (x, b)
  c = MatMul (s, w3)  d = Add (c, b3)  q = Relu (d)  e = MatMul (q, w4)  f = Add (b4, e)  t = Add (f, s)
  y = MatMul (t, w5)
}`);
    const rows = [40, 6];
    const cut = cloneModel(residual);
    await prune(cut, { ratio: 0.25, round: 1 }, feedsOf(rows, 40, 1));
    const repaired = cloneModel(residual);
    const trace = await prune(repaired, { ratio: 0.25, round: 1, repair: true }, feedsOf(rows, 40, 1));
    // Those that read fewer channels, and those behind them.
    expect(trace.applied['repair']).toBe(4);
    const near = cloneModel(residual);
    const readers = await prune(
      near,
      { ratio: 0.25, round: 1, repair: true, repairReach: 'readers' },
      feedsOf(rows, 40, 1),
    );
    expect(readers.applied['repair']).toBe(2);
    expect(await errorOf(residual, repaired, rows)).toBeLessThan(await errorOf(residual, near, rows));
    expect(await errorOf(residual, repaired, rows)).toBeLessThan((await errorOf(residual, cut, rows)) * 0.7);
  });

  it('refuses where too few rows of data reach a layer, and says so', async () => {
    const small = cloneModel(
      parseModel(`${head}main (float[N,6] x) => (float[N,4] y)
< float[6,8] w1 = random(1), float[8,4] w2 = random(3) >
{ a = MatMul (x, w1)  r = Relu (a)  y = MatMul (r, w2) }`),
    );
    const trace = await prune(small, { ratio: 0.5, round: 1, repair: true }, feedsOf([2, 6], 4, 1));
    expect(trace.applied['repair']).toBeUndefined();
    expect(trace.skipped.map(({ why }) => why).join()).toContain(
      '8 rows of data reach it, fewer than the 80 that a fit takes',
    );
  });

  it('says that it takes data', async () => {
    const model = cloneModel(conv);
    const [trace] = await runSteps(model, [pruneChannels({ ...options, repair: true })], {
      context: new TestContext(),
    });
    expect(trace?.skipped.map(({ why }) => why).join()).toContain(
      'fitting takes samples: give a folder of them with --data',
    );
  });
});

describe('readReader', () => {
  it('leaves weights alone that two layers read through one Transpose', () => {
    const model =
      parseModel(`<ir_version: 8, opset_import: ["" : 13]> g (float[2,4] x) => (float[2,4] y) <float[4,4] w = random(1)> {
      t = Transpose (w)  h = MatMul (x, t)  y = MatMul (h, t) }`);
    const [, first] = [...model.graph.nodes];
    expect(first && readReader(first, false)).toContain('shared with another layer');
  });
});
