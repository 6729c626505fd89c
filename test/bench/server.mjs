/**
 * The server bundle under load, over loopback, by a client that no one here wrote (autocannon).
 *
 *   npm run bench:server -- [model folder or .onnx …] [--seconds 4] [--connections 64]
 *
 * For each model: what sessions alone answer on the same CPUs (as many as the server opens, runs of 1 and of the batch that
 * the server chose), then the server without and with batches at saturation, one client at a time for the overhead, and
 * 2.5 times the rate that it answers. Client and server share the CPUs.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { alone } from './server/alone.mjs';

const root = resolve(import.meta.dirname, '../..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '4' }, connections: { type: 'string', default: '64' } },
});
const seconds = Number(values.seconds);
const connections = Number(values.connections);
const work = mkdtempSync(join(tmpdir(), 'mlpack-bench-server-'));

function installed() {
  const cache = join(root, 'node_modules/.cache/mlpack-bench-server');
  execFileSync('mkdir', ['-p', cache]);
  const files = join(root, 'targets/server/files');
  execFileSync('cp', [join(files, 'package.json'), join(files, 'package-lock.json'), cache]);
  execFileSync('cp', [join(files, 'dot-npmrc'), join(cache, '.npmrc')]);
  execFileSync('npm', ['ci', '--omit=dev', '--no-audit', '--no-fund'], { cwd: cache, stdio: 'ignore' });
  return join(cache, 'node_modules');
}

const modules = installed();

function bundle(model, name) {
  const dir = join(work, name);
  execFileSync(process.execPath, [join(root, 'dist/bin/mlpack.js'), 'bundle', model, '-t', 'server', '-o', dir], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  symlinkSync(modules, join(dir, 'node_modules'));
  return dir;
}

function freePort() {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

async function start(dir, env) {
  const port = await freePort();
  const begun = performance.now();
  const child = spawn(process.execPath, ['server.mjs'], {
    cwd: dir,
    env: { ...process.env, LOG_LEVEL: 'info', LOG_REQUESTS: 'off', PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let log = '';
  child.stdout.on('data', (chunk) => (log = (log + chunk).slice(-20_000)));
  const url = `http://127.0.0.1:${port}`;
  while (!(await fetch(`${url}/v2/health/ready`).catch(() => undefined))?.ok) {
    if (child.exitCode !== null) throw new Error(log);
    await sleep(5);
  }
  const ready = performance.now() - begun;
  while (!log.includes('"model is ready"')) await sleep(5);
  const plan = log.split('\n').find((line) => line.includes('"model is ready"'));
  return {
    url,
    ready,
    plan: JSON.parse(plan),
    rss: () => Number(readFileSync(`/proc/${child.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1024,
    /** Seconds of CPU that the process has used so far. */
    cpu: () => {
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
      return (Number(fields[11]) + Number(fields[12])) / 100;
    },
    async stop() {
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      return ended;
    },
  };
}

/** The first golden case as a binary request. */
function request(dir, manifest) {
  const [{ inputs }] = manifest.golden;
  const datatypes = { float32: 'FP32', int64: 'INT64', int32: 'INT32', uint8: 'UINT8', float16: 'FP16', float64: 'FP64' };
  const parts = inputs.map(({ file }) => readFileSync(join(dir, file)));
  const head = Buffer.from(
    JSON.stringify({
      parameters: { binary_data_output: true },
      inputs: inputs.map(({ name, dtype, shape }, i) => ({
        name,
        shape,
        datatype: datatypes[dtype],
        parameters: { binary_data_size: parts[i].length },
      })),
    }),
  );
  return { headers: { 'inference-header-content-length': String(head.length) }, body: Buffer.concat([head, ...parts]) };
}

async function load(url, model, { headers, body }, { connections: clients, duration = seconds, overallRate }) {
  const result = await autocannon({
    url: `${url}/v2/models/${model}/infer`,
    method: 'POST',
    headers,
    body,
    connections: clients,
    duration,
    ...(overallRate === undefined ? {} : { overallRate }),
  });
  return {
    perSecond: result['2xx'] / result.duration,
    p50: result.latency.p50,
    p99: result.latency.p99,
    refused: result.non2xx,
    errors: result.errors + result.timeouts,
    statuses: Object.fromEntries(Object.entries(result.statusCodeStats ?? {}).map(([code, { count }]) => [code, count])),
  };
}

