import { describe, expect, it } from 'vitest';
import { quantizeDynamic } from '../../../passes/quantize/quantize-dynamic.ts';
import { quantizeWeights } from '../../../passes/quantize/quantize-weights.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { TestContext } from '../../support/context.ts';
import { countOps } from '../../support/count-ops.ts';
import { calmFillings, edgeFeeds, violations } from '../../support/differential.ts';
import { signature } from '../../support/golden.ts';
import { runOrt } from '../../support/ort.ts';

const head = (body: string): string => `<ir_version: 8, opset_import: ["" : 13]>\n${body}`;

type Options = Parameters<typeof quantizeWeights>[0];

/** Quantizes, and holds the outputs against float's: eight bits leave no room for a wrong axis or expert. */
async function run(text: string, pass: 'weights' | 'dynamic' = 'weights', options: Options = {}) {
  const before = parseModel(head(text));
  const after = cloneModel(before);
  const ctx = new TestContext();
  if (pass === 'weights')
    await quantizeWeights.run(after, quantizeWeights({ minElements: 64, ...options }).options as never, ctx);
  else await quantizeDynamic.run(after, quantizeDynamic({ minElements: 64 }).options as never, ctx);
  expect(verify(after)).toEqual([]);
  expect(signature(after)).toBe(signature(before));
  // "i", the expert of each token, is 0 to 2.
  const feeds = edgeFeeds(before, 3, { s: 5 }, {}, [calmFillings[0] as never]);
  const [expected] = await runOrt(before, feeds);
  const [actual] = await runOrt(after, feeds, 'all');
  if (!expected || !actual) throw new Error('no outputs');
  expect(violations(expected, actual, { kind: 'lossy', sqnrDb: 35 })).toEqual([]);
  return {
    ops: countOps(after),
    tables: [...after.graph.initializers].map(({ name, dtype }) => `${name} ${dtype}`),
    skips: ctx.skips.map(({ why }) => why),
  };
}

const picked = 'e = Gather (w, i)';
const forms = {
  'as left operand': `g (int64[s] i, float[s,48,1] x) => (float[s,24,1] y) <float[4,24,48] w = random(1)> { ${picked}  y = MatMul (e, x) }`,
  'as right operand': `g (int64[s] i, float[s,1,48] x) => (float[s,1,24] y) <float[4,48,24] w = random(1)> { ${picked}  y = MatMul (x, e) }`,
  'turned, as right operand': `g (int64[s] i, float[s,1,48] x) => (float[s,1,24] y) <float[4,24,48] w = random(1)> { ${picked}  t = Transpose <perm = [0, 2, 1]> (e)  y = MatMul (x, t) }`,
  'turned, as left operand': `g (int64[s] i, float[s,48,1] x) => (float[s,24,1] y) <float[4,48,24] w = random(1)> { ${picked}  t = Transpose <perm = [0, 2, 1]> (e)  y = MatMul (t, x) }`,
  'for tokens and places': `g (int64[s,2] i, float[s,1,1,48] x) => (float[s,2,1,24] y) <float[4,48,24] w = random(1)> { ${picked}  y = MatMul (x, e) }`,
  'by GatherND, with how many axes there are inferred': `g (int64[s,1] i, float[s,48,1] x) => (float[s,24,1] y) <float[4,24,48] w = random(1)> { a = Abs (i)  e = GatherND (w, a)  y = MatMul (e, x) }`,
  'one for all rows': `g (int64 i, float[s,48] x) => (float[s,24] y) <float[4,48,24] w = random(1)> { ${picked}  y = MatMul (x, e) }`,
};

describe('experts that a Gather picks', () => {
  it.each(Object.entries(forms))('are stored in 8 bits: %s', async (_, text) => {
    const { ops, tables, skips } = await run(text);
    expect(tables).toEqual(['w_quantized int8', 'w_scale float32']);
    expect(ops).toMatchObject({ [text.includes('GatherND') ? 'GatherND' : 'Gather']: 2, Cast: 1, MatMul: 1, Mul: 1 });
    expect(skips).toEqual([]);
    expect((await run(text, 'dynamic')).tables).toEqual(tables);
  });

  it('stay where outputs of an expert are spread over the batch, where others read them, and where the user says so', async () => {
    const spread = `g (int64[s] i, float[24,1,48] x) => (float[24,s,1] y) <float[4,24,48] w = random(1)> {
      ${picked}  t = Transpose <perm = [1, 0, 2]> (e)  u = Transpose <perm = [0, 2, 1]> (x)  y = MatMul (t, u) }`;
    expect((await run(spread)).tables).toEqual(['w float32']);
    const other = `g (int64[s] i, float[s,1,48] x) => (float[s,1,24] y, float[s,48,24] z) <float[4,48,24] w = random(1)> {
      ${picked}  y = MatMul (x, e)  o = Gather (w, i)  z = Abs (o) }`;
    expect((await run(other)).skips).toContain(
      'its experts "w" are read elsewhere too, so the float table would stay beside the codes',
    );
    const kept = await run(forms['as left operand'], 'weights', { keep: ['y'] });
    expect(kept.tables).toEqual(['w float32']);
    expect(kept.skips).toContain('you asked for it to stay as it is (--keep)');
  });
});
