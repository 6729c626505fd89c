import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { openDataset } from '../../../dist/src/data/open-dataset.js';
import { openSession } from '../../../dist/src/engine/session.js';
import { modelStats } from '../../../dist/src/ir/stats.js';
import { loadModel } from '../../../dist/src/onnx/load.js';
import { npy } from './npy.mjs';

const { convertTask } = await import('../../support/convert-task.ts');
const { haveSharedModels, sharedModel, sharedModelFiles } = await import('../../support/shared-models.ts');

/** Calibration samples that both sides get. */
const calibrationSamples = 128;

/**
 * @typedef {object} Subject a model and what to judge it by
 * @property {string} name
 * @property {string} file
 * @property {string | undefined} dataDir
 * @property {import('../../../dist/src/data/dataset.js').Dataset | undefined} dataset
 * @property {boolean} calibrated there are samples to calibrate on
 * @property {ReadonlySet<string>} ops
 * @property {string} feeds folder of <number>/<input>.npy
 * @property {() => Promise<void>} close
 */

/** The folders given, else all shared models (second versions of the same network left out). @returns {Promise<Subject[]>} */
export async function openSubjects(folders) {
  if (folders.length > 0) {
    const own = [];
    for (const folder of folders) own.push(await openSubject(...(await ownFolder(resolve(folder)))));
    return own;
  }
  if (!haveSharedModels) return [];
  const main = new Map(sharedModelFiles.toReversed().map(([slug]) => [slug, sharedModel(slug)]));
  const subjects = [];
  for (const [slug, file] of [...main].toReversed()) subjects.push(await openSubject(slug, file, await converted(slug)));
  return subjects;
}

async function ownFolder(folder) {
  const data = existsSync(join(folder, 'dataset.json')) ? { dir: folder, remove: async () => {} } : undefined;
  const slug = basename(folder);
  // A folder of the shared models is described by its task.json.
  if (!data && existsSync(join(folder, 'task.json'))) return [slug, sharedModel(slug), await converted(slug)];
  return [slug, join(folder, 'model.onnx'), data];
}

/** Data in mlpack's form, or undefined where the task has none yet: decibels judge then. */
async function converted(slug) {
  try {
    return await convertTask(slug);
  } catch (error) {
    if (!/no form as dataset/.test(error.message)) throw error;
    return undefined;
  }
}

async function openSubject(name, file, data) {
  const session = await openSession(file);
  const dataset = data && (await openDataset(data.dir, session.inputs));
  const split = dataset && dataset.calibrationSamples > 0 ? 'calibration' : 'eval';
  const feeds = await mkdtemp(join(tmpdir(), 'mlpack-feeds-'));
  let number = 0;
  if (dataset) {
    const available = split === 'calibration' ? dataset.calibrationSamples : dataset.samples;
    const samples = Math.min(calibrationSamples, available);
    // ONNX Runtime's percentile and entropy calibrators fail on batches of different sizes.
    let batch = Math.min(dataset.batch, samples);
    while (samples % batch > 0) batch--;
    const options = { split, samples, batch, seed: 0, inputs: session.inputs };
    for await (const batch of dataset.batches(options)) await writeFeeds(join(feeds, String(number++)), batch.feeds);
  }
  await session.dispose();
  return {
    name,
    file,
    dataDir: data?.dir,
    dataset,
    calibrated: number > 0,
    ops: new Set(modelStats(await loadModel(file)).ops.keys()),
    feeds,
    async close() {
      await dataset?.close();
      await data?.remove();
      await rm(feeds, { recursive: true });
    },
  };
}

const descriptors = { float32: '<f4', float64: '<f8', int64: '<i8', int32: '<i4', uint8: '|u1', int8: '|i1', bool: '|b1' };

async function writeFeeds(folder, feeds) {
  await mkdir(folder);
  for (const [name, { dtype, shape, bytes }] of [...feeds].map(([key, tensor]) => [key, parts(tensor)]))
    await writeFile(join(folder, `${name}.npy`), npy(descriptorOf(dtype), shape, bytes));
}

function descriptorOf(dtype) {
  return descriptors[dtype] ?? fail(`calibration samples of type ${dtype} cannot be written as .npy`);
}

function fail(why) {
  throw new Error(why);
}

const parts = (tensor) => ({ dtype: tensor.dtype, shape: tensor.shape, bytes: tensor.bytes() });
