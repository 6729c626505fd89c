import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Dataset } from '../../src/data/dataset.ts';
import { openDataset } from '../../src/data/open-dataset.ts';
import { evaluate } from '../../src/engine/evaluate.ts';
import { openModel } from '../../src/engine/open-model.ts';
import type { Session } from '../../src/engine/session.ts';
import { withStates } from '../../src/engine/states.ts';
import { toNumbers } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';

let dir: string;
let session: Session;
let dataset: Dataset;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-states-'));
  // A running sum: 1, 2, 3, 4 gives 1, 3, 6, 10, or 1, 3, 3, 7 when it starts anew every two.
  session = await openModel(
    parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[1,1] x, float[1,1] sum) => (float[1,1] y, float[1,1] next)
{
  y = Add (x, sum)
  next = Identity (y)
}`),
  );
  writeFileSync(join(dir, 'x.csv'), 'v,anew\n1,1\n2,3\n3,3\n4,7\n');
  const json = {
    schema: 'mlpack.dataset/1',
    inputs: {
      x: { file: 'x.csv', columns: ['v'], dtype: 'float32' },
      sum: { state: 'next', shape: [1, 1], dtype: 'float32' },
    },
    targets: { file: 'x.csv', columns: ['anew'] },
    metric: 'mae',
    restart: 2,
  };
  writeFileSync(join(dir, 'dataset.json'), JSON.stringify(json));
  dataset = await openDataset(dir, session.inputs);
});
afterAll(async () => {
  await dataset.close();
  await session.dispose();
  await rm(dir, { recursive: true, force: true });
});

test('outputs without a batch axis are those of the one sample', async () => {
  const plain = await openModel(
    parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[3] x) => (float[3] y) { y = Neg (x) }`),
  );
  const folder = await mkdtemp(join(tmpdir(), 'mlpack-plain-'));
  writeFileSync(join(folder, 'x.csv'), 'a,b,c,y\n1,2,0,2\n2,0,2,1\n1,1,3,2\n');
  const inputs = { x: { file: 'x.csv', columns: ['a', 'b', 'c'], dtype: 'float32', dropBatch: true } };
  const labels = { file: 'x.csv', column: 'y' };
  writeFileSync(join(folder, 'dataset.json'), JSON.stringify({ schema: 'mlpack.dataset/1', inputs, labels }));
  const data = await openDataset(folder, plain.inputs);
  const { metric, scores } = await evaluate(plain, data);
  expect([metric, scores]).toEqual(['top1', [1, 1, 0]]);
  await data.close();
  await plain.dispose();
  await rm(folder, { recursive: true });
});

describe('states', () => {
  test('are fed back from sample to sample, and start anew where the data says so', async () => {
    const { value, scores } = await evaluate(session, dataset, { output: 'y' });
    expect([value, scores]).toEqual([0, [0, 0, 0, 0]]);
  });

  test('are in the inputs of whoever looks at them one by one', async () => {
    const sums: number[] = [];
    for await (const { feeds } of withStates(dataset.batches({ inputs: session.inputs }), session))
      sums.push(...(toNumbers(feeds.get('sum')!) ?? []));
    expect(sums).toEqual([0, 1, 0, 3]);
  });

  test('an output that is not there is named', async () => {
    writeFileSync(
      join(dir, 'dataset.json'),
      JSON.stringify({
        schema: 'mlpack.dataset/1',
        inputs: {
          x: { file: 'x.csv', columns: ['v'], dtype: 'float32' },
          sum: { state: 'later', shape: [1, 1], dtype: 'float32' },
        },
        targets: { file: 'x.csv', columns: ['anew'] },
        metric: 'mae',
      }),
    );
    const other = await openDataset(dir, session.inputs);
    await expect(evaluate(session, other)).rejects.toThrow(
      'feeds back the output "later", which the model does not have',
    );
    await other.close();
  });
});
