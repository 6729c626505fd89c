/**
 * The queue in front of a model's sessions. A session that becomes free takes the oldest request and, where the model can
 * do it, as many others of the same shape as fit into one run. Nobody waits for a batch to fill up while a session is
 * free, except for `delayMs` when the last runs show that more requests are about to come.
 */

import { RequestError } from './errors.mjs';
import { RunError } from './pool.mjs';
import { joinFeeds, shapeKey, splitResults } from './rows.mjs';

const overloaded = (retryAfter) =>
  new RequestError('the model has more requests waiting than it can answer; try again later', 503, {
    retryAfter,
    reason: 'REJECTED',
  });

const rowsOf = (batch) => batch.reduce((sum, entry) => sum + entry.rows, 0);

export class Batcher {
  #pool;
  #limits;
  #queue = [];
  #waitingBytes = 0;
  #timer;
  #deadline;
  /** Why nothing is taken any more. */
  #closed;
  /** Requests per run and milliseconds per run, moving averages. */
  #usualRequests = 1;
  #usualMs = 1;

  /**
   * @param pool Pool
   * @param {{ maxRows: number, countsRows: boolean, delayMs: number, queueLimit: number, queueBytes: number, queueTimeoutMs: number,
   *   buffers?: Buffers, slabs?: Slabs, onRun: Function }} limits maxRows 1: no batches. countsRows: a
   *   request's first dimension is its rows, else it is one. buffers: memory for what
   *   runs together. slabs: where rows may lie side by side already. onRun({ rows, requests, inferMs, failed }) after every run
   */
  constructor(pool, limits) {
    this.#pool = pool;
    this.#limits = limits;
    pool.onIdle = () => this.#dispatch();
  }

  get waiting() {
    return this.#queue.length;
  }

  get maxRows() {
    return this.#limits.maxRows;
  }

  set maxRows(rows) {
    this.#limits = { ...this.#limits, maxRows: rows };
  }

  /**
   * @param feeds [{name, dtype, shape, data}] @param {string[]} outputs names
   * @param {(act: () => void) => void} [whenGone] calls back where the client leaves before its answer
   * @returns { results: name → {dims, data}, queueMs, inferMs, batchRows }
   * @throws RequestError 503 when the queue is full or the wait too long; RunError when the model refuses
   */
  submit(feeds, outputs, whenGone) {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const bytes = feeds.reduce((sum, { data }) => sum + (data.byteLength ?? data.length * 64), 0);
    const { queueLimit, queueBytes } = this.#limits;
    const free = this.#pool.idle > 0 && this.#queue.length === 0;
    if (!free && (this.#queue.length >= queueLimit || this.#waitingBytes + bytes > queueBytes)) {
      return Promise.reject(overloaded(this.retryAfter()));
    }
    return new Promise((resolve, reject) => {
      const rows = this.#limits.countsRows ? feeds[0].shape[0] : 1;
      const key = this.#limits.maxRows > 1 ? shapeKey(feeds) : undefined;
      const entry = { feeds, outputs, bytes, resolve, reject, at: performance.now(), key, rows };
      this.#queue.push(entry);
      this.#waitingBytes += bytes;
      whenGone?.(() => this.#cancel(entry));
      this.#dispatch();
      this.#watch();
    });
  }

  /** Seconds until what is waiting now will have been answered, at least 1. */
  retryAfter() {
    const runs = this.#queue.length / Math.max(1, this.#usualRequests);
    return Math.min(60, Math.max(1, Math.ceil((runs * this.#usualMs) / this.#pool.size / 1000)));
  }

  #cancel(entry) {
    if (!this.#remove(entry)) return;
    entry.reject(new RequestError('the client has gone', 499, { reason: 'CANCELED' }));
  }

  #remove(entry) {
    const at = this.#queue.indexOf(entry);
    if (at < 0) return false;
    this.#queue.splice(at, 1);
    this.#waitingBytes -= entry.bytes;
    return true;
  }

  #dropLate(now) {
    while (this.#queue.length > 0 && now - this.#queue[0].at > this.#limits.queueTimeoutMs) {
      const [entry] = this.#queue;
      this.#remove(entry);
      entry.reject(overloaded(this.retryAfter()));
    }
  }

  /** Also where no session becomes free: one that hangs must not keep those who wait. */
  #watch() {
    if (this.#deadline !== undefined || this.#queue.length === 0) return;
    const waitMs = this.#queue[0].at + this.#limits.queueTimeoutMs - performance.now();
    this.#deadline = setTimeout(
      () => {
        this.#deadline = undefined;
        this.#dropLate(performance.now());
        this.#watch();
      },
      Math.max(1, Math.ceil(waitMs) + 1),
    ).unref();
  }

  #dispatch() {
    while (this.#queue.length > 0 && this.#pool.idle > 0) {
      const now = performance.now();
      this.#dropLate(now);
      const [first] = this.#queue;
      if (first === undefined) return;
      const batch = this.#pick(first);
      const waitMs = this.#limits.delayMs - (now - first.at);
      if (waitMs > 0 && this.#worthWaiting(batch)) {
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined;
          this.#dispatch();
        }, Math.ceil(waitMs));
        return;
      }
      for (const entry of batch) this.#remove(entry);
      void this.#run(batch, now);
    }
  }

