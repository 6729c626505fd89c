import { expect, test } from 'vitest';
import { extremesOf } from '../../src/engine/extremes.ts';
import type { Model, Value } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { tensorType } from '../../src/ir/types.ts';

const text = (opset: number): string => `<ir_version: 8, opset_import: ["" : ${opset}]>
main (float[N,3,2] x) => (float[N,3,2] y, float[N,3,2] masked, float[N,3,2] root)
<
  float two = {2},
  float far = {-30000}
>
{
  twice = Mul (x, two)
  y = Relu (twice)
  masked = Mul (x, far)
  root = Sqrt (x)
}
`;

/** The pass has inferred types before it asks. */
const typed = (source: string): Model => {
  const model = parseModel(source);
  inferShapes(model);
  return model;
};

const valuesOf = (model: Model, names: readonly string[]): Value[] =>
  [...model.graph.nodes]
    .flatMap(({ outputs }) => outputs)
    .filter((value) => value && names.includes(value.name)) as Value[];

// Axes of reductions are an attribute before opset 18 and an input from then on.
test.each([13, 17, 20])('extremes taken by the runtime are those of the elements (opset %i)', async (opset) => {
  const model = typed(text(opset));
  const before = model.graph.outputs.length;
  const values = valuesOf(model, ['twice', 'y', 'masked', 'root']);
  const batches = [
    { size: 1, feeds: new Map([['x', tensorFrom('float32', [1, 3, 2], Float32Array.of(1, -2, 3, 4, -5, 6))]]) },
    {
      size: 2,
      feeds: new Map([['x', tensorFrom('float32', [2, 3, 2], Float32Array.of(0, 0, 0, 0, 0, 7, 1, 1, -9, 1, 1, 1))]]),
    },
  ];
  const { found, left } = await extremesOf(
    model,
    values,
    new Map([['twice', 1]]),
    () => batches,
    () => {},
    undefined,
  );
  const { min, max, count, channels } = found.get('twice') ?? {};
  expect([min, max, count]).toEqual([-18, 14, 18]);
  expect([channels?.axis, [...(channels?.low ?? [])], [...(channels?.high ?? [])]]).toEqual([
    1,
    [-4, -18, -10],
    [2, 8, 14],
  ]);
  expect([found.get('y')?.min, found.get('y')?.max, found.get('y')?.channels]).toEqual([0, 14, undefined]);
  // As large as masks are, and NaN: to be looked at element by element.
  expect(left.map(({ name }) => name)).toEqual(['masked', 'root']);
  expect(model.graph.outputs.length).toBe(before);
});

test('samples on which a value has no elements move nothing', async () => {
  const model = typed(text(17));
  const values = valuesOf(model, ['twice']);
  const feed = (...values: number[]) => tensorFrom('float32', [values.length / 6, 3, 2], Float32Array.from(values));
  const read = async (...batches: ReturnType<typeof feed>[]) => {
    const feeds = batches.map((x) => ({ size: 1, feeds: new Map([['x', x]]) }));
    return (
      await extremesOf(
        model,
        values,
        new Map([['twice', 1]]),
        () => feeds,
        () => {},
        undefined,
      )
    ).found.get('twice');
  };
  expect((await read(feed()))?.count).toBe(0);
  const some = await read(feed(), feed(1, 2, 3, 4, 5, 6));
  expect([some?.min, some?.max, some?.count, some?.channels?.low]).toEqual([2, 12, 6, Float32Array.of(2, 6, 10)]);
});

test('of a value that has another rank than its file declares, the elements are looked at', async () => {
  const model = typed(text(17));
  const values = valuesOf(model, ['twice', 'y']);
  const [first] = values;
  if (first) first.type = tensorType('float32', ['N', 6]);
  const feeds = [{ size: 1, feeds: new Map([['x', tensorFrom('float32', [1, 3, 2], new Float32Array(6))]]) }];
  let fed = 0;
  const { found, left, isFed } = await extremesOf(
    model,
    values,
    undefined,
    () => feeds,
    () => void fed++,
    undefined,
  );
  expect([found.size, left.length, isFed, fed]).toEqual([0, 2, false, 0]);
});
