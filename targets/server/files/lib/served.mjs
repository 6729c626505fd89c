/** One version of one model, from its folder to answers. */

import { Batcher } from './batcher.mjs';
import { Breaker } from './breaker.mjs';
import { goldenCases, modelBytes, readManifest, readReference, verifiedModel } from './bundle.mjs';
import { Drift } from './drift.mjs';
import { RequestError } from './errors.mjs';
import { describeModel } from './model.mjs';
import { openSessions } from './opening.mjs';
import { RunError } from './pool.mjs';
import { feedsOf, proveItself, refusalBySignature } from './warm-up.mjs';

export class Served {
  #pool;
  #batcher;
  #golden;
  #running = 0;
  #idleWaiters = [];
  /** Of the evaluation data; null where it has no labels. */
  #referenceAccuracy;

  /**
   * Verifies, loads, proves and warms up the version in `dir`.
   * @param {string} version given by the folder it lies in, or undefined: as the bundle says
   * @param { config, metrics, log, buffers, sessionsStart?, undisturbed? } services sessionsStart(): called once the threads are on
   *   their way. undisturbed: a promise that timing waits for
   * @throws Error, in words, where it cannot be served
   */
  static async open(dir, version, services) {
    const manifest = await readManifest(dir);
    const info = describeModel(manifest, version);
    const path = await verifiedModel(dir, manifest);
    const served = new Served(info, manifest, dir, services);
    await served.#load(path);
    return served;
  }

  constructor(info, manifest, dir, services) {
    const { config, metrics, log, buffers, slabs, onlyOne } = services;
    this.services = services;
    this.onlyOne = onlyOne === true;
    this.info = info;
    this.manifest = manifest;
    this.dir = dir;
    this.config = config;
    this.metrics = metrics;
    this.buffers = buffers;
    this.slabs = slabs;
    this.log = log.child({ model: info.name, version: info.version });
    this.breaker = new Breaker({ failures: config.breakerFailures, resetMs: config.breakerResetMs });
  }

  async #load(path) {
    const { config, buffers } = this;
    this.#golden = await goldenCases(this.dir, this.manifest);
    const opened = await openSessions(path, {
      ...this.services,
      info: this.info,
      golden: this.#golden,
      modelBytes: modelBytes(this.manifest),
      log: this.log,
      prove: (run) => this.#prove(run),
    });
    this.#pool = opened.pool;
    this.batch = opened.batch;
    this.queueLimit = opened.queueLimit;
    this.inline = opened.inline;
    await this.#watch();
    this.#batcher = new Batcher(this.#pool, {
      maxRows: this.batch.rows,
      countsRows: refusalBySignature(this.info) === undefined,
      delayMs: config.batchDelayMs,
      queueLimit: this.queueLimit,
      queueBytes: config.queueBytes,
      queueTimeoutMs: config.queueTimeoutMs,
      buffers,
      slabs: this.slabs,
      onRun: (run) => this.metrics.ran(this.info, run),
    });
  }

  /** What would replace a version that serves must answer as it did when it was packed; the only one there is serves, and says so. */
  async #prove(run) {
    try {
      await proveItself(run, this.#golden);
    } catch (error) {
      if (!this.onlyOne) throw error;
      this.log.error({ err: error }, 'the model does not answer as it did when it was packed; run: mlpack check');
    }
  }

  /** Compares with the evaluation data, where the bundle carries what that looked like. */
  async #watch() {
    const { driftRows } = this.config;
    const reference = await readReference(this.dir, this.manifest);
    if (reference === undefined || driftRows === 0) return;
    const report = (feature, _kind, result) => this.metrics.drifted(this.info, feature, result);
    this.drift = new Drift(reference, { rows: driftRows, report });
    this.#referenceAccuracy = reference.accuracy;
  }

  /** From now on it answers under its name and number. */
  begin() {
    const { name, version } = this.info;
    const accuracy = this.#referenceAccuracy ?? null;
    if (accuracy !== null) this.metrics.referenceAccuracy.set({ model: name, version }, accuracy);
  }

  /** Another one does, or none: what it still answers is compared with nothing, and what it showed last is true of nothing any more. */
  retire() {
    this.drift = undefined;
    this.metrics.removed(this.info);
  }

  get waiting() {
    return this.#batcher.waiting;
  }

  /**
   * Memory in a batch for the one binary tensor of a request that is still coming; undefined: it has to have its own.
   * @param request what its JSON part says, unchecked @param {number} bytes of binary tensors
   */
  placeFor(request, bytes) {
    const [input, ...others] = Array.isArray(request?.inputs) ? request.inputs : [];
    const rows = Array.isArray(input?.shape) ? input.shape[0] : undefined;
    if (others.length > 0 || !Number.isSafeInteger(rows) || rows < 1) return undefined;
    if (input.parameters?.binary_data_size !== bytes) return undefined;
    return this.slabs.take(this, { rows, bytes, most: this.#batcher.maxRows });
  }

  /**
   * @param feeds [{name, dtype, shape, data}], handed over @param {string[]} outputs
   * @returns { results, queueMs, inferMs, batchRows }
   * @throws RequestError 400 where the inputs are at fault, 503 where the queue is full or the model is
   */
  async run(feeds, outputs, whenGone) {
    this.#running++;
    try {
      const answer = await this.#batcher.submit(feeds, outputs, whenGone);
      this.breaker.succeeded();
      return answer;
    } catch (error) {
      if (!(error instanceof RunError)) {
        this.breaker.undecided();
        throw error;
      }
      throw await this.#judge(error);
    } finally {
      this.#running--;
      if (this.#running === 0) for (const done of this.#idleWaiters.splice(0)) done();
    }
  }

  /**
   * A run failed. A model that still answers its own golden case is whole: then what passed the signature is a value or a
   * size that the graph does not accept, and that is the client's. Else it is the model's, and counts for the breaker.
   */
  async #judge(error) {
    if (!error.lost && (await this.#isWhole())) {
      this.breaker.succeeded();
      return new RequestError(`the model cannot run these inputs: ${error.message}`);
    }
    this.breaker.failed();
    this.log.error({ err: error, breakerOpen: this.breaker.open }, 'the model failed');
    return new RequestError('the model failed', 503, { retryAfter: this.breaker.retryAfter });
  }

  async #isWhole() {
    const [first] = this.#golden;
    if (first === undefined) return true;
    try {
      await this.#batcher.submit(
        feedsOf(first.inputs),
        this.info.outputs.map(({ name }) => name),
      );
      return true;
    } catch (error) {
      // A full queue says nothing about the model.
      return error instanceof RequestError;
    }
  }

  /** Waits for what is running, then lets go of the sessions. */
  async close() {
    if (this.#running > 0) await new Promise((resolve) => this.#idleWaiters.push(resolve));
    this.#batcher.close(new RequestError('this version is no longer served', 503, { retryAfter: 1 }));
    this.slabs.forget(this);
    await this.#pool.close();
  }
}
