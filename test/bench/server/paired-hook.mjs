/**
 * Loaded into a server under test by `node --import` (paired.mjs), also into its threads: keeps the sessions that the server opens, and runs
 * them without the server when it is told to. The server's own code knows nothing of it.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { BroadcastChannel, isMainThread } from 'node:worker_threads';

const ort = createRequire(join(process.cwd(), 'server.mjs'))('onnxruntime-node');
const { InferenceSession, Tensor } = ort;

/** Rows of all runs that the server asked for in this thread. */
let served = 0;
let session;
let runAlone;

const create = InferenceSession.create;
InferenceSession.create = async (...args) => {
  const made = await create.apply(InferenceSession, args);
  const run = made.run.bind(made);
  const [first] = made.inputNames;
  made.run = (feeds, ...more) => {
    served += feeds[first].dims[0] ?? 1;
    return run(feeds, ...more);
  };
  // The last one that was opened is the one that serves (a session may move to another thread).
  [session, runAlone] = [made, run];
  return made;
};

/** Inputs that take turns: what the server has in memory with 32 connections. */
const inMemory = 32;
const kept = new Map();

function feedsOf({ inputs, rows }) {
  const known = kept.get(rows);
  if (known !== undefined) return known;
  const made = Array.from({ length: Math.ceil(inMemory / rows) }, () =>
    Object.fromEntries(
      inputs.map(({ name, shape, bytes }) => {
        const one = Buffer.from(bytes, 'base64');
        const memory = Buffer.allocUnsafeSlow(one.length * rows);
        for (let row = 0; row < rows; row++) one.copy(memory, row * one.length);
        const data = new Float32Array(memory.buffer, memory.byteOffset, memory.length / 4);
        return [name, new Tensor('float32', data, [shape[0] * rows, ...shape.slice(1)])];
      }),
    ),
  );
  kept.set(rows, made);
  return made;
}

async function alone({ ms, ...what }) {
  const feeds = feedsOf(what);
  let runs = 0;
  const cpu = process.cpuUsage();
  const begun = performance.now();
  do {
    await runAlone(feeds[runs % feeds.length]);
    runs++;
  } while (performance.now() - begun < ms);
  const wall = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const count = runs * what.rows * what.inputs[0].shape[0];
  return { perSecond: count / wall, perCpuSecond: (count * 1e6) / (user + system) };
}

/** What the server runs meanwhile. */
async function watch({ ms }) {
  const [before, cpu, begun] = [served, process.cpuUsage(), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, ms));
  const wall = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const count = served - before;
  return { perSecond: count / wall, perCpuSecond: (count * 1e6) / (user + system), busy: (user + system) / 1e6 / wall };
}

/** To this file in the other threads, and to the session in this one: a channel does not hear itself, so there are two of them here. */
function openChannel(hear) {
  const channel = new BroadcastChannel('mlpack-bench');
  channel.unref();
  channel.addEventListener('message', ({ data }) => void hear(data));
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel between threads has no origin
  return (data) => channel.postMessage(data);
}

const say = openChannel(async ({ ask }) => {
  // Whoever has the session answers.
  if (ask === undefined || session === undefined) return;
  say({ answer: ask.rows === undefined ? await watch(ask) : await alone(ask) });
});

if (isMainThread && process.send !== undefined) {
  const tell = openChannel(({ answer }) => answer !== undefined && process.send(answer));
  process.on('message', (ask) => tell({ ask }));
  process.channel.unref();
}
