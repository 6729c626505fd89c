import { expect, it } from 'vitest';
import { openModel } from '../../src/engine/open-model.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { decodeModel } from '../../src/onnx/decode.ts';
import { encodeModel } from '../../src/onnx/encode.ts';

/** Boxes above a score, as torchvision's detectors clip them: rows of four that become pairs and rows again, by the shape of the rows. */
const clipped = `<ir_version: 8, opset_import: ["" : 17]>
main (float[N,4] x, bool[N] c) => (float[M,4] y)
< int64[1] zero = {0}, int64[1] one = {1}, int64[3] pairs = {-1,2,2}, int64 first = {0}, int64 second = {1}, int64[1] axes = {0} >
{
  found = Compress <axis = 0> (x, c)
  rows = Shape (found)  n = Gather (rows, first)  n1 = Unsqueeze (n, axes)
  again = Shape (found)  m = Gather (again, second)  m1 = Unsqueeze (m, axes)
  to = Concat <axis = 0> (n1, m1)
  left = Unsqueeze (found, one)
  right = Neg (left)
  both = Concat <axis = 1> (left, right)
  half = ReduceMax <axes = [1], keepdims = 1> (both)
  y = Reshape (half, to)
}`;

it('a model whose shapes were inferred runs where nothing is left of a dimension', async () => {
  const model = decodeModel(encodeModel(parseModel(clipped)));
  inferShapes(model);
  const session = await openModel(model);
  const x = tensorFrom(
    'float32',
    [3, 4],
    Float32Array.from({ length: 12 }, (_, i) => i),
  );
  for (const [kept, rows] of [
    [[1, 0, 1], 2],
    [[0, 0, 0], 0],
  ] as const) {
    const c = tensorFrom('bool', [3], Uint8Array.from(kept));
    const outputs = await session.run(
      new Map([
        ['x', x],
        ['c', c],
      ]),
    );
    expect(outputs.get('y')?.shape).toEqual([rows, 4]);
  }
  await session.dispose();
});
