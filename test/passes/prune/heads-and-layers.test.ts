import { describe, expect, it } from 'vitest';
import { dropLayers } from '../../../passes/prune/drop-layers.ts';
import { pruneHeads } from '../../../passes/prune/prune-heads.ts';
import { createJudge } from '../../../src/engine/judge.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model, Value } from '../../../src/ir/graph.ts';
import { type Tensor, tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import type { Step } from '../../../src/pass/pass.ts';
import { runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';
import { edgeFeeds } from '../../support/differential.ts';
import { runOrt } from '../../support/ort.ts';

/** Two layers of attention and a product, before which or behind which a norm stands. */
function transformer(norm: 'before' | 'behind', type = 'float'): Model {
  const layer = (i: number): string => {
    const x = `x${i}`;
    const given = norm === 'before' ? `n${i}` : x;
    const first = norm === 'before' ? `n${i} = LayerNormalization (${x}, g)` : '';
    const sum = norm === 'before' ? `s${i}` : `t${i}`;
    const between =
      norm === 'before' ? `m${i} = LayerNormalization (s${i}, g)` : `s${i} = LayerNormalization (t${i}, g)`;
    const read = norm === 'before' ? `m${i}` : `s${i}`;
    const last =
      norm === 'before'
        ? `x${i + 1} = Add (s${i}, f${i})`
        : `u${i} = Add (s${i}, f${i}) x${i + 1} = LayerNormalization (u${i}, g)`;
    return `${first} q${i} = MatMul (${given}, wq${i}) k${i} = MatMul (${given}, wk${i}) v${i} = MatMul (${given}, wv${i})
      qs${i} = Reshape (q${i}, split) ks${i} = Reshape (k${i}, split) vs${i} = Reshape (v${i}, split)
      qt${i} = Transpose <perm = [0,2,1,3]> (qs${i}) kt${i} = Transpose <perm = [0,2,3,1]> (ks${i}) vt${i} = Transpose <perm = [0,2,1,3]> (vs${i})
      sc${i} = MatMul (qt${i}, kt${i}) p${i} = Softmax <axis = -1> (sc${i}) o${i} = MatMul (p${i}, vt${i})
      ot${i} = Transpose <perm = [0,2,1,3]> (o${i}) j${i} = Reshape (ot${i}, join) a${i} = MatMul (j${i}, wo${i}) ${sum} = Add (${x}, a${i})
      ${between} h${i} = MatMul (${read}, w1${i}) r${i} = Relu (h${i}) f${i} = MatMul (r${i}, w2${i}) ${last}`;
  };
  const weights = [0, 1].map(
    (i) =>
      `float[8,8] wq${i} = random(${10 + i}), float[8,8] wk${i} = random(${20 + i}), float[8,8] wv${i} = random(${30 + i}), float[8,8] wo${i} = random(${40 + i}), float[8,12] w1${i} = random(${50 + i}), float[12,8] w2${i} = random(${60 + i})`,
  );
  const text = `<ir_version: 8, opset_import: ["" : 17]>
main (float[N,S,8] x) => (float[N,S,3] y)
< ${weights.join(', ')}, float[8] g = {1,1,1,1,1,1,1,1}, float[8,3] we = random(5), int64[4] split = {0,0,4,2}, int64[3] join = {0,0,8} >
{ x0 = LayerNormalization (x, g) ${layer(0)} ${layer(1)} y = MatMul (x2, we) }`;
  return parseModel(text.replaceAll('float[', `${type}[`));
}

/** nn.MultiheadAttention as torch.onnx writes it: one projection for all three, taken apart by place, and the batch of two folded with the four heads. */
function inProjection(averaged = false): Model {
  const folded = (name: string, axes: string): string => `
    ${name}r = Reshape (${name}, fold) ${name}t = Transpose <perm = [${axes}]> (${name}r)`;
  return parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[5,2,8] x) => (float[5,2,3] y${averaged ? ', float[2,5,5] mean' : ''})
< float[8,24] wi = random(1), float[24] bi = random(2), float[8,8] wo = random(3), float[8] bo = random(4), float[8,3] we = random(5),
  int64[4] three = {5,2,3,8}, int64[1] first = {0}, int64[1] third = {3}, int64[3] fold = {5,8,2}, int64[2] join = {10,8}, int64[3] back = {5,2,8},
  int64[4] heads = {2,4,5,5}, int64 i0 = {0}, int64 i1 = {1}, int64 i2 = {2} >
{ p = MatMul (x, wi) b = Add (bi, p) t = Reshape (b, three) u = Unsqueeze (t, first) tt = Transpose <perm = [3,1,2,0,4]> (u) s = Squeeze (tt, third)
  q = Gather <axis = 0> (s, i0) k = Gather <axis = 0> (s, i1) v = Gather <axis = 0> (s, i2)
  ${folded('q', '1,0,2')} ${folded('k', '1,2,0')} ${folded('v', '1,0,2')}
  sc = MatMul (qt, kt) w = Softmax <axis = -1> (sc) o = MatMul (w, vt) ot = Transpose <perm = [1,0,2]> (o) j = Reshape (ot, join)
  ${averaged ? 'wh = Reshape (w, heads) mean = ReduceMean <axes = [1], keepdims = 0> (wh)' : ''}
  g = Gemm <transB = 1> (j, wo, bo) a = Reshape (g, back) y = MatMul (a, we) }`);
}

/** Sets a weight, or a part of it, to zero. */
function zero(model: Model, name: string, from = 0, to = Number.POSITIVE_INFINITY): void {
  const value = [...model.graph.initializers].find((one) => one.name === name);
  const tensor = value?.initializer;
  if (!value || !tensor) throw new Error(`no weight ${name}`);
  const data = typedArray(tensor, 'float32')
    .slice()
    .fill(0, from, Math.min(to, tensor.byteLength / 4));
  model.graph.setInitializer(value, tensorFrom('float32', tensor.shape, data));
}

async function run(model: Model, step: Step) {
  const context = new TestContext();
  const judged = Object.assign(context, { judge: createJudge(undefined, { seed: 1, signal: context.signal }) });
  const [trace] = await runSteps(model, [step], { context: judged });
  expect(verify(model)).toEqual([]);
  if (!trace) throw new Error('no trace');
  return trace;
}

async function distance(a: Model, b: Model): Promise<number> {
  const feeds = edgeFeeds(a, 3, { N: 2, S: 5 }).slice(0, 1);
  const [[x], [y]] = [await runOrt(a, feeds), await runOrt(b, feeds)];
  const [want, got] = [x?.get('y'), y?.get('y')];
  if (!want || !got) throw new Error('no output');
  const other = typedArray(got, 'float32');
  return typedArray(want, 'float32').reduce(
    (most, value, i) => Math.max(most, Math.abs(value - (other[i] as number))),
    0,
  );
}

describe('prune-heads', () => {
  it('finds the heads that do nothing, and removes them with queries, keys and values', async () => {
    const model = transformer('before');
    // Nothing reads heads 2 of layer 0 and 1 of layer 1: rows [2·head, 2·head + 2) of the output projection.
    zero(model, 'wo0', 8 * 4, 8 * 6);
    zero(model, 'wo1', 8 * 2, 8 * 4);
    const pruned = cloneModel(model);
    const trace = await run(pruned, pruneHeads({ ratio: 0.25 }));
    expect(trace.applied['heads']).toBe(2);
    const shapes = new Map(
      [...pruned.graph.initializers].map((value) => [value.name, value.initializer?.shape.join()]),
    );
    for (const i of [0, 1]) for (const name of ['wq', 'wk', 'wv']) expect(shapes.get(`${name}${i}`)).toBe('8,6');
    expect(await distance(model, pruned)).toBeLessThan(1e-4);
    expect((await run(pruned, pruneHeads({ ratio: 0.25 }))).changed).toBe(false);
  });

  it('takes heads out of one projection for queries, keys and values (nn.MultiheadAttention)', async () => {
    const model = inProjection();
    const weight = [...model.graph.initializers].find(({ name }) => name === 'wo');
    // Columns [2, 4) of the turned output projection read head 1.
    const data = Float32Array.from(typedArray(weight?.initializer as Tensor, 'float32'), (number, at) =>
      at % 8 === 2 || at % 8 === 3 ? 0 : number,
    );
    model.graph.setInitializer(weight as Value, tensorFrom('float32', [8, 8], data));
    const pruned = cloneModel(model);
    const trace = await run(pruned, pruneHeads({ ratio: 0.25 }));
    expect(trace.applied['heads']).toBe(1);
    const shapes = new Map(
      [...pruned.graph.initializers].map((value) => [value.name, value.initializer?.shape.join()]),
    );
    expect([shapes.get('wi'), shapes.get('bi'), shapes.get('wo')]).toEqual(['8,18', '18', '8,6']);
    expect(await distance(model, pruned)).toBeLessThan(1e-5);
    expect((await run(pruned, pruneHeads({ ratio: 0.25 }))).changed).toBe(false);
  });

  it('says that heads stay whose mean is handed out', async () => {
    const trace = await run(inProjection(true), pruneHeads({ ratio: 0.25 }));
    expect(trace.changed).toBe(false);
    expect(trace.skipped.map(({ why }) => why)).toContain('it feeds the graph output "mean"');
  });

  it('leaves one head in every layer, and says so', async () => {
    const trace = await run(transformer('before'), pruneHeads({ ratio: 0.99 }));
    expect(trace.skipped.map(({ why }) => why).join()).toContain('every layer keeps one');
  });

  it('says where there are none', async () => {
    const model = parseModel(
      '<ir_version: 8, opset_import: ["" : 17]> m (float[N,4] x) => (float[N,2] y) <float[4,2] w = random(1)> { y = MatMul (x, w) }',
    );
    const trace = await run(model, pruneHeads());
    expect(trace.skipped.map(({ why }) => why)).toContain('it has no attention heads that can go');
  });
});

describe('drop-layers', () => {
  it.each(['before', 'behind'] as const)('leaves out the layer that does least, norm %s', async (norm) => {
    const model = transformer(norm);
    zero(model, 'wo1');
    zero(model, 'w21');
    const pruned = cloneModel(model);
    const trace = await run(pruned, dropLayers({ count: 1 }));
    expect(trace.applied['drop-layer']).toBe(1);
    expect([...pruned.graph.initializers].map(({ name }) => name)).not.toContain('wq1');
    expect([...pruned.graph.initializers].map(({ name }) => name)).not.toContain('w11');
    // A norm of what a norm gave changes rounding only.
    expect(await distance(model, pruned)).toBeLessThan(1e-4);
    expect((await run(pruned, dropLayers({ count: 1 }))).changed).toBe(false);
  });

  it('measures models in half precision, as prune-heads does', async () => {
    const model = transformer('before', 'float16');
    expect((await run(cloneModel(model), dropLayers({ count: 1, samples: 2 }))).applied['drop-layer']).toBe(1);
    const trace = await run(model, pruneHeads({ ratio: 0.25, samples: 2 }));
    expect(trace.applied['heads']).toBeGreaterThan(0);
  });

  it('keeps the last one, and says so', async () => {
    const trace = await run(transformer('before'), dropLayers({ count: 2 }));
    expect(trace.changed).toBe(false);
    expect(trace.skipped.map(({ why }) => why).join()).toContain(
      '2 residual blocks that can go, and 2 were to: one at least must stay',
    );
  });
});
