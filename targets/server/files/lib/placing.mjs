/**
 * Where there is one CPU, a thread of its own gains a session nothing: who asks for anything else waits for the run either way. What it
 * costs is handing over and two threads that push each other out of the caches. So a session whose runs are short, and known to
 * be, runs in the thread that speaks HTTP.
 */

import { refusalBySignature } from './warm-up.mjs';

/**
 * Milliseconds of the longest run in the thread that speaks HTTP. A run that is handed over costs 0.14 ms of CPU more (warm-up.mjs), 0.7 % of
 * 20 ms: beyond it nothing is left to gain.
 */
export const longestRunMs = 20;
/**
 * Bytes of the largest model that is opened in that thread, which is silent meanwhile. Measured on this project's machine: 5 MB in 0.05 s, 67 MB in
 * 0.19, 268 MB in 0.87; Kubernetes gives a probe a second unless told otherwise.
 */
const largestModel = 128 * 1024 * 1024;

/** Why runs may take any time, by the signature and by what the bundle says; undefined: each row takes as long as the next. */
function unboundedRun(info) {
  // Rows that count for all tensors are seen to: many of them are run in parts.
  const from = refusalBySignature(info) === undefined ? 1 : 0;
  const free = info.inputs.find(
    ({ dtype, shape }) =>
      dtype === 'string' || shape === null || shape.slice(from).some((dim) => typeof dim !== 'number'),
  );
  return free ? `input "${free.name}" may have any size` : info.loops;
}

/**
 * Why a session has to have its own thread, as far as that is known before it is opened.
 * @param config settings @param {{ cpus: number, workers: number, threads: number, modelBytes: number }} plan @param info of the model
 * @returns {string | undefined} undefined: it may run here
 */
export function threadBySignature({ inline }, { cpus, workers, threads, modelBytes }, info) {
  if (inline === 'off') return 'INLINE is off';
  if (inline === 'on') return undefined;
  if (cpus > 1) return `there are ${cpus} CPUs`;
  if (workers > 1 || threads > 1) return 'WORKERS or INTRA_OP_THREADS ask for more than one thread';
  if (modelBytes > largestModel)
    return `the model has more than ${largestModel / 2 ** 20} MiB, and takes long to be opened`;
  return unboundedRun(info);
}

/**
 * The same after it was opened and timed.
 * @param {number | undefined} runMs of the largest batch
 * @param {string | undefined} mixed why the rows of a request cannot be run in parts, where a request may have any number of them
 */
export function threadByTiming({ inline }, runMs, mixed) {
  if (runMs === undefined) return 'there is no golden case to time it with';
  if (inline === 'on') return undefined;
  if (runMs > longestRunMs) return `a run takes ${runMs.toFixed(1)} ms, which is over ${longestRunMs}`;
  return mixed === undefined ? undefined : `a request of many rows cannot be run in parts: ${mixed}`;
}

/** Rows that are run at once of a request that has many. */
export function rowsAtOnce(msPerRow) {
  return Math.max(1, Math.floor(longestRunMs / msPerRow));
}
