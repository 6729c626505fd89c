/** A session in a thread of its own, where its runs do not block the one that speaks HTTP. */

import { parentPort, workerData } from 'node:worker_threads';
import { openSession, textOf } from './session.mjs';

/** Buffers that go over without a copy, each once. */
function buffersOf(results) {
  const buffers = Object.values(results).flatMap(({ data }) => (ArrayBuffer.isView(data) ? [data.buffer] : []));
  return [...new Set(buffers)];
}

/** The memory of the inputs goes back with the answer, for whoever asked to use it again. */
function reply(message, { feeds }, buffers) {
  const used = [...new Set(feeds.flatMap(({ data }) => (ArrayBuffer.isView(data) ? [data.buffer] : [])))];
  parentPort.postMessage({ ...message, used }, [...buffers, ...used]);
}

async function answer(session, job) {
  try {
    const results = await session.run(job.feeds, job.outputs);
    reply({ results }, job, buffersOf(results));
  } catch (error) {
    reply({ error: textOf(error) }, job, []);
  }
}

try {
  const session = await openSession(workerData.path, workerData.threads);
  parentPort.on('message', (job) => {
    if (job === 'close') void session.close().finally(() => parentPort.close());
    else void answer(session, job);
  });
  parentPort.postMessage({ ready: true });
} catch (error) {
  parentPort.postMessage({ failed: textOf(error) });
  parentPort.close();
}
