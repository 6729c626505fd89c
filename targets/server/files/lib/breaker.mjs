/** A circuit breaker: after several failures of the model in a row nothing is sent to it for a while, then one request tries. */

export class Breaker {
  #failures = 0;
  #openUntil = 0;
  #trying = false;

  /** @param {{ failures: number, resetMs: number, now?: () => number }} options failures 0: never opens */
  constructor({ failures, resetMs, now = () => performance.now() }) {
    this.limit = failures;
    this.resetMs = resetMs;
    this.now = now;
  }

  get open() {
    return this.#openUntil > 0;
  }

  /** Whether a request may go to the model now. While open, one is let through after each `resetMs`. */
  allows() {
    if (this.#openUntil === 0) return true;
    if (this.#trying || this.now() < this.#openUntil) return false;
    this.#trying = true;
    return true;
  }

  succeeded() {
    this.#failures = 0;
    this.#openUntil = 0;
    this.#trying = false;
  }

  /** Only what is the model's own fault counts; see `Served.run`. */
  failed() {
    this.#trying = false;
    this.#failures++;
    if (this.limit > 0 && this.#failures >= this.limit) this.#openUntil = this.now() + this.resetMs;
  }

  /** The request that was let through ended without a verdict on the model. */
  undecided() {
    this.#trying = false;
  }

  /** Seconds until the next try. */
  get retryAfter() {
    return Math.max(1, Math.ceil((this.#openUntil - this.now()) / 1000));
  }
}
