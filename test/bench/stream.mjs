/**
 * The streaming worker with a Redis on this machine: how many records a second it answers out of a full stream, by rows in a run, and how
 * long a record takes while few come, by --wait-ms. Both by the times that Redis itself gives its entries.
 *
 *   npm run bench:stream -- [model folder or .onnx with one input of numbers] [--records 50000] [--batches 0,1,64] [--waits 0,1,5,20] [--per-second 200]
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { bundle, installed } from './server/bundles.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    records: { type: 'string', default: '50000' },
    batches: { type: 'string', default: '0,1,64' },
    waits: { type: 'string', default: '0,1,5,20' },
    'per-second': { type: 'string', default: '200' },
  },
});
const work = mkdtempSync(join(tmpdir(), 'mlpack-bench-stream-'));
const out = (text) => process.stdout.write(`${text}\n`);
const port = await new Promise((done) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port: free } = server.address();
    server.close(() => done(free));
  });
});
const redisServer = spawn('redis-server', ['--port', String(port), '--save', '', '--dir', work], { stdio: 'ignore' });

/** A worker on streams of its own name, once it has connected. */
async function start(dir, name, more) {
  const args = ['--broker', `redis://127.0.0.1:${port}`, '--in', `${name}-in`, '--out', `${name}-out`, '--dead', `${name}-dead`, '--group', 'g', '--port', '0', ...more];
  const child = spawn(process.execPath, ['run-stream.mjs', ...args], { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr.on('data', (chunk) => (text += chunk));
  while (!text.includes('"ready"')) {
    if (child.exitCode !== null) throw new Error(text);
    await sleep(5);
  }
  return {
    async stop() {
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      if ((await ended) !== 0) throw new Error(text);
    },
  };
}

const atOf = (id) => Number(id.split('-')[0]);

/** Records a second from the first answer to the last, of a stream that is full before the worker begins. */
async function full(client, dir, row, batch) {
  const [name, count] = [`full-${batch}`, Number(values.records)];
  for (let done = 0; done < count; done += 1000) {
    const pipeline = client.pipeline();
    for (let i = 0; i < 1000; i++) pipeline.xadd(`${name}-in`, '*', 'value', row);
    await pipeline.exec();
  }
  const worker = await start(dir, name, ['--batch', String(batch)]);
  while ((await client.xlen(`${name}-out`)) < count) await sleep(20);
  await worker.stop();
  const [[[first]], [[last]]] = await Promise.all([
    client.xrange(`${name}-out`, '-', '+', 'COUNT', 1),
    client.xrevrange(`${name}-out`, '+', '-', 'COUNT', 1),
  ]);
  out(`  --batch ${batch === '0' ? '0 (by timing)' : batch}: ${((count * 1000) / (atOf(last) - atOf(first))).toFixed(0)} records/s of ${count}`);
}

/** Milliseconds from a record's entry to its answer's: median and p99. */
async function few(client, dir, row, wait) {
  const [name, rate] = [`few-${wait}`, Number(values['per-second'])];
  const worker = await start(dir, name, ['--wait-ms', wait]);
  const begun = performance.now();
  for (let i = 0; i < 5 * rate; i++) {
    await client.xadd(`${name}-in`, '*', 'value', row);
    await sleep(Math.max(0, begun + ((i + 1) * 1000) / rate - performance.now()));
  }
  while ((await client.xlen(`${name}-out`)) < 5 * rate) await sleep(20);
  await worker.stop();
  const answers = await client.xrange(`${name}-out`, '-', '+');
  const times = answers
    .map(([id, fields]) => atOf(id) - atOf(fields[fields.indexOf('mlpack-source') + 1].split('/').at(-1)))
    .sort((a, b) => a - b);
  out(`  --wait-ms ${wait}: ${rate} records/s, each answered after ${times[times.length >> 1]} ms (p99 ${times[Math.floor(times.length * 0.99)]} ms)`);
}

try {
  const modules = installed('stream');
  const model = positionals[0] ?? resolve(import.meta.dirname, '../../../shared/models/wine-mlp');
  const { dir, manifest } = bundle(model, 'stream', join(work, 'bundle'), modules);
  const [{ inputs }] = manifest.golden;
  const bytes = readFileSync(join(dir, inputs[0].file));
  const elements = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const row = JSON.stringify({ [inputs[0].name]: [...elements.subarray(0, elements.length / inputs[0].shape[0])] });
  const Redis = createRequire(join(modules, 'x'))('ioredis');
  const client = new Redis(port);
  out(`${manifest.model.name}, ${row.length} bytes a record`);
  for (const batch of values.batches.split(',')) await full(client, dir, row, batch);
  for (const wait of values.waits.split(',')) await few(client, dir, row, wait);
  client.disconnect();
} finally {
  redisServer.kill();
  rmSync(work, { recursive: true, force: true });
}
