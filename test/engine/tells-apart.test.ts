import { describe, expect, test } from 'vitest';
import { openModel } from '../../src/engine/open-model.ts';
import { whyNothingIsTold } from '../../src/engine/tells-apart.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';

/** @param body of a model of x [N, 2] */
async function why(body: string, outputs: string, ...batches: number[][]): Promise<string | undefined> {
  const session = await openModel(
    parseModel(`<ir_version: 8, opset_import: ["" : 17]>\nmain (float[N,2] x) => (${outputs})\n{\n${body}\n}`),
    { label: 'the model' },
  );
  const feeds = batches.map((batch) => ({
    feeds: new Map([['x', tensorFrom('float32', [batch.length / 2, 2], Float32Array.from(batch))]]),
    size: batch.length / 2,
  }));
  try {
    return await whyNothingIsTold(session, feeds, 'samples');
  } finally {
    await session.dispose();
  }
}

const found = '  at = NonZero (x)';

describe('outputs that judge by themselves', () => {
  test('say something where two batches, or two rows of one, differ', async () => {
    expect(await why('  y = Relu (x)', 'float[N,2] y', [1, 2], [1, 3])).toBeUndefined();
    expect(await why('  y = Relu (x)', 'float[N,2] y', [1, 2, 1, 3])).toBeUndefined();
    // Another number of boxes.
    expect(await why(found, 'int64[2,M] at', [0, 0], [0, 1])).toBeUndefined();
  });

  test('say nothing where they are the same whatever goes in', async () => {
    const same = /^the outputs of the model are the same on all 3 samples, so that they say nothing/;
    const none = '  z = Sub (x, x)\n  y = Sigmoid (z)';
    expect(await why(none, 'float[N,2] y', [1, 2], [3, 4], [5, 6])).toMatch(same);
    expect(await why(none, 'float[N,2] y', [1, 2, 3, 4], [5, 6])).toMatch(same);
  });

  test('say nothing where nothing is found', async () => {
    expect(await why(found, 'int64[2,M] at', [0, 0])).toMatch(
      /^the outputs of the model hold nothing on all 1 samples \(nothing was found in them\)/,
    );
    expect(await why(found, 'int64[2,M] at', [0, 0], [0, 0])).toMatch(/hold nothing on all 2 samples/);
  });

  test('are believed on one sample', async () => {
    expect(await why('  y = Relu (x)', 'float[N,2] y', [1, 2])).toBeUndefined();
  });
});
