import { expect, test } from 'vitest';
import { fuse } from '../../passes/fuse/fuse.ts';
import { clusterWeights } from '../../passes/prune/cluster-weights.ts';
import { pruneWeights } from '../../passes/prune/prune-weights.ts';
import { quantizeDynamic } from '../../passes/quantize/quantize-dynamic.ts';
import { quantizeStatic } from '../../passes/quantize/quantize-static.ts';
import { quantizeWeights } from '../../passes/quantize/quantize-weights.ts';
import { equalize } from '../../passes/repair/equalize.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { verify } from '../../src/ir/verify.ts';
import { significant } from '../../src/messages.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { readThroughCopies } from '../../src/rewrite/constant-copies.ts';
import { TestContext } from '../support/context.ts';

/** Two convolutions, a matrix and biases that are equal; each read through an Identity where `copied`. */
const network = (copied: boolean): string => {
  const names = ['w', 'v', 'm', 'z'];
  const copies = names.map((name) => `${name}_ = Identity (${name})`).join('  ');
  const [w, v, m, z] = names.map((name) => (copied ? `${name}_` : name));
  return `<ir_version: 8, opset_import: ["" : 17]>
g (float[1,16,6,64] x) => (float[1,16,6,32] y)
<float[16,16,3,3] w = random(1), float[16,16,3,3] v = random(2), float[64,32] m = random(3), float[16] z = random(4)> {
  ${copied ? copies : ''}
  a = Conv <pads = [1,1,1,1]> (x, ${w}, ${z})  r = Relu (a)
  b = Conv <pads = [1,1,1,1]> (r, ${v}, ${z})
  y = MatMul (b, ${m}) }`;
};

test.each([
  ['quantize-static', quantizeStatic, { synthetic: true, place: 'all', minElements: 1 }],
  ['quantize-dynamic', quantizeDynamic, { minElements: 1 }],
  ['quantize-weights', quantizeWeights, { minElements: 1 }],
  ['prune-weights', pruneWeights, { minElements: 1 }],
  ['cluster-weights', clusterWeights, { minElements: 1 }],
  ['equalize', equalize, {}],
] as const)('%s does the same to weights that are read through an Identity', async (_, pass, options) => {
  const run = async (copied: boolean) => {
    const model = parseModel(network(copied));
    const ctx = new TestContext();
    expect(await pass.run(model, pass(options as never).options as never, ctx)).toEqual({ changed: true });
    expect(verify(model)).toEqual([]);
    return { counts: ctx.counts(), size: encodeModel(model).length };
  };
  const [plain, copied] = [await run(false), await run(true)];
  const { 'constant-copy': copies, ...others } = copied.counts;
  expect(copies).toBe(4);
  expect(others).toEqual(plain.counts);
  expect(Math.abs(copied.size - plain.size)).toBeLessThan(64);
});

test('an Identity that gives an output its name stays, and so does one of an input or of what a caller may replace', () => {
  const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[2] x, float[2] d) => (float[2] y, float[2] o) <float[2] w = {1, 2}, float[2] d = {3, 4}> {
  o = Identity (w)  i = Identity (x)  e = Identity (d)  s = Add (i, o)  y = Add (s, e) }`);
  expect(readThroughCopies(model, new TestContext())).toBe(false);
  expect(model.graph.nodeCount).toBe(5);
});

test('--skip constant-copy leaves them to fuse as they are', async () => {
  const model = parseModel(network(true));
  const ctx = new TestContext();
  await fuse.run(model, fuse({ skip: ['constant-copy'] }).options as never, ctx);
  expect(ctx.counts()).not.toHaveProperty('constant-copy');
});

test('numbers are rounded without an exponent where they are large', () => {
  expect([618, 0.0123, 5000, 4.999].map((value) => significant(value, 2))).toEqual(['620', '0.012', '5000', '5.0']);
});
