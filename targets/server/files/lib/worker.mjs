/** A session in a thread of its own, where its runs do not block the one that speaks HTTP. */

import { parentPort } from 'node:worker_threads';
import { loadRuntime, openSession, textOf } from './session.mjs';

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

async function open({ path, threads }) {
  try {
    const session = await openSession(path, threads);
    parentPort.postMessage({ ready: true });
    return session;
  } catch (error) {
    parentPort.postMessage({ failed: textOf(error) });
    parentPort.close();
    return undefined;
  }
}

/** A thread that ends while ONNX Runtime opens a session in it takes the process with it. */
async function close() {
  await (await opening)?.close();
  parentPort.close();
}

let opening;
parentPort.on('message', (message) => {
  if (message === 'close') void close();
  else if (message.open !== undefined) opening = open(message.open);
  else void opening.then((session) => answer(session, message));
});
// Which model it will be may not be known yet. What goes wrong here is told where one is opened.
loadRuntime().catch(() => {});
