import { describe, expect, it } from 'vitest';
import { decidedPlaces } from '../../src/engine/decided.ts';
import type { Model } from '../../src/ir/graph.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';

const of = (outputs: string, nodes: string): Model =>
  parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[n,4] x) => (${outputs})
<float one = {1}, int64[1] two = {2}, int64[1] axes = {1}>
{
  ${nodes}
}`);
const rows = (...values: number[][]) =>
  new Map([['x', tensorFrom('float32', [values.length, 4], Float32Array.from(values.flat()))]]);
const tolerance = { rtol: 1e-2, atol: 1e-6 };
const decided = async (model: Model, ...cases: number[][][]): Promise<string[][] | undefined> =>
  (
    await decidedPlaces(
      model,
      cases.map((one) => rows(...one)),
      tolerance,
    )
  )?.map((names) => [...names]);

describe('places of the best scores', () => {
  const classes = of(
    'int64[n,4] whole, int32[n] id, float[n,4] s',
    's = Mul (x, one)\n  best = ArgMax <axis = -1> (s)\n  flat = Squeeze (best, axes)\n  id = Cast <to = 6> (flat)\n  whole = Cast <to = 7> (s)',
  );

  it('are decided where no other score comes near, each case for itself', async () => {
    const clear = [0, 5, 1, 4.8];
    // 2 % of the largest, twice what one score may be off.
    const close = [0, 5, 1, 4.91];
    expect(await decided(classes, [clear], [close], [clear, close], [clear, clear])).toEqual([['id'], [], [], ['id']]);
    expect(await decided(classes, [[0, Number.NaN, 1, 2]])).toEqual([[]]);
  });

  it('are not undecided by a mask, which is no score', async () => {
    for (const mask of [-1e4, -1e9, -3.4028234e38, Number.NEGATIVE_INFINITY])
      expect(await decided(classes, [[mask, 2, 1, 0]]), String(mask)).toEqual([['id']]);
  });

  it('are looked for along their axis, at both ends, and of several', async () => {
    const down = of('int64[1,4] id', 'id = ArgMin <axis = 0> (x)');
    const tall = [
      [1, 2, 3, 4],
      [4, 3, 2, 1],
    ];
    expect(
      await decided(down, tall, [
        [1, 2, 3, 4],
        [4, 3, 3, 1],
      ]),
    ).toEqual([['id'], []]);
    const two = of('float[n,2] best, int64[n,2] ids', 'best, ids = TopK <axis = 1> (x, two)');
    expect(await decided(two, [[1, 9, 3, 6]], [[1, 9, 5.99, 6]], [[1, 1, 3, 6]])).toEqual([['ids'], [], ['ids']]);
  });

  it('are none of a model that finds none', async () => {
    expect(await decided(of('int64[n,4] id', 'id = Cast <to = 7> (x)'), [[1, 2, 3, 4]])).toBeUndefined();
  });
});
