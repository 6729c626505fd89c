import { describe, expect, it } from 'vitest';
import { fillShapes } from '../../src/engine/fill-shapes.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { parseModel } from '../../src/ir/text/parse.ts';

const shapeOf = (model: ReturnType<typeof parseModel>, name: string): unknown => {
  for (const node of model.graph.nodes) for (const value of node.outputs) if (value?.name === name) return value.shape;
  return 'no such value';
};

describe('fillShapes', () => {
  it('learns what inference does not know from two runs', async () => {
    const model = parseModel(`
      <ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
      main (float[batch,seq,4] x) => (float[] y)
      {
        f = com.microsoft.TransposeMatMul <transA = 1> (x, x)
        g = Relu (f)
        y = ReduceSum <keepdims = 0> (g)
      }`);
    inferShapes(model);
    for (const node of model.graph.nodes)
      for (const value of node.outputs) if (value?.name === 'g') value.type = undefined;
    expect(await fillShapes(model, { seed: 0 })).toBeGreaterThan(0);
    expect(shapeOf(model, 'g')).toEqual(['batch', 4, 4]);
  });

  it('keeps names apart that say nothing', async () => {
    const model = parseModel(`
      <ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
      main (float["None","None",4] x) => (float[] y)
      {
        f = com.microsoft.TransposeMatMul <transA = 1> (x, x)
        g = Relu (f)
        h = Relu (x)
        s = ReduceSum <keepdims = 0> (g)
        t = ReduceSum <keepdims = 0> (h)
        y = Add (s, t)
      }`);
    inferShapes(model);
    await fillShapes(model, { seed: 0 });
    // Their extents differ in the runs, so that h is not taken for a square one.
    expect(shapeOf(model, 'h')).toEqual(['unknown_0', 'unknown_1', 4]);
  });

  it('leaves what depends on the data, and what varies without a symbol', async () => {
    const model = parseModel(`
      <ir_version: 8, opset_import: ["" : 17]>
      main (float[?,4] x) => (float[] y)
      {
        n = NonZero (x)
        c = Cast <to = 1> (n)
        r = Relu (x)
        s = ReduceSum <keepdims = 0> (c)
        t = ReduceSum <keepdims = 0> (r)
        y = Add (s, t)
      }`);
    await fillShapes(model, { seed: 0 });
    expect(shapeOf(model, 'n')).toBeUndefined();
    expect(shapeOf(model, 'r')).toEqual([undefined, 4]);
  });
});
