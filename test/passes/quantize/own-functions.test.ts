import { expect, test } from 'vitest';
import { quantizeDynamic } from '../../../passes/quantize/quantize-dynamic.ts';
import { quantizeWeights } from '../../../passes/quantize/quantize-weights.ts';
import { toFp16 } from '../../../passes/quantize/to-fp16.ts';
import { tensorFrom } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { encodeModel } from '../../../src/onnx/encode.ts';
import { TestContext } from '../../support/context.ts';
import { random } from '../../support/differential.ts';
import { runOrt } from '../../support/ort.ts';
import { sqnr } from './static/support.ts';

const layers = `<ir_version: 9, opset_import: ["" : 17, "my" : 1]>
g (float[2,64] x) => (float[2,64] y) <float[64,64] w = random(1), float[64,64] v = random(2)> {
  a = my.Layer (x, w)  y = my.Layer (a, v) }
<domain: "my", opset_import: ["" : 17]> Layer (i, m) => (o) { p = MatMul (i, m)  o = Relu (p) }`;
const next = random(3);
const feeds = [new Map([['x', tensorFrom('float32', [2, 64], Float32Array.from({ length: 128 }, next))]])];

test.each([
  ['quantize-dynamic', quantizeDynamic({}), quantizeDynamic, 25],
  ['quantize-weights', quantizeWeights({}), quantizeWeights, 12],
  ['to-fp16', toFp16({}), toFp16, 55],
] as const)('%s changes layers in functions of the model', async (_, { options }, pass, atLeast) => {
  const before = parseModel(layers);
  const model = parseModel(layers);
  const ctx = new TestContext();
  expect(await pass.run(model, options as never, ctx)).toEqual({ changed: true });
  expect(verify(model)).toEqual([]);
  expect(ctx.counts()).toMatchObject({ inline: 1 });
  expect(encodeModel(model).length).toBeLessThan(0.6 * encodeModel(before).length);
  const [[expected], [actual]] = [await runOrt(before, feeds), await runOrt(model, feeds)];
  expect(sqnr(expected, actual)).toBeGreaterThan(atLeast);
});

test.each([quantizeDynamic, quantizeWeights, toFp16])('functions without layers stay as they are', async (pass) => {
  const model = parseModel(`<ir_version: 9, opset_import: ["" : 17, "my" : 1]>
g (int64[2] x) => (int64[2] y) { y = my.Twice (x) }
<domain: "my", opset_import: ["" : 17]> Twice (i) => (o) { o = Add (i, i) }`);
  expect(await pass.run(model, pass({}).options as never, new TestContext())).toEqual({ changed: false });
  expect(model.functions).toHaveLength(1);
});
