import { describe, expect, it } from 'vitest';
import { simplify } from '../../../passes/simplify/simplify.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';

async function run(body: string, options: Parameters<typeof simplify>[0] = {}) {
  const model = parseModel(`<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>\n${body}`);
  const [step] = await runSteps(model, [simplify(options)], { context: new TestContext() });
  return { model, ops: [...model.graph.nodes].map((node) => node.op), skipped: step?.skipped ?? [] };
}

const constants = (model: Model) => [...model.graph.initializers].map((value) => value.initializer);

describe('constant folding', () => {
  it.each([
    ['RandomNormal <shape = [2]> ()', 'RandomNormal draws random numbers'],
    ['RandomUniform <shape = [2], seed = 1.0> ()', 'RandomUniform draws random numbers'],
    ['RandomNormalLike (k)', 'RandomNormalLike draws random numbers'],
    ['RandomUniformLike (k)', 'RandomUniformLike draws random numbers'],
    ['Bernoulli (k)', 'Bernoulli draws random numbers'],
    ['Dropout (k, half, yes)', 'it is in training mode'],
  ])('never computes %s', async (call, why) => {
    const { ops, skipped } = await run(`main (float[N,2] x) => (float[N,2] y)
      < float[2] k = {0.5, 0.25}, float half = {0.5}, bool yes = {1} >
      { r = ${call}
        y = Mul (x, r) }`);
    expect(ops).toHaveLength(2);
    expect(skipped.map((entry) => entry.why).join()).toContain(why);
  });

  it('computes with the runtime, to the last bit', async () => {
    const { model, ops } = await run(`main (float[N,3] x) => (float[N,3] y)
      < float[3] a = {0.1, 0.2, 0.3}, float[3] b = {0.7, -0.0, 1e30} >
      { s = Mul (a, b)
        e = Exp (s)
        y = Mul (x, e) }`);
    expect(ops).toEqual(['Mul']);
    const [tensor] = constants(model);
    const expected = [0.1 * 0.7, -0, 0.3 * 1e30].map((v) => Math.fround(Math.exp(Math.fround(v))));
    const folded = tensor ? Array.from(typedArray(tensor, 'float32')) : [];
    expect(folded[1]).toBe(1);
    expect(folded[2]).toBe(Number.POSITIVE_INFINITY);
    expect(folded[0]).toBeCloseTo(expected[0] ?? 0, 6);
  });

  it('never computes a TopK of no elements, which ends the process in ONNX Runtime 1.30', async () => {
    const { ops, skipped } = await run(`main (float[N,2] x) => (float[N,2] y, float[0,1] z)
      < float[0,2] none = {}, int64[1] k = {1} >
      { y = Relu (x)
        z, at = TopK (none, k) }`);
    expect(ops).toContain('TopK');
    expect(skipped.map((entry) => entry.why).join()).toContain('ends the whole process on a TopK of no elements');
  });

  it('names what the runtime has no kernel for, and folds the rest', async () => {
    const { ops, skipped } = await run(`main (float[N,2] x) => (float[N,2] y)
      < int8[2] k = {1, 2}, float[2] a = {1, 2} >
      { h = HardSigmoid (k)
        c = Cast <to = 1> (h)
        d = Exp (a)
        e = Add (c, d)
        y = Mul (x, e) }`);
    expect(ops).toEqual(['HardSigmoid', 'Cast', 'Add', 'Mul']);
    expect(skipped.find((entry) => entry.rule === 'fold-constant')?.why).toMatch(/the runtime cannot compute it: /);
  });

  it('keeps the sum of folded constants within the factor', async () => {
    const body = `main (float[400,400] x) => (float[400,400] y)
      < float[400,400] a = random(1), float[400,400] b = random(2) >
      { s = Add (a, b)
        d = Sub (a, b)
        p = Mul (x, a)
        q = Mul (p, b)
        r = Mul (q, s)
        y = Mul (r, d) }`;
    const kept = await run(body);
    expect(kept.ops).toHaveLength(6);
    expect(kept.skipped.map((entry) => entry.why).join()).toContain('have used up the growth allowed');
    expect((await run(body, { maxGrowth: 1.6 })).ops).toHaveLength(5);
    expect((await run(body, { maxGrowth: 2 })).ops).toHaveLength(4);
  });

  it('replaces a weight that nobody else reads, whatever its size', async () => {
    const { ops } = await run(`main (float[N,600] x) => (float[N,600] y)
      < float[600,600] w = random(1) >
      { t = Transpose <perm = [1, 0]> (w)
        y = MatMul (x, t) }`);
    expect(ops).toEqual(['MatMul']);
  });

  it('holds results of a size unknown beforehand against the factor once they are there', async () => {
    const { ops, skipped } = await run(`main (int64[2,M] x) => (int64[2,M] y)
      < float[300,300] k = random(1) >
      { z = NonZero (k)
        y = Add (z, x) }`);
    expect(ops).toEqual(['NonZero', 'Add']);
    expect(skipped.map((entry) => entry.why).join()).toContain('its result takes 1.44 MB, made from 360 kB');
    const small = await run(`main (int64[2,M] x) => (int64[2,M] y)
      < float[3,3] k = random(1) >
      { z = NonZero (k)
        y = Add (z, x) }`);
    expect(small.ops).toEqual(['Add']);
  });

  it('stores a tied weight once: a mere rearrangement of a constant that stays is left to the runtime', async () => {
    const tied = (reader: string) => `main (int64[N] ids, float[N,32] x) => (float[N,1000] y, float[N,32] h)
      < float[1000,32] e = random(1), float[200,1000] more = random(2) >
      { h = ${reader}
        t = Transpose <perm = [1, 0]> (e)
        p = MatMul (x, t)
        m = ReduceMean <axes = [0]> (more)
        y = Add (p, m) }`;
    const kept = await run(tied('Gather (e, ids)'));
    expect(kept.ops).toEqual(['Gather', 'Transpose', 'MatMul', 'Add']);
    expect(kept.skipped.map((entry) => entry.why).join()).toContain('it only rearranges "e"');
    expect((await run(tied('Identity (x)'))).ops).not.toContain('Transpose');
  });

  it('does not unpack half precision weights', async () => {
    const { ops, skipped } = await run(`main (float[N,300] x) => (float[N,300] y)
      < float16[300,300] w = random(1) >
      { t = Cast <to = 1> (w)
        y = MatMul (x, t) }`);
    expect(ops).toEqual(['Cast', 'MatMul']);
    expect(skipped.map((entry) => entry.why).join()).toContain('the file would grow');
  });

  it('computes nodes with subgraphs when all they capture is constant', async () => {
    const { ops } = await run(`main (float[N,2] x) => (float[N,2] y)
      < float[2] a = {1, 2}, int64 trips = {3}, bool go = {1} >
      { l = Loop (trips, go, a) <body = body (int64 i, bool c, float[2] s) => (bool c2, float[2] s2) {
          c2 = Identity (c)
          s2 = Add (s, a)
        }>
        y = Mul (x, l) }`);
    expect(ops).toEqual(['Mul']);
  });

  it('leaves sequences to the runtime', async () => {
    const { ops, skipped } = await run(`main (float[N,2] x) => (float[N,2] y)
      < float[2,2] a = {1, 2, 3, 4}, int64 zero = {0} >
      { s = SplitToSequence <keepdims = 0> (a)
        e = SequenceAt (s, zero)
        y = Mul (x, e) }`);
    expect(ops).toEqual(['SplitToSequence', 'SequenceAt', 'Mul']);
    expect(skipped.map((entry) => entry.why).join()).toContain('does not give a tensor');
  });
});

describe('options', () => {
  it('refuses to skip a rule that does not exist', async () => {
    await expect(run('main (float x) => (float y) { y = Neg (x) }', { skip: ['identiy'] })).rejects.toThrow(
      'simplify has no rule "identiy" to skip (did you mean "identity"?)',
    );
  });
});
