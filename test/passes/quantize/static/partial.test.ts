import { describe, expect, it } from 'vitest';
import { fuse } from '../../../../passes/fuse/fuse.ts';
import { quantizeStatic } from '../../../../passes/quantize/quantize-static.ts';
import { toFp16 } from '../../../../passes/quantize/to-fp16.ts';
import { simplify } from '../../../../passes/simplify/simplify.ts';
import { auditModel } from '../../../../src/engine/audit.ts';
import { loadModel } from '../../../../src/onnx/load.ts';
import { runSteps } from '../../../../src/pass/pipeline.ts';
import { TestContext } from '../../../support/context.ts';
import { edgeFeeds } from '../../../support/differential.ts';
import { runOrt } from '../../../support/ort.ts';
import { haveSharedModels, sharedModel } from '../../../support/shared-models.ts';
import { fused, head, sqnr } from './support.ts';

const image = 'float[1,4,8,8]';
const constants = `float xs = {0.02}, uint8 xz = {128}, float cs = {0.05}, uint8 cz = {0},
  int8[8,4,3,3] w1 = random(1), float ws = {0.01}, int8 wz = {0}, float[8,8,3,3] w2 = random(3), float[8] b2 = random(4)`;
/** One convolution that came quantized, with the Relu in its range; then `rest` in float. */
const partly = (rest: string, outputs = 'float[1,8,8,8] y'): string =>
  head(
    13,
    `g (${image} x) => (${outputs}) <${constants}> { xq = QuantizeLinear (x, xs, xz)  xd = DequantizeLinear (xq, xs, xz)
      wd = DequantizeLinear (w1, ws, wz)  c = Conv <pads = [1,1,1,1]> (xd, wd)  r = Relu (c)
      rq = QuantizeLinear (r, cs, cz)  rd = DequantizeLinear (rq, cs, cz)  ${rest} }`,
  );

describe('models that are quantized in part', () => {
  it('quantizes the rest and takes the scales over that are there', async () => {
    const { audit, after, counts, db } = await fused(partly('y = Conv <pads = [1,1,1,1]> (rd, w2, b2)'));
    expect(counts.weighted).toBe(1);
    expect(audit).toMatchObject({ fusedOps: { QLinearConv: 2 }, leftoverQdq: 0, floatNodes: 0, findings: [] });
    // x, r and y; none twice.
    expect([...after.graph.nodes].filter(({ op }) => op === 'QuantizeLinear')).toHaveLength(3);
    expect(db).toBeGreaterThan(30);
  });

  it('goes on through what moves values, and joins a float layer before a QuantizeLinear', async () => {
    const moved = await fused(
      partly('p = MaxPool <kernel_shape = [3,3], pads = [1,1,1,1]> (rd)  y = Conv <pads = [1,1,1,1]> (p, w2, b2)'),
    );
    expect(moved.counts).toMatchObject({ weighted: 1, mover: 1 });
    expect(moved.audit).toMatchObject({ fusedOps: { QLinearConv: 2 }, leftoverQdq: 0 });
    const before = head(
      13,
      `g (${image} x) => (float[1,8,8,8] y) <${constants}, float[8,4,3,3] f = random(5)> { c = Conv <pads = [1,1,1,1]> (x, f)
        q = QuantizeLinear (c, cs, xz)  y = DequantizeLinear (q, cs, xz) }`,
    );
    const joined = await fused(before);
    expect(joined.audit).toMatchObject({ fusedOps: { QLinearConv: 1 }, leftoverQdq: 0 });
  });

  it('leaves layers alone that are quantized, and says so', async () => {
    const { changed, skips } = await fused(partly('y = Sigmoid (rd)'));
    expect(changed).toBe(false);
    expect(skips.join()).toContain('its weights "wd" are quantized already');
  });

  it('keeps operators of the integer kind and quantizes what is in float beside them', async () => {
    const text = head(
      13,
      `g (${image} x) => (float[1,8,8,8] y) <${constants}> { xq = QuantizeLinear (x, xs, xz)
        cq = QLinearConv <pads = [1,1,1,1]> (xq, xs, xz, w1, ws, wz, cs, cz)  rd = DequantizeLinear (cq, cs, cz)
        y = Conv <pads = [1,1,1,1]> (rd, w2, b2) }`,
    );
    const { audit, counts } = await fused(text);
    expect(counts.weighted).toBe(1);
    expect(audit).toMatchObject({ fusedOps: { QLinearConv: 1 }, quantizedNodes: 2, leftoverQdq: 0 });
  });

  it.skipIf(!haveSharedModels)('does not harm a model exported from quantization-aware training', async () => {
    const path = sharedModel('imagenet-mobilenetv1-050', 'model_qdq.onnx');
    const original = await loadModel(path);
    const feeds = edgeFeeds(original, 1, { N: 1 });
    const [expected] = await runOrt(original, feeds);
    const before = await auditModel(original);
    for (const steps of [
      [quantizeStatic({ synthetic: true })],
      [simplify(), fuse(), quantizeStatic({ synthetic: true })],
      [toFp16()],
    ]) {
      const model = await loadModel(path);
      await runSteps(model, steps, { context: new TestContext() });
      const audit = await auditModel(model);
      if (!steps.some(({ pass }) => pass.id === 'to-fp16')) expect(audit.quantizedNodes).toBe(before.quantizedNodes);
      const [actual] = await runOrt(model, feeds);
      expect(sqnr(expected, actual)).toBeGreaterThan(30);
    }
  });
});

describe('branches and bodies', () => {
  const branch = `float[8,4,3,3] w1 = random(1), float[8,8,3,3] w2 = random(2), float[8,4,3,3] w3 = random(3)`;
  const then = `a = Conv <pads = [1,1,1,1]> (x, w1)  r = Relu (a)  t = Conv <pads = [1,1,1,1]> (r, w2)`;

  it('quantizes layers in the branch of an If, with names that both branches use', async () => {
    const text = head(
      13,
      `g (bool k, ${image} x) => (float[1,8,8,8] y) <${branch}> { y = If (k) <
        then_branch = t () => (float[1,8,8,8] t) { ${then} },
        else_branch = e () => (float[1,8,8,8] r) { a = Conv <pads = [1,1,1,1]> (x, w3)  r = Tanh (a) }> }`,
    );
    const { counts, problems, db, skips } = await fused(text);
    expect(problems).toEqual([]);
    // Only one branch runs on the samples of this test (true); what the other one computes was never seen.
    expect(counts.weighted).toBeGreaterThanOrEqual(1);
    expect(skips.filter((skip) => skip.startsWith('weighted')).join()).toMatch(
      /^$|had no elements on the calibration samples/,
    );
    expect(db).toBeGreaterThan(20);
  });

  it('quantizes layers in the body of a Loop, over all its turns', async () => {
    const text = head(
      13,
      `g (float[4,16] x) => (float[4,16] y) <int64 n = {3}, bool go = {1}, float[16,16] w = random(1)> { y = Loop (n, go, x) <
        body = b (int64 i, bool c, float[4,16] s) => (bool k, float[4,16] u) { k = Identity (c)  m = MatMul (s, w)  u = Tanh (m) }> }`,
    );
    const { counts, problems, audit, db } = await fused(text);
    expect(problems).toEqual([]);
    expect(counts.weighted).toBe(1);
    expect(audit.fusedOps).toMatchObject({ MatMulIntegerToFloat: 1 });
    expect(db).toBeGreaterThan(20);
  });
});