/** Single requests one after the other, precisely: autocannon counts whole milliseconds. */
async function single(url, model, { headers, body }) {
  const times = [];
  for (let i = 0; i < 300; i++) {
    const begun = performance.now();
    const answer = await fetch(`${url}/v2/models/${model}/infer`, { method: 'POST', headers, body });
    await answer.arrayBuffer();
    times.push(performance.now() - begun);
  }
  return times.slice(50).sort((a, b) => a - b)[125];
}

/** Load, and rows for each second of CPU that the server itself used: the client sits on the same CPUs. */
async function measured(server, model, ask, options) {
  const before = server.cpu();
  const result = await load(server.url, model, ask, options);
  const used = server.cpu() - before;
  return { ...result, perCpuSecond: (result.perSecond * (options.duration ?? seconds)) / used };
}

const show = ({ perSecond, p50, p99, refused, errors }) =>
  `${perSecond.toFixed(0)}/s  p50 ${p50} ms  p99 ${p99} ms${refused ? `  refused ${refused}` : ''}${errors ? `  ERRORS ${errors}` : ''}`;

async function benchmark(model, index) {
  const dir = bundle(model, `bundle-${index}`);
  const manifest = JSON.parse(readFileSync(join(dir, 'mlpack.json'), 'utf8'));
  const name = manifest.model.name;
  const ask = request(dir, manifest);
  const out = (text) => process.stdout.write(`${text}\n`);
  const server = await start(dir, {});
  const { workers, threads, batchRows, why } = server.plan;
  out(`\n${name}: ready after ${server.ready.toFixed(0)} ms, ${workers} sessions of ${threads} thread, batch ${batchRows}${why ? ` (${why})` : ''}`);
  const one = await alone({ dir, manifest, workers, threads, rows: 1, seconds });
  const many = batchRows > 1 ? await alone({ dir, manifest, workers, threads, rows: batchRows, seconds }) : one;
  out(`  session.run alone        ${one.perSecond.toFixed(0)}/s single, ${many.perSecond.toFixed(0)}/s in batches of ${batchRows}; one run ${one.p50.toFixed(2)} ms`);
  const p50 = await single(server.url, name, ask);
  const quiet = await alone({ dir, manifest, workers: 1, threads, rows: 1, seconds: 1 });
  out(`  one client               p50 ${p50.toFixed(2)} ms, of which ${(p50 - quiet.p50).toFixed(2)} ms are not the model (fetch client included)`);
  const plainServer = await start(dir, { BATCH_MAX: '1' });
  const plain = await measured(plainServer, name, ask, { connections });
  await plainServer.stop();
  out(`  without batches          ${show(plain)}`);
  const batched = await measured(server, name, ask, { connections });
  const share = (100 * batched.perCpuSecond) / many.perCpuSecond;
  out(`  with batches             ${show(batched)}  (${(batched.perSecond / plain.perSecond).toFixed(2)} × without; ${((100 * batched.perSecond) / many.perSecond).toFixed(0)} % of sessions alone, ${share.toFixed(0)} % for each second of CPU; without batches ${((100 * plain.perCpuSecond) / many.perCpuSecond).toFixed(0)} %)`);
  const before = server.rss();
  const over = await load(server.url, name, ask, { connections: 500, overallRate: Math.round(2.5 * batched.perSecond) });
  out(`  2.5 × that rate            ${show(over)}  statuses ${JSON.stringify(over.statuses)}  memory ${before.toFixed(0)} → ${server.rss().toFixed(0)} MB`);
  out(`  ended with ${await server.stop()}`);
}

const shared = resolve(root, '../shared/models');
const models = positionals.length > 0 ? positionals : ['imagenet-mobilenetv1-050', 'cifar10-resnet20'].map((one) => join(shared, one));
try {
  for (const [index, model] of models.entries()) {
    if (existsSync(model)) await benchmark(model, index);
    else process.stderr.write(`${model} is not there, skipped\n`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
