// Shared models as static quantization is judged on them: a folder of data, calibration batches as .npy files, a score.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDataset } from '../../../dist/src/data/open-dataset.js';
import { compare } from '../../../dist/src/engine/compare.js';
import { evaluate } from '../../../dist/src/engine/evaluate.js';

const { convertTask } = await import('../../support/convert-task.ts');

/** Opens the data of a shared model. */
export async function openTask(slug, inputs) {
  const { dir, remove } = await convertTask(slug);
  const dataset = await openDataset(dir, inputs);
  return { dir, dataset, close: async () => { await dataset.close(); await remove(); } };
}

/**
 * The samples that a calibration takes, one a batch where the model leaves that open (ONNX Runtime's percentile and entropy want equal
 * shapes), as files that Python reads. @returns how many there are.
 */
export async function writeCalibration(dataset, inputs, dir, { samples, seed }) {
  await mkdir(dir, { recursive: true });
  const split = dataset.calibrationSamples > 0 ? 'calibration' : 'eval';
  let batch = 0;
  for await (const { feeds } of dataset.batches({ split, samples, seed, inputs, batch: 1 })) {
    for (const [index, { name }] of inputs.entries()) await writeFile(join(dir, `${batch}.${index}.npy`), npy(feeds.get(name)));
    batch++;
  }
  return batch;
}

const descriptors = { float32: '<f4', int64: '<i8', int32: '<i4', uint8: '|u1', bool: '|b1' };

function npy(tensor) {
  const header = `{'descr': '${descriptors[tensor.dtype]}', 'fortran_order': False, 'shape': (${tensor.shape.map((dim) => `${dim},`).join('')}), }`;
  const padded = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + '\n';
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(padded.length, 8);
  return Buffer.concat([head, Buffer.from(padded, 'latin1'), tensor.bytes()]);
}

/** Task metric where there are labels or targets, and the lowest SQNR of the outputs against the float model, in dB. */
export async function score(session, base, dataset) {
  const judged = dataset.hasLabels || dataset.hasTargets;
  const { value, metric } = judged ? await evaluate(session, dataset) : {};
  const { outputs } = await compare(base, session, dataset.batches({ inputs: base.inputs }));
  return { metric, value, db: Math.min(...outputs.map((output) => output.sqnrDb)) };
}
