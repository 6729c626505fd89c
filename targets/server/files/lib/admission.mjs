/** Who may ask, how often, and whether there is room for what comes: one count for HTTP and gRPC. */

import { makeAuth, makeRateLimit } from './auth.mjs';
import { RequestError } from './errors.mjs';

const tooMany = () =>
  new RequestError('more requests are on their way than can be answered; try again later', 503, { retryAfter: 1 });

/** What one request over HTTP holds of the room there is. */
export class Ticket {
  /** Label of the key, where keys are set. */
  caller;
  bytes = 0;
  counted = false;
}

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

  /** Requests to which an answer is due. */
  get running() {
    return this.#asked;
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

  /**
   * Before a byte of the body is read: who asks, how often, and whether there is room for what comes.
   * @param {Ticket} ticket to be given to `release`, also where this throws @param socket of the request
   * @param {number | undefined} bytes of the body as declared; undefined: nobody knows yet @param {boolean} works takes a place
   * @throws RequestError 401, 429, 503
   */
  admit(ticket, headers, socket, bytes, works = true) {
    const { rateLimit, bodyLimit } = this.#config;
    ticket.caller = this.identify(headers, rateLimit > 0 ? socket.remoteAddress : undefined);
    if (works) {
      // What could only wait for a place in the queue is told so before its body is read.
      this.enter();
      ticket.counted = true;
    }
    const most = bytes ?? bodyLimit;
    // A body beyond the limit is refused by its length a moment later.
    if (most > bodyLimit) return;
    this.hold(most);
    ticket.bytes = most;
  }

  release(ticket) {
    this.letGo(ticket.bytes);
    ticket.bytes = 0;
    if (ticket.counted) this.leave();
    ticket.counted = false;
  }
}
