/** Who may ask, how often, and whether there is room for what comes: one count for HTTP and gRPC. */

import { makeAuth, makeRateLimit } from './auth.mjs';
import { RequestError } from './errors.mjs';

const tooMany = () =>
  new RequestError('more requests are on their way than can be answered; try again later', 503, { retryAfter: 1 });

export class Admission {
  #config;
  #places;
  #identify;
  #limitRate;
  #held = 0;
  #asked = 0;

  /** @param config settings @param {() => number} places requests that may be on their way in all */
  constructor(config, places) {
    this.#config = config;
    this.#places = places;
    this.#identify = makeAuth(config.keys);
    this.#limitRate = makeRateLimit({ perSecond: config.rateLimit, burst: config.rateBurst });
  }

  /** @param headers with the key, where keys are set @returns the label of the key. @throws RequestError 401, 429 */
  identify(headers, address) {
    const caller = this.#identify(headers);
    this.#limitRate(caller ?? address);
    return caller;
  }

  /** Takes a place among the requests on their way, before a byte of the body is read. @throws RequestError 503 */
  enter() {
    if (this.#asked >= this.#places()) throw tooMany();
    this.#asked++;
  }

  leave() {
    this.#asked--;
  }

  /** Counts bytes of a body. One body alone always has room. @throws RequestError 503 */
  hold(bytes) {
    if (this.#held > 0 && this.#held + bytes > this.#config.inflightBytes) throw tooMany();
    this.#held += bytes;
  }

  letGo(bytes) {
    this.#held -= bytes;
  }
}
