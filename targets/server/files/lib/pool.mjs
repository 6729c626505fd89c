/** The sessions of one model version, each with one run at a time. */

import { BundleError, RequestError } from './errors.mjs';
import { herePlace, threadPlace } from './place.mjs';
import { textOf } from './session.mjs';

/** Before a session that could not be opened is tried again, each time twice as long. */
const firstPauseMs = 500;
const longestPauseMs = 30_000;

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
  /** Sessions that did not come back in time: their threads end after their runs. */
  #hung = new Set();
  /** Sessions to open once such threads have ended. */
  #owed = 0;
  /** Openings in a row that failed. */
  #failures = 0;
  /** Timers of openings to come. */
  #waiting = new Set();
  /** Called whenever a session has become free. */
  onIdle = () => {};

  /**
   * @param {{ workers: number, threads: number, timeoutMs: number, log: { error: Function }, buffers?: Buffers,
   *   here?: { rows?: number } }} options buffers: where the memory of inputs goes that came back from a thread. here: one session, in this
   *   thread (herePlace); else each has its own
   */
  constructor(path, options) {
    this.#path = path;
    this.#options = options;
  }

  /** Opens sessions, all unless told otherwise. Throws what ONNX Runtime says where the model cannot be loaded. */
  async open(count = this.size) {
    try {
      const places = Array.from({ length: count }, () => this.#start());
      this.#idle.push(...(await Promise.all(places)));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Opens those that are not open yet, one after another; one that fails is tried again. */
  async grow() {
    while (!this.#closed && this.#all.size + this.#waiting.size + this.#owed < this.size) await this.#again();
  }

  get idle() {
    return this.#idle.length;
  }

  get size() {
    return this.#options.here === undefined ? this.#options.workers : 1;
  }

  async #start() {
    const { threads, here } = this.#options;
    const slot = { place: undefined, job: undefined, opened: false };
    const settled = (message) => this.#settle(slot, message);
    const ended = () => {
      if (this.#hung.delete(slot) && this.#owed > 0) {
        this.#owed--;
        this.#again();
      }
      this.#lose(slot, 'the session of this model ended unexpectedly');
    };
    const model = { path: this.#path, threads };
    slot.place = here === undefined ? threadPlace(model, settled, ended) : herePlace(model, here, settled);
    this.#all.add(slot);
    try {
      await slot.place.opened;
    } catch (error) {
      throw new BundleError(`the model cannot be opened: ${firstLine(textOf(error))}`, { cause: error });
    }
    slot.opened = true;
    return slot;
  }

  #settle(slot, { results, error, used }) {
    const { job } = slot;
    if (job?.back !== undefined) job.back(used);
    // What a thread sends back is nobody else's. In this thread nothing went away: whoever took the memory gives it back, and may not
    // before the answer has been made; by then it would be somebody else's.
    else if (this.#options.here === undefined) for (const buffer of used) this.#options.buffers?.give(buffer);
    if (job === undefined) return;
    slot.job = undefined;
    clearTimeout(job.timer);
    if (results === undefined) job.reject(new RunError(firstLine(error)));
    else job.resolve(results);
    this.#free(slot);
  }

  #free(slot) {
    if (!this.#all.has(slot)) return;
    this.#idle.push(slot);
    this.onIdle();
  }

  /** Takes a session out of the pool, fails what it was at, and opens another in its place. */
  #lose(slot, why) {
    if (!this.#all.delete(slot)) return;
    this.#idle = this.#idle.filter((one) => one !== slot);
    const { job } = slot;
    slot.job = undefined;
    clearTimeout(job?.timer);
    job?.reject(new RunError(why, true));
    if (this.#closed) return;
    // A model that hangs every time must not fill the machine with threads.
    if (this.#hung.size > this.size) this.#owed++;
    else if (slot.opened) this.#again();
    else this.#later();
  }

  /** Opens a session in the place of one that is gone. */
  #again() {
    if (this.#closed) return undefined;
    return this.#start().then(
      (next) => {
        this.#failures = 0;
        this.#free(next);
      },
      (error) => this.#options.log.error({ err: error }, 'a session could not be opened'),
    );
  }

  /** A model whose file is gone, or for which memory is missing, is not tried again and again without a pause. */
  #later() {
    const timer = setTimeout(
      () => {
        this.#waiting.delete(timer);
        this.#again();
      },
      Math.min(longestPauseMs, firstPauseMs * 2 ** this.#failures++),
    );
    this.#waiting.add(timer);
  }

  /**
   * One run on a free session; call it only while `idle` is not 0. The buffers of the feeds are the session's meanwhile.
   * @param {(buffers: ArrayBuffer[]) => void} [back] takes them when it has been; else those of a thread are for anybody to use
   * @returns name → { dims, data }. @throws RunError
   */
  run(feeds, outputs, back) {
    const slot = this.#idle.pop();
    if (slot === undefined) throw new RequestError('no session is free', 503, { retryAfter: 1 });
    return new Promise((resolve, reject) => {
      // In this thread it could not go off before the end of the run.
      const timer =
        this.#options.here === undefined ? setTimeout(() => this.#giveUp(slot), this.#options.timeoutMs) : undefined;
      slot.job = { resolve, reject, timer, back };
      const buffers = feeds.flatMap(({ data }) => (ArrayBuffer.isView(data) ? [data.buffer] : []));
      slot.place.begin(feeds, outputs, [...new Set(buffers)]);
    });
  }

  #giveUp(slot) {
    this.#hung.add(slot);
    this.#lose(slot, 'the model did not answer in time');
    slot.place.abandon();
  }

  /** Ends all sessions; runs that are on their way fail. */
  async close() {
    this.#closed = true;
    for (const timer of this.#waiting) clearTimeout(timer);
    await Promise.all(
      [...this.#all].map(async (slot) => {
        await slot.place.end();
        this.#lose(slot, 'the session of this model was closed');
      }),
    );
  }
}
