/** From checked inputs to results: cache, circuit breaker, fallback, sessions; and who watches. */

import { cacheKey, packResults, unpackResults } from './cache.mjs';
import { RequestError } from './errors.mjs';

export class Inference {
  #services;

  /** @param services { models, cache, metrics, log, monitor } */
  constructor(services) {
    this.#services = services;
  }

  /**
   * Reads, runs and measures one request of whatever form.
   * @param read () → { id, feeds, outputs: [{tensor}] } @param {{ whenGone?: Function, requestId: string }} request
   * @returns { info, id, outputs, answer: { results, done(outputMs) } } call `done` once the answer is written
   */
  async serve(served, read, { whenGone, requestId }) {
    const { metrics } = this.#services;
    const started = performance.now();
    try {
      const { id, feeds, outputs } = read();
      const inputMs = performance.now() - started;
      const names = outputs.map((output) => output.tensor.name);
      const answer = await this.answer(served, feeds, names, { whenGone, id: id ?? requestId });
      const { results, info, queueMs, inferMs } = answer;
      const done = (outputMs) => {
        const totalMs = performance.now() - started;
        metrics.answered(info, { totalMs, inputMs, queueMs, inferMs, outputMs });
      };
      return { info, id, outputs, answer: { results, done } };
    } catch (error) {
      metrics.failed(served.info, error instanceof RequestError ? error.reason : 'BACKEND');
      throw error;
    }
  }

  /**
   * @param served the version that was asked for @param {string[]} outputs names
   * @param {{ whenGone?: (act: () => void) => void, id?: string }} request whenGone: acts once where the client leaves before
   *   its answer. id: for labels that come back
   * @returns { results, info, queueMs, inferMs } info: the version that answered
   */
  async answer(served, feeds, outputs, { whenGone, id }) {
    const { cache, metrics, monitor } = this.#services;
    const names = [...outputs].sort();
    const key = cache === undefined ? undefined : cacheKey(served.info, feeds, names);
    const kept = key === undefined ? undefined : await this.#kept(served.info, key, names);
    if (kept !== undefined) {
      monitor.cached(served, feeds, kept, id);
      return { results: kept, info: served.info, queueMs: 0, inferMs: 0 };
    }
    const chosen = this.#whoAnswers(served);
    const watched = monitor.before(chosen, feeds);
    const answer = await chosen.run(feeds, names, whenGone);
    if (key !== undefined && chosen === served) this.#keep(served.info, key, answer.results);
    monitor.after(chosen, watched, answer.results, id);
    if (chosen !== served) metrics.fallbacks.inc({ model: served.info.name, version: served.info.version });
    return { ...answer, info: chosen.info };
  }

  #whoAnswers(served) {
    if (served.breaker.allows()) return served;
    const other = this.#services.models.fallbackFor(served);
    // Asked last: it may let this very request through, and nobody else until that has ended.
    if (other !== undefined && sameSignature(other.info, served.info) && other.breaker.allows()) return other;
    throw new RequestError('the model fails, and is given a pause', 503, { retryAfter: served.breaker.retryAfter });
  }

  async #kept(info, key, names) {
    const { cache, metrics, log } = this.#services;
    const id = { model: info.name, version: info.version };
    const bytes = await cache.get(key).catch((error) => log.debug({ err: error }, 'the cache did not answer'));
    const results = bytes && unpackResults(info, bytes, names);
    (results ? metrics.cacheHits : metrics.cacheMisses).inc(id);
    return results;
  }

  /** Not waited for: the answer is on its way already. */
  #keep(info, key, results) {
    const { cache, log } = this.#services;
    cache
      .set(key, packResults(info, results))
      .catch((error) => log.debug({ err: error }, 'the cache did not take an answer'));
  }
}

function sameSignature(a, b) {
  const text = ({ inputs, outputs }) => JSON.stringify([inputs, outputs]);
  return text(a) === text(b);
}
