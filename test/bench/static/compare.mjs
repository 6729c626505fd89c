// Static INT8 beside ONNX Runtime's own tools: same calibration batches, same metric, latency interleaved in one process.
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bench, benchSessionExtra } from '../../../dist/src/engine/bench.js';
import { openSession } from '../../../dist/src/engine/session.js';
import { measured } from './child.mjs';
import { openTask, score, writeCalibration } from './data.mjs';

const { sharedModel } = await import('../../support/shared-models.ts');
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

export const rivalMethods = ['MinMax', 'Percentile', 'Entropy'];

/**
 * One shared model: the float file, ours for each step text, and ONNX Runtime's for each calibrator where an interpreter is given.
 * @param options {python, variants: {name: steps[]}, methods, samples, seed, timeMs, reduceRange}
 * @returns rows {name, metric, value, db, mb, seconds, rssMb, p50, ratio, interval, failure}
 */
export async function compareStatic(slug, options) {
  const { python, variants = { ours: ['int8-static'] }, methods = rivalMethods, samples = 128, seed = 0, timeMs = 1500 } = options;
  const model = sharedModel(slug);
  const base = await openSession(model, { threads: 1, extra: benchSessionExtra });
  const { dir, dataset, close } = await openTask(slug, base.inputs);
  const work = await mkdtemp(join(tmpdir(), 'mlpack-static-'));
  const rows = [{ name: 'fp32', file: model, session: base }];
  try {
    for (const [name, steps] of Object.entries(variants)) {
      const file = join(work, `${name.replace(/\W/g, '_')}.onnx`);
      const args = [here('../../../dist/bin/mlpack.js'), 'run', model, ...steps, '-d', dir, '-o', file, '--force', '--seed', `${seed}`];
      rows.push({ name, file, ...cost(await measured(process.execPath, args)) });
    }
    if (python) {
      const batches = await writeCalibration(dataset, base.inputs, join(work, 'calibration'), { samples, seed });
      for (const method of methods) {
        const file = join(work, `ort-${method}.onnx`);
        const job = { model, out: file, data: join(work, 'calibration'), batches, inputs: base.inputs.map(({ name }) => name), method, perChannel: options.perTensor !== true, reduceRange: options.reduceRange ?? false };
        await writeFile(`${file}.json`, JSON.stringify(job));
        const ran = await measured(python, [here('ort_static.py'), `${file}.json`]);
        const said = ran.code === 0 ? JSON.parse(ran.stdout.trim().split('\n').at(-1)) : { failure: ran.stderr.trim().split('\n').at(-1) };
        rows.push({ name: `ORT ${method}`, file, ...cost(ran), ...(said.failure && { failure: said.failure }) });
      }
    }
    for (const row of rows) await judge(row, base, dataset);
    await time(rows, dataset, base, timeMs);
    return rows.map(({ session: _, file: __, ...row }) => row);
  } finally {
    for (const { session } of rows) await session?.dispose();
    await close();
    await rm(work, { recursive: true, force: true });
  }
}

const cost = ({ code, stderr, seconds, rssMb }) => ({ seconds, rssMb, ...(code !== 0 && { failure: stderr.trim().split('\n').at(-1) }) });

async function judge(row, base, dataset) {
  if (row.failure) return;
  try {
    row.session ??= await openSession(row.file, { threads: 1, extra: benchSessionExtra });
    row.mb = (await stat(row.file)).size / 1e6;
    Object.assign(row, await score(row.session, base, dataset));
  } catch (error) {
    row.failure = `does not load: ${error.message}`;
  }
}

async function time(rows, dataset, base, timeMs) {
  const timed = rows.filter(({ session }) => session);
  // The session must be the same kind for all: batch as the data set gives it, one sample where the model leaves that open.
  for await (const { feeds } of dataset.batches({ inputs: base.inputs, batch: 1, samples: 1 })) {
    const { results } = await bench(timed, feeds, { timeMs });
    for (const [index, { latency }] of results.entries()) Object.assign(timed[index], { p50: latency.p50, ratio: latency.ratioToBase ?? 1, interval: latency.ratioCi });
  }
}
