/**
 * A server at saturation against its own session, in one process: slices of time in which clients from outside are served, and slices in which
 * those are stopped (SIGSTOP) and the session runs alone, in turn. Processes of the same program differ by 8 to 12 % here from start to start, by
 * where their memory lies; within one process that is the same for both. Needs wrk, taskset and two CPUs.
 *
 *   npm run bench:server -- --only paired [--starts 3] [--pairs 12] [model …]
 *   node test/bench/server/paired.mjs BUNDLE… [--starts 3] [--pairs 12] [--slice 1000] [--samples 1]     a bundle with its node_modules
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { request } from './bundles.mjs';
import { wrkScript } from './client.mjs';
import { freePort, on, split } from './process.mjs';

const hook = pathToFileURL(join(import.meta.dirname, 'paired-hook.mjs')).href;
/** Until V8 has compiled what runs often (saturation.mjs). */
const warmMs = 12_000;
/** After the clients go on, or are stopped. */
const settleMs = 250;

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** A server with the hook in it. `ask` gives what the hook measured. */
async function startHooked(dir, cpus, env) {
  const port = await freePort();
  const [program, ...args] = on(cpus, [process.execPath, '--import', hook, 'server.mjs']);
  const child = spawn(program, args, {
    cwd: dir,
    env: { ...process.env, LOG_LEVEL: 'info', LOG_REQUESTS: 'off', PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  let log = '';
  child.stdout.on('data', (chunk) => (log += chunk));
  while (!log.includes('"msg":"ready"')) {
    if (child.exitCode !== null) throw new Error(log);
    await sleep(5);
  }
  const plan = JSON.parse(log.split('\n').find((line) => line.includes('"model is ready"')));
  return {
    plan,
    url: `http://127.0.0.1:${port}`,
    ask: (what) =>
      new Promise((done, failed) => {
        const ended = () => failed(new Error(`the server ended: ${log}`));
        child.once('exit', ended);
        child.once('message', (answer) => {
          child.off('exit', ended);
          done(answer);
        });
        child.send(what, (error) => error && failed(error));
      }),
    async stop() {
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      return ended;
    },
  };
}

/** wrk on its own CPU, stopped and let go on as wanted. */
function startClient(url, ask, { cpus, connections }) {
  const [program, ...args] = on(cpus, ['wrk', '-t1', `-c${connections}`, '-d3600s', '--timeout', '60s', '-s', wrkScript(ask), url]);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  const ended = new Promise((done) => child.once('close', done));
  return {
    hold: () => child.kill('SIGSTOP'),
    goOn: () => child.kill('SIGCONT'),
    /** What wrk counted; undefined where it did not end by itself, as happens now and then when it is interrupted just as it goes on. */
    async stop() {
      child.kill('SIGCONT');
      child.kill('SIGINT');
      const late = setTimeout(() => child.kill('SIGKILL'), 3000);
      await ended;
      clearTimeout(late);
      const counted = text.match(/RESULT (.*)/)?.[1];
      return counted === undefined ? undefined : JSON.parse(counted);
    },
  };
}

/** One start: `pairs` rounds of served, alone one row at a time, and alone in batches (as many rows as the server puts together). */
async function onePart(made, { cpus, connections, pairs, sliceMs, samples, env, warm }) {
  const server = await startHooked(made.dir, cpus.server, env);
  const { batchRows, inline } = server.plan;
  const client = startClient(`${server.url}/v2/models/${made.manifest.model.name}/infer`, request(made, samples), { cpus: cpus.client, connections });
  const inputs = made.manifest.golden[0].inputs.map(({ name, shape, file }) => ({ name, shape, bytes: readFileSync(join(made.dir, file)).toString('base64') }));
  const sizes = [...new Set([1, batchRows])];
  const rounds = [];
  try {
    await sleep(warm);
    for (let i = 0; i < pairs; i++) {
      client.goOn();
      await sleep(settleMs);
      const served = await server.ask({ ms: sliceMs });
      client.hold();
      await sleep(settleMs);
      const alone = [];
      // Which size comes first changes from round to round.
      for (const rows of i % 2 === 0 ? sizes : sizes.toReversed()) alone.push({ rows, ...(await server.ask({ ms: sliceMs, rows, inputs })) });
      rounds.push({ served, alone: alone.sort((a, b) => a.rows - b.rows) });
    }
  } finally {
    const counted = await client.stop();
    if (counted !== undefined && counted.errors + counted.refused > 0) process.stderr.write(`${counted.errors} errors, ${counted.refused} refused\n`);
    await server.stop();
  }
  return { rounds, sizes, inline };
}

/** @returns {Promise<number>} the median share of the better of single runs and batches, by requests a second */
export async function paired(made, { cpus, connections, starts, pairs, sliceMs = 1000, samples = 1, env = {}, warm = warmMs, out }) {
  const shares = [];
  for (let start = 0; start < starts; start++) {
    const { rounds, sizes, inline } = await onePart(made, { cpus, connections, pairs, sliceMs, samples, env, warm });
    const rate = (of, what = 'perSecond') => median(rounds.map((round) => of(round)[what]));
    const share = (i, what) => rounds.map(({ served, alone }) => served[what] / alone[i][what]).sort((a, b) => a - b);
    const texts = sizes.map((rows, i) => {
      const [wall, cpu] = [share(i, 'perSecond'), share(i, 'perCpuSecond')];
      return `alone ${rows === 1 ? 'single' : `in ${rows}`} ${rate((round) => round.alone[i]).toFixed(0)}/s: ${percent(median(wall))} (${percent(wall[0])} to ${percent(wall.at(-1))}), of CPU ${percent(median(cpu))}`;
    });
    shares.push(Math.min(...sizes.map((_, i) => median(share(i, 'perSecond')))));
    out(`    ${inline ? 'here' : 'in a thread'}, ${samples} sample${samples > 1 ? 's' : ''}: ${rate(({ served }) => served).toFixed(0)}/s served; ${texts.join('; ')}`);
  }
  return median(shares);
}

if (process.argv[1] === import.meta.filename) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      starts: { type: 'string', default: '3' },
      pairs: { type: 'string', default: '12' },
      slice: { type: 'string', default: '1000' },
      samples: { type: 'string', default: '1' },
      connections: { type: 'string', default: '32' },
      warm: { type: 'string', default: String(warmMs) },
    },
  });
  const [starts, pairs, sliceMs, samples, connections, warm] = ['starts', 'pairs', 'slice', 'samples', 'connections', 'warm'].map((name) => Number(values[name]));
  for (const dir of positionals.map((one) => resolve(one))) {
    const made = { dir, manifest: JSON.parse(readFileSync(join(dir, 'mlpack.json'), 'utf8')) };
    const out = (text) => process.stdout.write(`${text}\n`);
    out(made.manifest.model.name);
    await paired(made, { cpus: split(), connections, starts, pairs, sliceMs, samples, warm, out });
  }
}
