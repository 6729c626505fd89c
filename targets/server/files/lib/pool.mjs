/** The sessions of one model version, each in its worker thread, each with one run at a time. */

import { Worker } from 'node:worker_threads';
import { RequestError } from './errors.mjs';

const source = new URL('./worker.mjs', import.meta.url);

/** What ONNX Runtime says, in one line and without places on this machine. */
export function firstLine(text) {
  return text
    .split('\n', 1)[0]
    .replace(/(?:\/[\w.+-]+){2,}(?::\d+)?/g, '…')
    .slice(0, 300);
}

/** The model refused a run. Whether the inputs or the model are at fault is for the caller to find out. */
export class RunError extends Error {
  constructor(message, lost = false) {
    super(message);
    this.name = 'RunError';
    /** The session is gone with it: it crashed or did not come back in time. */
    this.lost = lost;
  }
}

export class Pool {
  #path;
  #options;
  #idle = [];
  #all = new Set();
  #closed = false;
  /** Called whenever a session has become free. */
  onIdle = () => {};

  /**
   * @param {{ workers: number, threads: number, timeoutMs: number, log: { error: Function }, buffers?: Buffers }} options
   *   buffers: where the memory of inputs goes after their run
   */
  constructor(path, options) {
    this.#path = path;
    this.#options = options;
  }

  /** Opens all sessions. Throws what ONNX Runtime says where the model cannot be loaded. */
  async open() {
    try {
      const places = Array.from({ length: this.#options.workers }, () => this.#start());
      this.#idle.push(...(await Promise.all(places)));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  get idle() {
    return this.#idle.length;
  }

  get size() {
    return this.#options.workers;
  }

  #start() {
    const worker = new Worker(source, { workerData: { path: this.#path, threads: this.#options.threads } });
    const place = { worker, job: undefined };
    this.#all.add(place);
    return new Promise((resolve, reject) => {
      worker.on('message', (message) => {
        if (message.ready) resolve(place);
        else if (message.failed) reject(new Error(firstLine(message.failed)));
        else this.#settle(place, message);
      });
      worker.on('error', (error) => reject(error));
      worker.on('exit', () => {
        reject(new Error('the session ended while it was being opened'));
        this.#lose(place, 'the session of this model ended unexpectedly');
      });
    });
  }

  #settle(place, { results, error, used }) {
    const { job } = place;
    if (job?.back !== undefined) job.back(used);
    else for (const buffer of used) this.#options.buffers?.give(buffer);
    if (job === undefined) return;
    place.job = undefined;
    clearTimeout(job.timer);
    if (results === undefined) job.reject(new RunError(firstLine(error)));
    else job.resolve(results);
    this.#free(place);
  }

  #free(place) {
    if (!this.#all.has(place)) return;
    this.#idle.push(place);
    this.onIdle();
  }

  /** Takes a session out of the pool, fails what it was at, and opens another in its place. */
  #lose(place, why) {
    if (!this.#all.delete(place)) return;
    this.#idle = this.#idle.filter((one) => one !== place);
    const { job } = place;
    place.job = undefined;
    clearTimeout(job?.timer);
    job?.reject(new RunError(why, true));
    if (this.#closed) return;
    this.#start().then(
      (next) => this.#free(next),
      (error) => this.#options.log.error({ err: error }, 'a session could not be opened again'),
    );
  }

  /**
   * One run on a free session; call it only while `idle` is not 0. The buffers of the feeds go over to the session.
   * @param {(buffers: ArrayBuffer[]) => void} [back] takes them when it has been; else they are for anybody to use
   * @returns name → { dims, data }. @throws RunError
   */
  run(feeds, outputs, back) {
    const place = this.#idle.pop();
    if (place === undefined) throw new RequestError('no session is free', 503, { retryAfter: 1 });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#lose(place, 'the model did not answer in time');
        void place.worker.terminate();
      }, this.#options.timeoutMs);
      place.job = { resolve, reject, timer, back };
      const buffers = feeds.flatMap(({ data }) => (ArrayBuffer.isView(data) ? [data.buffer] : []));
      place.worker.postMessage({ feeds, outputs }, [...new Set(buffers)]);
    });
  }

  /** Ends all sessions; runs that are on their way fail. */
  async close() {
    this.#closed = true;
    const ended = [...this.#all].map(
      ({ worker }) => new Promise((resolve) => worker.once('exit', resolve).postMessage('close')),
    );
    await Promise.all(ended);
  }
}
