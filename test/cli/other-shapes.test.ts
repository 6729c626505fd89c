import { expect, it } from 'vitest';
import { otherShapes } from '../../src/cli/other-shapes.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';

it('gives a dimension its extent wherever it stands, twice in one input too', () => {
  const inputs = [
    { name: 'ids', dtype: 'float32', shape: ['batch', 'length'] },
    { name: 'mask', dtype: 'float32', shape: ['batch', 'length', 'length'] },
  ];
  const mask = Float32Array.of(1, 2, 3, 4);
  const feeds = new Map([
    ['ids', tensorFrom('float32', [1, 2], Float32Array.of(7, 8))],
    ['mask', tensorFrom('float32', [1, 2, 2], mask)],
  ]);
  const made = otherShapes(inputs, feeds).map((one) => [...one.values()].map(({ shape }) => shape));
  expect(made).toEqual([
    [
      [2, 2],
      [2, 2, 2],
    ],
    [
      [1, 4],
      [1, 4, 4],
    ],
    [
      [1, 1],
      [1, 1, 1],
    ],
  ]);
  const longer = otherShapes(inputs, feeds)[1]?.get('mask')?.bytes();
  expect([...new Float32Array(Uint8Array.from(longer ?? []).buffer)]).toEqual([
    1, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4,
  ]);
});
