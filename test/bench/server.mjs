/**
 * The server bundle under load, over loopback, by clients that no one here wrote (wrk, else autocannon).
 *
 *   npm run bench:server -- [model folder or .onnx …] [--only saturation,paired,budget,overhead,cold,overload,kills]
 *       [--starts 3] [--pairs 12] [--seconds 4] [--connections 32] [--budget 100] [--minutes 10] [--factor 2.5] [--seed 1]
 *
 * saturation  the server without and with batches, against bare sessions of the same number on the same CPUs (taskset: the
 *             client has the other half)
 * paired      the share of its own session's rate that a server answers, both in one process and in turn (needs wrk): 1 and 8 samples a request
 * budget      the highest rate with 99 of 100 answers within --budget ms, without and with batches
 * overhead    one client at a time: what of a request is not the model
 * cold        process start to ready, median of seven
 * overload    2.5 times the rate that it answers, for ten minutes, on all CPUs; fails where memory grows, an accepted request
 *             is not answered, or a refusal is neither 429 nor 503
 * kills       a batch job killed at ten random moments (wine-mlp, or the first model named, which must have one input of numbers)
 *
 * Without --only: the first three, on the shared picture models, the intents model, and two that gain from batches (wine-mlp,
 * and a dense one made here).
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { budgeted } from './server/budget.mjs';
import { bundle, denseModel, installed, request } from './server/bundles.mjs';
import { client } from './server/client.mjs';
import { kills } from './server/kills.mjs';
import { overload } from './server/overload.mjs';
import { paired } from './server/paired.mjs';
import { split, start } from './server/process.mjs';
import { alone, measured, saturation } from './server/saturation.mjs';

const root = resolve(import.meta.dirname, '../..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', default: 'saturation,overhead,cold' },
    starts: { type: 'string', default: '3' },
    pairs: { type: 'string', default: '12' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '32' },
    budget: { type: 'string', default: '100' },
    minutes: { type: 'string', default: '10' },
    factor: { type: 'string', default: '2.5' },
    seed: { type: 'string', default: '1' },
  },
});
const only = new Set(values.only.split(','));
const cpus = split();
const out = (text) => process.stdout.write(`${text}\n`);
const work = mkdtempSync(join(tmpdir(), 'mlpack-bench-server-'));

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function overhead(made, ask, seconds) {
  const server = await start(made.dir, { cpus: cpus.server });
  const { threads } = server.plan;
  const url = `${server.url}/v2/models/${made.manifest.model.name}/infer`;
  const { p50 } = await measured(server, url, ask, { connections: 1, seconds, cpus: cpus.client });
  await server.stop();
  const run = alone({ ...made, workers: 1, threads, rows: 1, seconds: 1 }, cpus.server);
  out(`  one client               p50 ${p50.toFixed(2)} ms, of which ${(p50 - run.p50).toFixed(2)} ms are not the model (client and both ways included)`);
}

async function cold({ dir }) {
  const times = [];
  for (let i = 0; i < 7; i++) {
    const server = await start(dir);
    times.push(server.ready);
    await server.stop();
  }
  times.sort((a, b) => a - b);
  out(`  cold start               ${times[3].toFixed(0)} ms until ready (${times[0].toFixed(0)} to ${times[6].toFixed(0)})`);
}

let held = true;

async function measure(model, index, modules) {
  const made = bundle(model, 'server', join(work, `bundle-${index}`), modules);
  const ask = request(made);
  out(`\n${made.manifest.model.name}`);
  if (only.has('saturation')) {
    await saturation(made, ask, { cpus, connections: Number(values.connections), seconds: Number(values.seconds), out });
  }
  if (only.has('paired')) {
    for (const samples of [1, 8]) {
      const [starts, pairs, connections] = [values.starts, values.pairs, values.connections].map(Number);
      await paired(made, { cpus, connections, starts, pairs, samples, out });
    }
  }
  if (only.has('budget')) await budgeted(made, ask, { cpus, budget: Number(values.budget), seconds: Number(values.seconds), out });
  if (only.has('overhead')) await overhead(made, ask, Number(values.seconds));
  if (only.has('cold')) await cold(made);
  if (!only.has('overload')) return;
  const server = await start(made.dir);
  const url = `${server.url}/v2/models/${made.manifest.model.name}/infer`;
  held = (await overload(server, url, ask, { minutes: Number(values.minutes), factor: Number(values.factor), out })) && held;
  out(`  ended with ${await server.stop()}`);
}

const shared = resolve(root, '../shared/models');
const usual = ['imagenet-mobilenetv1-050', 'cifar10-resnet20', 'clinc150-bert', 'wine-mlp'].map((one) => join(shared, one));
try {
  const models = positionals.length > 0 ? positionals : [...usual, await denseModel(join(work, 'dense.onnx'))];
  const there = models.filter((model) => existsSync(model) || process.stderr.write(`${model} is not there, skipped\n`) === 0);
  if (only.has('kills')) {
    // A table of twelve numbers a row, where nobody named another model.
    const made = bundle(positionals[0] ?? join(shared, 'wine-mlp'), 'batch', join(work, 'batch'), installed('batch'));
    out(`\n${made.manifest.model.name}`);
    held = await kills(made, work, { times: 10, rows: 100_000, random: randomFrom(Number(values.seed)), out });
  }
  if (['saturation', 'paired', 'budget', 'overhead', 'cold', 'overload'].some((part) => only.has(part))) {
    out(`client: ${client}; ${cpus.says}`);
    const modules = installed('server');
    for (const [index, model] of there.entries()) await measure(model, index, modules);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.exitCode = held ? 0 : 1;
