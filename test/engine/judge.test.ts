import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { BatchOptions } from '../../src/data/dataset.ts';
import { openDataset } from '../../src/data/open-dataset.ts';
import { evaluate } from '../../src/engine/evaluate.ts';
import { createJudge } from '../../src/engine/judge.ts';
import { openModel } from '../../src/engine/open-model.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import type { Model } from '../../src/ir/graph.ts';
import { tensorFrom, toNumbers } from '../../src/ir/tensor.ts';
import { loadModel } from '../../src/onnx/load.ts';

const digits = fileURLToPath(new URL('../../models/digits', import.meta.url));

/** The model with its weights on a grid so coarse that it errs. */
async function worn(origin: Model): Promise<Model> {
  const model = cloneModel(origin);
  for (const value of model.graph.initializers) {
    const { tensor } = value;
    if (tensor?.dtype !== 'float32' || tensor.shape.length < 2) continue;
    const numbers = toNumbers(tensor) ?? [];
    const most = Math.max(...numbers.map(Math.abs));
    value.tensor = tensorFrom(
      'float32',
      tensor.shape,
      Float32Array.from(numbers, (x) => (Math.round((x / most) * 3) * most) / 3),
    );
  }
  return model;
}

test('what was lost before counts: a limit is what that left of it, on all samples', async () => {
  const origin = await loadModel(`${digits}/model.onnx`);
  const model = await worn(origin);
  const dataset = await openDataset(`${digits}/eval`);
  const values: number[] = [];
  for (const one of [origin, model]) {
    const session = await openModel(one, { label: 'it' });
    values.push((await evaluate(session, dataset)).value);
    await session.dispose();
  }
  const [came = 0, now = 0] = values;
  expect(came - now).toBeGreaterThan(0.005);

  const judge = await createJudge(dataset, { seed: 0 })(model, { origin });
  expect(await judge.left(0.5)).toBeCloseTo(0.5 - (came - now), 12);
  expect(await judge.left('50%')).toBeCloseTo(0.5 * came - (came - now), 12);
  // The judged model itself loses nothing more.
  const itself = await judge.score(model, 'heldOut');
  expect([itself.drop, itself.sqnrDb]).toEqual([0, Number.POSITIVE_INFINITY]);
  await judge.dispose();

  const alone = await createJudge(dataset, { seed: 0 })(model);
  expect(await alone.left('50%')).toBe('50%');
  expect([await alone.fixed('2%'), await alone.fixed('usual')]).toEqual(['2%', 0.01]);
  await alone.dispose();
});

test('without labels and without data outputs are held against those of the model as it came', async () => {
  const origin = await loadModel(`${digits}/model.onnx`);
  const model = await worn(origin);
  const judge = await createJudge(undefined, { seed: 0 })(model, { origin });
  const score = await judge.score(model, 'search');
  expect(score.metric).toBe('sqnr');
  expect(score.value).toBeLessThan(40);
  expect(score.sqnrDb).toBe(Number.POSITIVE_INFINITY);
  expect(await judge.left(0.01)).toBe(0.01);
  await judge.dispose();
});

test('with a limit of samples neither the search nor the verdict takes more, and they share none', async () => {
  const model = await loadModel(`${digits}/model.onnx`);
  const dataset = await openDataset(`${digits}/eval`);
  const seen: { skip: number; samples: number }[] = [];
  const watched = new Proxy(dataset, {
    get(target, key) {
      if (key !== 'batches') return Reflect.get(target, key);
      return (options: BatchOptions = {}) => {
        seen.push({ skip: options.skip ?? 0, samples: options.samples ?? target.samples });
        return target.batches(options);
      };
    },
  });
  const judge = await createJudge(watched, { seed: 0, samples: 20 })(model, { origin: await worn(model) });
  expect(judge.samples).toEqual({ search: 20, heldOut: 20 });
  expect((await judge.score(model, 'search')).samples).toBe(20);
  expect((await judge.score(model, 'heldOut')).samples).toBe(20);
  await judge.left(0.01);
  expect(Math.max(...seen.map(({ samples }) => samples))).toBe(20);
  expect(new Set(seen.map(({ skip }) => skip))).toEqual(new Set([0, 20]));
  await judge.dispose();

  const half = await createJudge(dataset, { seed: 0, samples: dataset.samples })(model, { searchSamples: 4096 });
  expect(half.samples.search).toBe(Math.floor(dataset.samples / 2));
  expect(half.samples.search + half.samples.heldOut).toBe(dataset.samples);
  await half.dispose();
});
