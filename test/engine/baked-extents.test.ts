import { expect, test } from 'vitest';
import { bakedExtents } from '../../src/engine/baked-extents.ts';
import { parseModel } from '../../src/ir/text/parse.ts';

test('three open extents are tried with four numbers each: 64 ways in all', () => {
  const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]> g (float[p,q,r] x) => (y)
    < int64[3] t = {5, 7, 9} > { y = Reshape (x, t) }`);
  const ways = [...bakedExtents(model)];
  expect(ways).toHaveLength(64);
  expect(ways).toContainEqual({ p: 5, q: 7, r: 9 });
});
