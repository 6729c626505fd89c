import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { openDataset } from '../../src/data/open-dataset.ts';
import { evaluate } from '../../src/engine/evaluate.ts';
import { openModel } from '../../src/engine/open-model.ts';
import { remembering } from '../../src/engine/remembering.ts';
import { openSession, type Session } from '../../src/engine/session.ts';
import { stringTensor, type Tensor, tensorOf } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';

/** Counts what reaches the runtime. */
async function counted(text: string, mostBytes?: number): Promise<{ session: Session; runs: () => number }> {
  const inner = await openModel(parseModel(text));
  let runs = 0;
  const { provider, inputs, outputs, createMs } = inner;
  const counting: Session = {
    provider,
    inputs,
    outputs,
    createMs,
    timer: (feeds) => inner.timer(feeds),
    run(feeds, wanted) {
      runs++;
      return inner.run(feeds, wanted);
    },
    dispose: () => inner.dispose(),
  };
  return { session: remembering(counting, mostBytes), runs: () => runs };
}

const numbers = ({ bytes }: { readonly bytes: Uint8Array }): number[] => [...new Float32Array(bytes.slice().buffer)];
const values = (made: ReadonlyMap<string, Tensor>): Record<string, number[]> =>
  Object.fromEntries([...made].map(([name, tensor]) => [name, numbers({ bytes: tensor.bytes() })]));

const twice = `<ir_version: 8, opset_import: ["" : 17]>
  g (float[n] x) => (float[n] y, float[n] z) { y = Add (x, x)  z = Neg (x) }`;
const feed = (...of: number[]): Map<string, Tensor> => new Map([['x', tensorOf('float32', [of.length], of)]]);

it('what came before is answered from memory, by content and by the outputs that are wanted', async () => {
  const { session, runs } = await counted(twice);
  expect(values(await session.run(feed(1, 2)))).toEqual({ y: [2, 4], z: [-1, -2] });
  const first = await session.run(feed(1, 2));
  expect([values(first), runs()]).toEqual([{ y: [2, 4], z: [-1, -2] }, 1]);
  // Whoever changes the map that came changes no answer.
  first.clear();
  expect(values(await session.run(feed(1, 2), ['y']))).toEqual({ y: [2, 4] });
  expect(values(await session.run(feed(1, 3), ['y']))).toEqual({ y: [2, 6] });
  expect(values(await session.run(new Map([['x', tensorOf('float32', [2], [1, 2])]])))).toEqual({
    y: [2, 4],
    z: [-1, -2],
  });
  expect(runs()).toBe(3);
  await session.dispose();
});

it('keeps no more than it may, and nothing that was asked with texts', async () => {
  const small = await counted(twice, 20);
  for (const _ of [0, 1]) for (const one of [feed(1, 2), feed(3, 4)]) await small.session.run(one);
  expect(small.runs()).toBe(3);
  const texts = await counted(`<ir_version: 8, opset_import: ["" : 17]>
    g (string[n] x) => (string[n] y) { y = Identity (x) }`);
  const word = (text: string): Map<string, Tensor> =>
    new Map([['x', stringTensor([1], [new TextEncoder().encode(text)])]]);
  for (const text of ['a', 'b', 'a']) {
    const made = (await texts.session.run(word(text))).get('y')?.strings?.() ?? [];
    expect(made.map((one) => new TextDecoder().decode(one))).toEqual([text]);
  }
  expect(texts.runs()).toBe(3);
  for (const { session } of [small, texts]) await session.dispose();
});

it('the model that others are compared with runs only where the metric looks at it', async () => {
  const model = new URL('../../models/digits/', import.meta.url);
  const session = await openSession(fileURLToPath(new URL('model.onnx', model)));
  const dataset = await openDataset(fileURLToPath(new URL('eval', model)));
  const reference: Session = { ...session, run: () => Promise.reject(new Error('it ran')) };
  try {
    expect((await evaluate(session, dataset, { reference, samples: 20 })).metric).toBe('top1');
    await expect(evaluate(session, dataset, { reference, samples: 20, metric: 'agreement' })).rejects.toThrow('it ran');
  } finally {
    await dataset.close();
    await session.dispose();
  }
});
