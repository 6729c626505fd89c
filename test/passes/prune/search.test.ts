import { describe, expect, it } from 'vitest';
import { pruneSearch } from '../../../passes/prune/prune-search.ts';
import { affordable } from '../../../passes/prune/search/effort.ts';
import { lastWord } from '../../../passes/prune/search/ends.ts';
import { createJudge } from '../../../src/engine/judge.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { countMacs } from '../../../src/ir/macs.ts';
import { elementCount, tensorFrom } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import type { Score } from '../../../src/pass/judge.ts';
import { runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';
import { observedOn } from '../../support/observed.ts';
import type { Feeds } from '../../support/ort.ts';
import { normals } from '../../support/synthetic-layer.ts';

const shape = [4, 16, 6, 6];

/** Two residual blocks, the first of which next to nothing comes of; half of the channels within the second hardly count. */
function residual(): Model {
  const model = parseModel(`<ir_version: 8, opset_import: ["" : 13]>
g (float[N,16,6,6] x) => (float[N,4,6,6] y)
<
  float[16,16,3,3] a1 = random(1), float[16] a2 = random(2), float[16,16,3,3] a3 = random(3),
  float[32,16,3,3] b1 = random(4), float[32] b2 = random(5), float[16,32,3,3] b3 = random(6),
  float[4,16,1,1] c1 = random(7)
>
{
  p = Conv <pads = [1,1,1,1]> (x, a1, a2)  q = Relu (p)  r = Conv <pads = [1,1,1,1]> (q, a3)  s = Add (x, r)
  t = Conv <pads = [1,1,1,1]> (s, b1, b2)  u = Relu (t)  v = Conv <pads = [1,1,1,1]> (u, b3)  w = Add (s, v)
  y = Conv (w, c1)
}`);
  for (const value of [...model.graph.initializers]) {
    const size = elementCount(value.initializer?.shape ?? []);
    const draw = normals(value.name.charCodeAt(0) * 10 + value.name.charCodeAt(1));
    // b3 reads channels 16 to 31 with hardly any weight.
    const weight = (i: number): number =>
      value.name === 'a3' ? 1e-4 : value.name === 'b3' && Math.floor(i / 9) % 32 >= 16 ? 1e-4 : 0.1;
    value.tensor = tensorFrom(
      'float32',
      value.initializer?.shape ?? [],
      Float32Array.from({ length: size }, (_, i) => draw() * weight(i)),
    );
  }
  return model;
}

const feeds: Feeds[] = Array.from(
  { length: 12 },
  (_, at) =>
    new Map([['x', tensorFrom('float32', shape, Float32Array.from({ length: elementCount(shape) }, normals(at + 1)))]]),
);

const macsOf = (model: Model): number => countMacs(model, inferShapes(model, { write: false })).total;

async function search(model: Model, options: Parameters<typeof pruneSearch>[0], data: readonly Feeds[] = feeds) {
  const context = Object.assign(new TestContext(), {
    activations: data.length > 0 ? observedOn(data) : undefined,
    judge: createJudge(undefined, { seed: 0 }),
  });
  const [trace] = await runSteps(model, [pruneSearch(options)], { context });
  if (!trace) throw new Error('no trace');
  expect(verify(model)).toEqual([]);
  return trace;
}

describe('prune-search', () => {
  it('takes the block and the channels that cost nothing, and stops where the outputs would suffer', async () => {
    const model = residual();
    const trace = await search(model, { minSqnr: 40 });
    expect(trace.applied).toMatchObject({ 'drop-layer': 1, channels: 1 });
    expect(trace.applications.find(({ rule }) => rule === 'channels')?.detail).toBe('32 → 16');
    expect([...model.graph.nodes].map(({ op }) => op)).toEqual(['Conv', 'Relu', 'Conv', 'Add', 'Conv']);
    expect(trace.notes?.some((note) => note.endsWith('too much'))).toBe(true);
    // What was searched once loses nothing more.
    const again = await search(model, { minSqnr: 40 });
    expect(again.changed).toBe(false);
    expect(again.skipped[0]?.why).toMatch(/it was searched before/);
  });

  it('leaves the model as it was where nothing keeps the floor, and where there is no data', async () => {
    const model = residual();
    const strict = await search(model, { minSqnr: 300 });
    expect(strict.changed).toBe(false);
    expect(strict.skipped.at(-1)?.why).toMatch(/nothing that saves 3 % of its work keeps the floor/);
    expect([...model.graph.nodes]).toHaveLength(9);
    const blind = await search(cloneModel(model), {}, []);
    expect(blind.skipped.map(({ why }) => why)).toEqual([
      'a search fits and judges on samples: give a folder of them with --data (prune-channels takes a ratio without any)',
    ]);
  });

  it('comes down to the work asked for where it costs least, and says what cannot be reached', async () => {
    const model = residual();
    const before = macsOf(model);
    const trace = await search(model, { macs: 0.6, fits: 3 });
    expect(trace.applied).toMatchObject({ 'drop-layer': 1, channels: 1 });
    const left = macsOf(model) / before;
    expect(left).toBeLessThanOrEqual(0.6);
    expect(trace.notes).toContainEqual(
      expect.stringContaining(`${(100 * left).toFixed(1)} % of its multiply-accumulates are left`),
    );
    // What goes was found on one half of the samples; both are reported.
    expect(trace.notes?.filter((note) => /that (the search saw|it did not see)$/.test(note))).toHaveLength(2);
    const stuck = residual();
    const none = await search(stuck, { macs: 0.05, fits: 3, blocks: false });
    expect(none.changed).toBe(false);
    expect(none.skipped.at(-1)?.why).toMatch(/^5\.0 % of its multiply-accumulates cannot be reached by what may go/);
    expect(macsOf(stuck)).toBe(before);
  });

  it('tries single moves behind the point that halving found', async () => {
    const model = residual();
    // Without fits to spare there are none.
    const { notes } = await search(model, { minSqnr: 40, fits: 10 });
    const verdicts = (notes ?? []).filter((note) => /: (kept|too much)$/.test(note) && !note.includes('had not seen'));
    expect(new Set(verdicts).size).toBe(verdicts.length);
    expect(notes?.some((note) => note.endsWith('that the search had not seen: kept'))).toBe(true);
  });

  it('names the drop on all samples, which decides, beside the one on those that the search had not seen', () => {
    const score = (drop: number): Score => ({
      metric: 'top1',
      value: 0.76 - drop,
      base: 0.76,
      drop,
      samples: 500,
      sqnrDb: 20,
    });
    const floor = { maxDrop: 0.01, minSqnrDb: 30 };
    expect(lastWord(score(-0.004), score(0.012), floor)).toEqual({
      keeps: true,
      outcome: 'kept, 0.0040 with the others',
    });
    expect(lastWord(score(0.01), score(0.022), floor)).toEqual({
      keeps: false,
      outcome: 'too much, 0.0160 with the others, so the step before it is looked at',
    });
  });

  it('tries less where a trial opens parts of a large graph', () => {
    const triedOf = (model: Model): number => affordable(model, 12, { trials: 300, fits: 4 }, new Map()).trials;
    const large = residual();
    const [y] = large.graph.outputs;
    for (let at = 0; y && at < 20_000; at++) large.graph.append('Neg', { inputs: [y], outputs: [`neg_${at}`] });
    expect(triedOf(residual())).toBe(300);
    expect(triedOf(large)).toBeLessThan(100);
  });

  it('counts the work at the extents of the samples: of a wave of one value strides leave nothing', async () => {
    const wave = parseModel(`<ir_version: 8, opset_import: ["" : 13]>
g (float[N,16,T] x) => (float[N,4,U] y)
<float[32,16,8] a = random(1), float[16,32,8] b = random(2), float[4,16,1] c = random(3)>
{ p = Conv <strides = [4]> (x, a)  q = Relu (p)  r = Conv <strides = [4]> (q, b)  s = Relu (r)  y = Conv (s, c) }`);
    const extents = new Map([['T', 96]]);
    const count = (model: Model): number =>
      countMacs(model, inferShapes(model, { write: false }), { bindings: extents }).total;
    const before = count(wave);
    const waves = feeds.map((_, at): Feeds => {
      const draw = normals(at + 1);
      return new Map([['x', tensorFrom('float32', [2, 16, 96], Float32Array.from({ length: 2 * 16 * 96 }, draw))]]);
    });
    const trace = await search(wave, { macs: 0.8, fits: 3 }, waves);
    expect(trace.applied['channels']).toBeGreaterThan(0);
    expect(count(wave) / before).toBeLessThanOrEqual(0.8);
  });

  it('tries less of long samples', () => {
    const triedOf = (extents: ReadonlyMap<string, number>): number =>
      affordable(text, 400, { trials: 300, fits: 4 }, extents).trials;
    const text = parseModel(`<ir_version: 8, opset_import: ["" : 13]>
g (float[N,S,256] x) => (float[N,S,256] y)
<float[256,1024] a = random(1), float[1024,256] b = random(2)> { p = MatMul (x, a)  q = Relu (p)  y = MatMul (q, b) }`);
    expect(triedOf(new Map([['S', 96]]))).toBeLessThan(triedOf(new Map([['S', 1]])) / 2);
  });

  it('says so where no part of it can go', async () => {
    const plain = parseModel(`<ir_version: 8, opset_import: ["" : 13]>
g (float[N,16,6,6] x) => (float[N,4,6,6] y) <float[4,16,1,1] c1 = random(7)> { y = Conv (x, c1) }`);
    const trace = await search(plain, {});
    expect(trace.skipped.at(-1)?.why).toBe(
      'it has neither channels in the multiples asked for (--round) nor residual blocks that can go',
    );
  });
});