  /** Fewer than usual are here, and there is room: the rest of the usual crowd is on its way. */
  #worthWaiting(batch) {
    return rowsOf(batch) < this.#limits.maxRows && batch.length + 0.5 < this.#usualRequests;
  }

  /** The oldest request and those behind it that fit into its run. */
  #pick(first) {
    if (first.key === undefined) return [first];
    const batch = this.#firstThatFit(first);
    const neighbours = this.#neighbours(first);
    // A run of them needs no copy; with less than half of what could run, that is not worth as much.
    return neighbours.length > 0 && 2 * rowsOf(neighbours) >= rowsOf(batch) ? neighbours : batch;
  }

  #firstThatFit(first) {
    const batch = [first];
    let { rows } = first;
    for (const entry of this.#queue) {
      if (rows >= this.#limits.maxRows) break;
      if (entry === first || entry.key !== first.key || rows + entry.rows > this.#limits.maxRows) continue;
      batch.push(entry);
      rows += entry.rows;
    }
    return batch;
  }

  /** The requests of the slab that `first` lies in, where all of them are waiting for their run. */
  #neighbours(first) {
    const { slabs } = this.#limits;
    const slab = slabs?.of(first.feeds);
    if (slab === undefined) return [];
    const all = this.#queue.filter((entry) => entry.key === first.key && slabs.of(entry.feeds) === slab);
    return rowsOf(all) === slab.live ? all : [];
  }

  /** What a run of `batch` is fed: the slab that they fill, or a copy of theirs. */
  #feedsOf(batch) {
    const { slabs, buffers } = this.#limits;
    if (batch.every(({ feeds }) => slabs?.of(feeds) !== undefined)) {
      // As they lie, which is the order of their heads; they wait in the order of their last bytes.
      batch.sort((a, b) => a.feeds[0].data.byteOffset - b.feeds[0].data.byteOffset);
      const lent = slabs.lend(batch.map(({ feeds }) => feeds));
      if (lent !== undefined) return lent;
    }
    const keep = batch.length === 1 && batch[0].feeds.some(({ data }) => slabs?.has(data.buffer));
    const requests = batch.map(({ feeds }) => feeds);
    if (buffers === undefined) return { feeds: joinFeeds(requests, undefined, keep) };
    // Memory of a request that runs by itself is for the one who took it to give back.
    if (batch.length === 1 && !keep) return { feeds: requests[0] };
    const back = (used) => used.forEach((buffer) => buffers.give(buffer));
    return { feeds: joinFeeds(requests, (bytes) => buffers.take(bytes), keep), back };
  }

  async #run(batch, started) {
    const outputs = batch.length === 1 ? batch[0].outputs : [...new Set(batch.flatMap((entry) => entry.outputs))];
    const rows = rowsOf(batch);
    const { feeds, back, restore } = this.#feedsOf(batch);
    try {
      const results = await this.#pool.run(feeds, outputs, back);
      const inferMs = performance.now() - started;
      this.#learn(batch.length, inferMs);
      this.#limits.onRun({ rows, requests: batch.length, inferMs, failed: false });
      const parts =
        batch.length === 1
          ? [results]
          : splitResults(
              results,
              batch.map((entry) => entry.rows),
            );
      if (parts === undefined) {
        restore?.();
        return this.#oneByOne(batch);
      }
      for (const [i, entry] of batch.entries()) {
        entry.resolve({ results: parts[i], queueMs: started - entry.at, inferMs, batchRows: rows });
      }
    } catch (error) {
      this.#limits.onRun({ rows, requests: batch.length, inferMs: performance.now() - started, failed: true });
      if (batch.length === 1) batch[0].reject(error);
      else if (error instanceof RunError && !error.lost) {
        restore?.();
        this.#oneByOne(batch);
      } else for (const entry of batch) entry.reject(error);
    }
  }

  /** One request of a batch cannot be run, or the model mixes rows after all: each gets its own run, and its own answer. */
  #oneByOne(batch) {
    for (const entry of batch) entry.key = undefined;
    this.#queue.unshift(...batch);
    for (const entry of batch) this.#waitingBytes += entry.bytes;
    this.#dispatch();
  }

  #learn(requests, inferMs) {
    this.#usualRequests += 0.2 * (requests - this.#usualRequests);
    this.#usualMs += 0.2 * (inferMs - this.#usualMs);
  }

  /** Fails what waits: the model goes away. */
  close(error) {
    this.#closed = error;
    clearTimeout(this.#timer);
    clearTimeout(this.#deadline);
    for (const entry of this.#queue.splice(0)) entry.reject(error);
    this.#waitingBytes = 0;
  }
}
