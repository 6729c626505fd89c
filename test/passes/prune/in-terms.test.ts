import { describe, expect, it } from 'vitest';
import { MacModel } from '../../../passes/prune/channels/macs.ts';
import { scoreGroups } from '../../../passes/prune/channels/score.ts';
import { analyzeCoupling, type Coupling } from '../../../passes/prune/coupling/analyze.ts';
import { removeUnits } from '../../../passes/prune/coupling/apply.ts';
import { type Gate, gatedCopy } from '../../../passes/prune/gates.ts';
import { pruneChannels } from '../../../passes/prune/prune-channels.ts';
import { pruneHeads } from '../../../passes/prune/prune-heads.ts';
import { tensor as tensorAttr } from '../../../src/ir/attr.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import { valuesByName } from '../../../src/ir/cut.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { countMacs } from '../../../src/ir/macs.ts';
import { tensorFrom } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { reordered } from '../../../src/pass/pass.ts';
import { runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';
import { calmFillings, edgeFeeds, violations } from '../../support/differential.ts';
import { observedOn } from '../../support/observed.ts';
import { runOrt } from '../../support/ort.ts';
import { prunableGraph } from '../../support/prunable-graph.ts';

const text = (body: string, opset = 17): Model =>
  parseModel(`<ir_version: 10, opset_import: ["" : ${opset}]>\n${body}`);

/** Every second unit of each group. */
function halfOf({ groups }: Coupling): Set<number> {
  return new Set(groups.flatMap(({ units }) => units.filter((_, at) => at % 2 === 1)));
}

/** The same model with weights as nodes, as exporters that fold nothing write them. */
function withConstantNodes(model: Model): Model {
  const copy = cloneModel(model);
  const { graph } = copy;
  for (const value of [...graph.initializers]) {
    const { firstNode } = graph;
    if (!value.initializer || !firstNode) continue;
    const attrs = { value: tensorAttr(value.initializer) };
    const node = graph.insertBefore(firstNode, 'Constant', { inputs: [], attrs, outputs: [''] });
    graph.replaceUses(value, node.output());
    graph.removeInitializer(value);
  }
  return copy;
}

describe('coupling', () => {
  it('cuts weights in Constant nodes as it cuts initializers', async () => {
    for (let seed = 0; seed < 12; seed++) {
      const model = prunableGraph(seed);
      const other = withConstantNodes(model);
      const [a, b] = [analyzeCoupling(model), analyzeCoupling(other)];
      const sizes = ({ groups }: Coupling): number[] => groups.map(({ size }) => size).toSorted((p, q) => p - q);
      expect(sizes(b), `graph ${seed}`).toEqual(sizes(a));
      removeUnits(b, halfOf(b));
      expect(verify(other)).toEqual([]);
      const [feeds] = edgeFeeds(other, seed, { batch: 3, seq: 5 }, {}, calmFillings);
      await runOrt(other, [feeds as never]);
    }
  });

  it('takes of a CastLike the type of its second input alone', () => {
    const model = text(`g (float[N,3,4,4] x) => (float[N,2,4,4] y)
< float[8,3,1,1] w = random(1), float[2,8,1,1] v = random(2), float one = {1} >
{ a = Conv (x, w)  c = CastLike (one, a)  s = Add (a, c)  y = Conv (s, v) }`);
    expect(analyzeCoupling(model).groups.map(({ size }) => size)).toEqual([8]);
  });

  it.each([
    [
      'a Slice backwards that takes one place',
      `g (float[N,3] x) => (float[N,2] y)
< float[3,8] w = random(1), int64[1] from = {3}, int64[1] to = {2}, int64[1] axes = {1}, int64[1] steps = {-1}, float[8,2] v = random(2), float[1,2] u = random(3) >
{ a = MatMul (x, w)  s = Slice (a, from, to, axes, steps)  p = MatMul (s, u)  q = MatMul (a, v)  y = Add (p, q) }`,
    ],
    [
      'an Attention that hands out its scores',
      `g (float[N,5,8] x) => (float[N,5,8] y)
< float[8,16] wq = random(1), float[8,16] wk = random(2), float[8,16] wv = random(3), float[4,5,5] t = random(4), float[16,8] wo = random(5) >
{ q = MatMul (x, wq)  k = MatMul (x, wk)  v = MatMul (x, wv)
  a, , , scores = Attention <q_num_heads = 4, kv_num_heads = 4> (q, k, v)
  m = Mul (scores, t)  axes = Constant <value = int64[3] {1, 2, 3}> ()  s = ReduceSum (m, axes)
  o = MatMul (a, wo)  y = Add (o, s) }`,
    ],
  ])('%s still computes', async (_, body) => {
    const model = text(body, 23);
    const coupling = analyzeCoupling(model);
    removeUnits(coupling, halfOf(coupling));
    expect(verify(model)).toEqual([]);
    await runOrt(model, edgeFeeds(model, 1, { N: 2 }, {}, calmFillings));
  });
});

describe('multiply-accumulates', () => {
  it.each([
    [
      'an LSTM',
      `g (float[5,2,6] x) => (float[5,1,2,3] y)
< float[6,8] i = random(1), float[1,32,8] w = random(2), float[1,32,8] r = random(3), float[8,3] o = random(4) >
{ a = MatMul (x, i)  h = LSTM <hidden_size = 8> (a, w, r)  y = MatMul (h, o) }`,
    ],
    [
      'attention by heads on an axis of their own',
      `g (float[2,5,8] x) => (float[2,5,8] y)
< float[8,16] wq = random(1), float[8,16] wk = random(2), float[8,16] wv = random(3), int64[4] split = {0,0,4,4}, int64[3] join = {0,0,-1}, float[16,8] wo = random(5) >
{ q = MatMul (x, wq)  k = MatMul (x, wk)  v = MatMul (x, wv)
  qs = Reshape (q, split)  ks = Reshape (k, split)  vs = Reshape (v, split)
  qt = Transpose <perm = [0,2,1,3]> (qs)  kt = Transpose <perm = [0,2,1,3]> (ks)  vt = Transpose <perm = [0,2,1,3]> (vs)
  a = Attention (qt, kt, vt)  t = Transpose <perm = [0,2,1,3]> (a)  j = Reshape (t, join)  y = MatMul (j, wo) }`,
    ],
  ])('of %s are foretold as they come out', (_, body) => {
    const model = text(body, 23);
    const coupling = analyzeCoupling(model);
    const macs = new MacModel(coupling, coupling.groups);
    const removed = halfOf(coupling);
    expect(removed.size).toBeGreaterThan(1);
    const gone = new Map(
      coupling.groups.map(({ id, units }) => [id, units.filter((unit) => removed.has(unit)).length]),
    );
    const foretold = macs.total - macs.saved(gone);
    removeUnits(coupling, removed);
    expect(countMacs(model, inferShapes(model, { write: false })).total).toBeCloseTo(foretold, 3);
  });
});

describe('multiply-accumulates of free extents', () => {
  it('are counted where strides leave something of every layer', async () => {
    const wave = text(`g (float[N,16,T] x) => (float[N,4,U] y)
< float[64,16,8] a = random(1), float[64,64,8] b = random(2), float[4,64,1] c = random(3) >
{ p = Conv <strides = [4]> (x, a)  q = Relu (p)  r = Conv <strides = [4]> (q, b)  s = Relu (r)  y = Conv (s, c) }`);
    const [trace] = await runSteps(wave, [pruneChannels({ macs: 0.6 })], { context: new TestContext() });
    expect(trace?.applied['channels']).toBeGreaterThan(0);
    const [, share] = /; ([\d.]+) % of the multiply-accumulates are left/.exec(trace?.notes?.join() ?? '') ?? [];
    expect(Number(share)).toBeGreaterThan(20);
    expect(Number(share)).toBeLessThanOrEqual(60);
  });
});

describe('scores by energy', () => {
  it('weigh the hidden state of recurrent layers by what they gave, and constants on the left by what they multiply', async () => {
    // Unit 0 gives tanh(0.1), the others tanh(2); the input of the same place is far the largest.
    const rnn = text(`g (float[4,1,4] x) => (float[4,1,1,2] y)
< float[1,4,4] w = {0,0,0,0, 0,0,0,0, 0,0,0,0, 0,0,0,0}, float[1,4,4] r = {0.01,0.01,0.01,0.01, 0.01,0.01,0.01,0.01, 0.01,0.01,0.01,0.01, 0.01,0.01,0.01,0.01},
  float[1,8] b = {0.1,2,2,2, 0,0,0,0}, float[4,2] o = {1,1, 1,1, 1,1, 1,1} >
{ h = RNN <hidden_size = 4> (x, w, r, b)  y = MatMul (h, o) }`);
    // Channel 0 is the smallest of what the constant on the left sums over.
    const left = text(`g (float[4,1,4] x) => (float[2,4] y)
< int64[1] axis = {1}, float[4,8] w = {0.1,1,1,1,1,1,1,1, 0.1,1,1,1,1,1,1,1, 0.1,1,1,1,1,1,1,1, 0.1,1,1,1,1,1,1,1},
  float[2,8] o = {1,1,1,1,1,1,1,1, 1,1,1,1,1,1,1,1} >
{ s = Squeeze (x, axis)  a = MatMul (s, w)  t = Transpose <perm = [1,0]> (a)  y = MatMul (o, t) }`);
    const feeds = [
      new Map([
        [
          'x',
          tensorFrom(
            'float32',
            [4, 1, 4],
            Float32Array.from({ length: 16 }, (_, i) => (i % 4 ? 0.01 : 100)),
          ),
        ],
      ]),
    ];
    for (const model of [rnn, left]) {
      const coupling = analyzeCoupling(model);
      const context = Object.assign(new TestContext(), { activations: observedOn(feeds) });
      const [scored] = await scoreGroups(coupling, coupling.groups, 'energy', context);
      expect(scored?.by).toBe('energy');
      const shares = [...(scored?.shares ?? [])];
      expect(shares.indexOf(Math.min(...shares))).toBe(0);
    }
  });
});

describe('gates', () => {
  it('leave out two stretches that follow each other', async () => {
    const model = text(`g (float[N,4] x) => (float[N,3] y)
< float[4,4] a = random(1), float[4,4] b = random(2), float[4,3] c = random(3) >
{ f = MatMul (x, a)  u = Add (x, f)  g = MatMul (u, b)  v = Add (u, g)  y = MatMul (v, c) }`);
    inferShapes(model);
    const at = valuesByName(model.graph);
    const bypass = (from: string, to: string): Gate => ({ kind: 'bypass', from: at.get(from), to: at.get(to) }) as Gate;
    const gated = gatedCopy(model, [bypass('x', 'u'), bypass('u', 'v')]);
    const plain = text('g (float[N,4] x) => (float[N,3] y) < float[4,3] c = random(3) > { y = MatMul (x, c) }');
    const feeds = edgeFeeds(model, 1, { N: 2 }, {}, calmFillings);
    const off = feeds.map((one) => {
      const zero = (): ReturnType<typeof tensorFrom> => tensorFrom('float32', [1], Float32Array.of(0));
      return new Map([...one, ['mlpack_gate_0', zero()], ['mlpack_gate_1', zero()]]);
    });
    const [want, got] = [await runOrt(plain, feeds), await runOrt(gated, off)];
    for (const [i, one] of want.entries()) expect(violations(one, got[i] as never, reordered())).toEqual([]);
  });
});

describe('widths before any pruning', () => {
  it('of heads outlast prune-channels', async () => {
    const model = text(`g (float[2,5,8] x) => (float[2,5,8] y)
< float[8,16] wq = random(1), float[8,16] wk = random(2), float[8,16] wv = random(3), int64[4] split = {0,0,4,4}, int64[3] join = {0,0,-1}, float[16,16] wo = random(5), float[16,8] wp = random(6) >
{ q = MatMul (x, wq)  k = MatMul (x, wk)  v = MatMul (x, wv)
  qs = Reshape (q, split)  ks = Reshape (k, split)  vs = Reshape (v, split)
  qt = Transpose <perm = [0,2,1,3]> (qs)  kt = Transpose <perm = [0,2,3,1]> (ks)  vt = Transpose <perm = [0,2,1,3]> (vs)
  sc = MatMul (qt, kt)  p = Softmax (sc)  a = MatMul (p, vt)
  t = Transpose <perm = [0,2,1,3]> (a)  j = Reshape (t, join)  o = MatMul (j, wo)  r = Relu (o)  y = MatMul (r, wp) }`);
    const heads = pruneHeads({ ratio: 0.25, importance: 'weights' });
    const channels = pruneChannels({ ratio: 0.25, round: 1 });
    const traces = await runSteps(model, [heads, channels, heads, channels], { context: new TestContext() });
    expect(traces.map(({ changed }) => changed)).toEqual([true, true, false, false]);
  });
});
