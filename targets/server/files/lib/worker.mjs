/** One ONNX Runtime session in a thread of its own: `session.run` blocks its thread, which may not be the one that speaks HTTP. */

import { parentPort, workerData } from 'node:worker_threads';

function textOf(error) {
  return String(error instanceof Error ? error.message : error);
}

/** Buffers that go over without a copy, each once. */
function buffersOf(results) {
  const buffers = Object.values(results).flatMap(({ data }) => (ArrayBuffer.isView(data) ? [data.buffer] : []));
  return [...new Set(buffers)];
}

async function open() {
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  const session = await InferenceSession.create(workerData.path, {
    intraOpNumThreads: workerData.threads,
    interOpNumThreads: 1,
  });
  return { session, Tensor };
}

async function run({ session, Tensor }, { feeds, outputs }) {
  const tensors = Object.fromEntries(
    feeds.map(({ name, dtype, shape, data }) => [name, new Tensor(dtype, data, shape)]),
  );
  const results = outputs === undefined ? await session.run(tensors) : await session.run(tensors, outputs);
  return Object.fromEntries(Object.entries(results).map(([name, { dims, data }]) => [name, { dims, data }]));
}

/** The memory of the inputs goes back with the answer, for whoever asked to use it again. */
function reply(message, { feeds }, buffers) {
  const used = [...new Set(feeds.flatMap(({ data }) => (ArrayBuffer.isView(data) ? [data.buffer] : [])))];
  parentPort.postMessage({ ...message, used }, [...buffers, ...used]);
}

async function answer(runtime, job) {
  try {
    const results = await run(runtime, job);
    reply({ results }, job, buffersOf(results));
  } catch (error) {
    reply({ error: textOf(error) }, job, []);
  }
}

try {
  const runtime = await open();
  parentPort.on('message', (job) => {
    if (job === 'close') void runtime.session.release().finally(() => parentPort.close());
    else void answer(runtime, job);
  });
  parentPort.postMessage({ ready: true });
} catch (error) {
  parentPort.postMessage({ failed: textOf(error) });
  parentPort.close();
}
