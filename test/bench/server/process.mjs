/** Servers as processes of their own, on chosen CPUs, with what they use of them. */
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** Client and server share a machine; where it can be done, each gets CPUs of its own. */
export function split() {
  const count = availableParallelism();
  try {
    execFileSync('taskset', ['--version'], { stdio: 'ignore' });
  } catch {
    return { server: undefined, client: undefined, says: 'client and server share all CPUs (no taskset here)' };
  }
  if (count < 2) return { server: undefined, client: undefined, says: 'client and server share the only CPU' };
  const half = Math.floor(count / 2);
  const range = (from, to) => (from === to ? `${from}` : `${from}-${to}`);
  const cpus = { server: range(0, half - 1), client: range(half, count - 1) };
  return { ...cpus, says: `server and bare sessions on CPU ${cpus.server}, client on CPU ${cpus.client}` };
}

/** A command line on the given CPUs; undefined: on all. */
export function on(cpus, command) {
  return cpus === undefined ? command : ['taskset', '-c', cpus, ...command];
}

export function freePort() {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

/** Starts a bundle's server and waits until it is ready. */
export async function start(dir, { env = {}, cpus } = {}) {
  const port = await freePort();
  const begun = performance.now();
  const [program, ...args] = on(cpus, [process.execPath, 'server.mjs']);
  const child = spawn(program, args, {
    cwd: dir,
    env: { ...process.env, LOG_LEVEL: 'info', LOG_REQUESTS: 'off', PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let log = '';
  child.stdout.on('data', (chunk) => (log = (log + chunk).slice(-20_000)));
  while (!log.includes('"msg":"ready"')) {
    if (child.exitCode !== null) throw new Error(log);
    await sleep(2);
  }
  const ready = performance.now() - begun;
  const plan = log.split('\n').find((line) => line.includes('"model is ready"'));
  return {
    url: `http://127.0.0.1:${port}`,
    ready,
    plan: JSON.parse(plan),
    alive: () => child.exitCode === null,
    /** Megabytes of memory. */
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
