import { describe, expect, it } from 'vitest';
import { simplify } from '../../../passes/simplify/simplify.ts';
import type { Model } from '../../../src/ir/graph.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';

const text = `<ir_version: 8, opset_import: ["" : 17]>
main (float[N,C,8] x, float[N,C,8] z, float w) => (float[N,?] y, int64[3] s)
< int64 zero = {0}, int64[1] axes = {0}, int64[1] rest = {-1} >
{
  sum = Add (x, z)
  s = Shape (sum)
  first = Shape (x)
  n = Gather (first, zero)
  u = Unsqueeze (n, axes)
  t = Concat <axis = 0> (u, rest)
  r = Reshape (sum, t)
  y = Mul (r, w)
}`;

async function run(inputShape: readonly string[]): Promise<Model> {
  const model = parseModel(text);
  await runSteps(model, [simplify({ inputShape })], { context: new TestContext() });
  expect(verify(model)).toEqual([]);
  return model;
}

const shapeOf = (model: Model, name: string) => model.graph.inputs.find((value) => value.name === name)?.shape;
const ops = (model: Model) => [...model.graph.nodes].map((node) => node.op);

describe('fixing input shapes', () => {
  it('takes a whole shape, and binds its symbols in other inputs', async () => {
    const model = await run(['x=2x3x8']);
    expect(shapeOf(model, 'x')).toEqual([2, 3, 8]);
    expect(shapeOf(model, 'z')).toEqual([2, 3, 8]);
    expect(ops(model)).toEqual(['Add', 'Constant', 'Reshape', 'Mul']);
  });

  it('takes a symbol of one input, or a symbol alone', async () => {
    for (const entry of ['x=C:3', 'C=3']) {
      const model = await run([entry]);
      expect(shapeOf(model, 'x')).toEqual(['N', 3, 8]);
      expect(shapeOf(model, 'z')).toEqual(['N', 3, 8]);
    }
  });

  it('leaves dimensions written as ? alone', async () => {
    expect(shapeOf(await run(['x=?x4x?']), 'x')).toEqual(['N', 4, 8]);
  });

  it('does not hold names that say nothing to one number', async () => {
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[1,3,"?","?"] x) => (float[1,3,"?","?"] y) { y = Relu (x) }`);
    await runSteps(model, [simplify({ inputShape: ['x=1x3x48x64'] })], { context: new TestContext() });
    expect(shapeOf(model, 'x')).toEqual([1, 3, 48, 64]);
  });

  it('puts the numbers into declared outputs', async () => {
    const model = await run(['N=5']);
    expect(model.graph.outputs[0]?.shape?.[0]).toBe(5);
  });

  it.each([
    [['x'], /no input shape/],
    [['x=1x2'], /2 dimensions, but input "x" has 3/],
    [['x=1x2x9'], /wants 9 in dimension 2 of input "x", which the model fixes at 8/],
    [['x=1xbx8'], /"b" in "x=1xbx8" is no extent/],
    [['M=1'], /neither an input nor a dimension/],
    [['x=M:1'], /input "x" has no dimension "M"/],
    [['x=1x2x8', 'N=2'], /makes dimension "N" 2, but another entry made it 1/],
    [['xx=1x2x8'], /did you mean "x"/],
  ])('refuses %j', async (entries, message) => {
    await expect(run(entries)).rejects.toThrow(message);
  });
});
