import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDataset } from '../../src/data/open-dataset.ts';
import { createActivations } from '../../src/engine/activations.ts';
import { observe } from '../../src/engine/observe.ts';
import { Graph, Model, type Value } from '../../src/ir/graph.ts';
import { tensorFrom, toNumbers } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { npyFile } from '../data/npy-file.ts';

/** root = √x, double = root + root (of no known type), y = −double. */
function model(): { model: Model; values: Record<'x' | 'root' | 'double', Value> } {
  const graph = new Graph('g');
  const type = tensorType('float32', ['n', 2]);
  const x = graph.addInput('x', type);
  const root = graph.append('Sqrt', { inputs: [x], outputs: ['root'], types: [type] }).output();
  const double = graph.append('Add', { inputs: [root, root], outputs: ['double'] }).output();
  graph.addOutput(graph.append('Neg', { inputs: [double], outputs: ['y'], types: [type] }).output());
  return { model: new Model(graph, 17, 8), values: { x, root, double } };
}

test('ranges come from the calibration samples; NaN and infinities are counted apart', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'mlpack-test-'));
  try {
    const calibration = Float32Array.of(4, 9, -1, 1, Number.POSITIVE_INFINITY, 16);
    await writeFile(join(dir, 'x.npy'), npyFile('<f4', [1, 2], Float32Array.of(1e6, 1e6)));
    await writeFile(join(dir, 'c.npy'), npyFile('<f4', [3, 2], calibration));
    const json = { schema: 'mlpack.dataset/1', inputs: { x: { file: 'x.npy', calibration: 'c.npy' } }, batch: 2 };
    await writeFile(join(dir, 'dataset.json'), JSON.stringify(json));
    const dataset = await openDataset(dir);
    const activations = createActivations(dataset, { seed: 1 });
    expect([activations.source, activations.samples]).toEqual(['data', 3]);
    const { model: m, values } = model();
    const ranges = await activations.ranges(m, Object.values(values));
    expect(ranges.get('x')).toEqual({ min: -1, max: 16, absMax: 16, nan: 0, inf: 1 });
    expect(ranges.get('root')).toEqual({ min: 1, max: 4, absMax: 4, nan: 1, inf: 1 });
    expect(ranges.get('double')).toEqual({ min: 2, max: 8, absMax: 8, nan: 1, inf: 1 });
    const histograms = await activations.histograms(m, Object.values(values));
    const summary = ['x', 'root', 'double'].map((name) => {
      const { min, max, count, nan, inf } = histograms.get(name) ?? {};
      return { min, max, count, nan, inf };
    });
    expect(summary).toEqual([
      { min: -1, max: 16, count: 5, nan: 0, inf: 1 },
      { min: 1, max: 4, count: 4, nan: 1, inf: 1 },
      { min: 2, max: 8, count: 4, nan: 1, inf: 1 },
    ]);
    expect(m.graph.outputs.map((output) => output.name)).toEqual(['y']);
    await dataset.close();
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('many values are seen once for each batch, whatever the groups', async () => {
  const graph = new Graph('g');
  const type = tensorType('float32', [1]);
  let value = graph.addInput('x', type);
  const one = graph.addInitializer('one', tensorFrom('float32', [1], Float32Array.of(1)));
  const names = Array.from({ length: 40 }, (_, at) => `v${at}`);
  for (const name of names)
    value = graph.append('Add', { inputs: [value, one], outputs: [name], types: [type] }).output();
  graph.addOutput(value);
  const batches = [0, 100].map((start) => ({
    feeds: new Map([['x', tensorFrom('float32', [1], Float32Array.of(start))]]),
    size: 1,
  }));
  const seen: [string, number][] = [];
  await observe(
    new Model(graph, 17, 8),
    names,
    () => batches,
    (name, tensor) => void seen.push([name, toNumbers(tensor)?.[0] ?? Number.NaN]),
  );
  expect(seen).toEqual([0, 100].flatMap((start) => names.map((name, at) => [name, start + at + 1])));
});
