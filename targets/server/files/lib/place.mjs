/** Where a session runs: in a thread of its own, or in the one that speaks HTTP. */

import { Worker } from 'node:worker_threads';
import { afterArrivals } from './arrivals.mjs';
import { inParts } from './rows.mjs';
import { openSession, textOf } from './session.mjs';

const source = new URL('./worker.mjs', import.meta.url);
/** A thread that waits for a model, and when it has ended. */
let ahead;
/** Those in which ONNX Runtime is opening or running a session. */
const atWork = new Set();

/** Threads that a process cannot take down: it would wait for them, and be aborted by ONNX Runtime's binding when they come back. */
export const threadsAtWork = () => atWork.size;

/**
 * Starts a thread before it is known what for: it takes 0.1 s of CPU until ONNX Runtime is loaded in it, which another CPU can do while
 * packages are loaded in this one.
 */
export function startThread() {
  const worker = new Worker(source);
  // What goes wrong shows again, and is told, where a session is opened.
  worker.on('error', () => {});
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  ahead = { worker, ended };
  void ended.then(() => {
    if (ahead?.worker === worker) ahead = undefined;
  });
}

/** Ends the one that no model was given to. */
export async function endSpareThread() {
  ahead?.worker.postMessage('close');
  await ahead?.ended;
}

function takeThread() {
  const { worker } = ahead ?? { worker: new Worker(source) };
  ahead = undefined;
  return worker;
}

/**
 * A session in a thread of its own. The buffers of the feeds go over to it, and come back with the answer.
 * @param {{ path: string, threads: number }} model
 * @param {(message: { results?, error?, used: ArrayBuffer[] }) => void} settled after each run
 * @param {(error?: Error) => void} ended the thread is gone, or was never there
 * @returns {{ opened: Promise<void>, begin, abandon, end }} opened rejects with the text of what failed
 */
export function threadPlace(model, settled, ended) {
  const worker = takeThread();
  worker.postMessage({ open: model });
  atWork.add(worker);
  const gone = new Promise((resolve) => worker.once('exit', resolve));
  const opened = new Promise((resolve, reject) => {
    worker.on('message', (message) => {
      atWork.delete(worker);
      if (message.ready) resolve();
      else if (message.failed) reject(new Error(message.failed));
      else settled(message);
    });
    worker.on('error', reject);
    worker.on('exit', () => {
      atWork.delete(worker);
      reject(new Error('the session ended while it was being opened'));
      ended();
    });
  });
  return {
    opened,
    begin(feeds, outputs, buffers) {
      worker.postMessage({ feeds, outputs }, buffers);
      atWork.add(worker);
    },
    // Not terminated: ONNX Runtime's binding ends the whole process where a run comes back to a thread that is being taken down. It ends by itself
    // after its run.
    abandon: () => worker.postMessage('close'),
    end: () => {
      worker.postMessage('close');
      return gone;
    },
  };
}

/**
 * A session in this thread: nothing goes over and no thread is woken, and nothing else is done here during a run. A run that does
 * not end cannot be called off: there it is the liveness probe that helps.
 * @param {{ path: string, threads: number }} model @param {{ rows?: number }} limits rows: requests of more are run in parts of so many
 */
export function herePlace({ path, threads }, limits, settled) {
  let session;
  const open = async () => {
    session = await openSession(path, threads);
  };
  return {
    opened: open(),
    begin(feeds, outputs, used) {
      const run = (part) => session.run(part, outputs);
      const go = () =>
        (limits.rows === undefined ? run(feeds) : inParts(run, feeds, limits.rows)).then(
          (results) => settled({ results, used }),
          (error) => settled({ error: textOf(error), used }),
        );
      afterArrivals(go);
    },
    abandon() {},
    end: () => session?.close() ?? Promise.resolve(),
  };
}
