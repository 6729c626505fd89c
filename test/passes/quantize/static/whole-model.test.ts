import { expect, test } from 'vitest';
import { tensorFrom } from '../../../../src/ir/tensor.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';
import { printModel } from '../../../../src/ir/text/print.ts';
import { activationsOf, fused, head, quantize } from './support.ts';

test('a model of which nothing is quantized in the end keeps its opset', async () => {
  // Its input is never anything but zero: no scale can be chosen.
  const text = head(11, 'g (float[2,64] x) => (float[2,64] y) <float[64,64] w = random(1)> { y = MatMul (x, w) }');
  const model = parseModel(text);
  const before = printModel(model);
  const zeros = activationsOf([new Map([['x', tensorFrom('float32', [2, 64], new Float32Array(128))]])]);
  const { changed, skips } = await quantize(model, {}, zeros);
  expect(changed).toBe(false);
  expect(skips.join()).toContain('was 0 on all calibration samples');
  expect(printModel(model)).toBe(before);
});

test('layers in functions of the model are quantized: the functions are inlined first', async () => {
  const body = `g (float[2,64] x) => (float[2,64] y) <float[64,64] w = random(1), float[64,64] v = random(2)> {
  a = my.Layer (x, w)  y = my.Layer (a, v) }
<domain: "my", opset_import: ["" : 17]> Layer (i, m) => (o) { p = MatMul (i, m)  o = Relu (p) }`;
  const { after, counts, audit, db } = await fused(`<ir_version: 9, opset_import: ["" : 17, "my" : 1]>\n${body}`);
  expect(counts).toMatchObject({ inline: 1, weighted: 2 });
  expect(after.functions).toEqual([]);
  expect(Object.values(audit.fusedOps).reduce((sum, count) => sum + count, 0)).toBe(2);
  expect(db).toBeGreaterThan(25);
});
