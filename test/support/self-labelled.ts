import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openSession } from '../../src/engine/session.ts';
import type { Model } from '../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../src/ir/tensor.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { npyFile } from '../data/npy-file.ts';

interface Samples {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

interface Labelled {
  readonly name: string;
  readonly x: Samples;
  readonly calibration: Samples;
  readonly output?: string;
  readonly batch?: number;
}

/** Writes a classifier x → logits and data whose labels are its own answers: model.onnx, dataset.json, arrays. */
export async function writeSelfLabelled(
  dir: string,
  model: Model,
  { x, calibration, ...more }: Labelled,
): Promise<void> {
  await mkdir(dir, { recursive: true });
  const bytes = encodeModel(model);
  await writeFile(join(dir, 'model.onnx'), bytes);
  const session = await openSession(bytes);
  const outputs = await session.run(new Map([['x', tensorFrom('float32', [...x.shape], x.data)]]));
  await session.dispose();
  const logits = outputs.get('logits');
  const scores = logits ? typedArray(logits, 'float32') : new Float32Array();
  const samples = x.shape[0] ?? 0;
  const classes = scores.length / samples;
  const labels = Int32Array.from({ length: samples }, (_, at) => {
    const row = scores.subarray(at * classes, (at + 1) * classes);
    return row.indexOf(Math.max(...row));
  });
  await writeFile(join(dir, 'x.npy'), npyFile('<f4', [...x.shape], x.data));
  await writeFile(join(dir, 'calib.npy'), npyFile('<f4', [...calibration.shape], calibration.data));
  await writeFile(join(dir, 'y.npy'), npyFile('<i4', [samples], labels));
  const dataset = {
    schema: 'mlpack.dataset/1',
    inputs: { x: { file: 'x.npy', calibration: 'calib.npy' } },
    labels: { file: 'y.npy' },
    metric: 'top1',
    ...more,
  };
  await writeFile(join(dir, 'dataset.json'), JSON.stringify(dataset));
}
