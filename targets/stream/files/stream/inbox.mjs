/** Records between broker and model: bounded, so that a slow model holds the broker back and not the memory. */

export class Inbox {
  #records = [];
  /** Taken, and not done yet. */
  #inHand = [];
  #wake = () => {};
  #roomy = () => {};
  #stopped = false;
  #failure;
  #full = false;
  /** Called when no more should come, and when there is room again. */
  onFull = () => {};
  onRoom = () => {};

  /** @param {number} limit records that may wait; a delivery of several at once may go beyond it */
  constructor(limit) {
    this.limit = limit;
  }

  get length() {
    return this.#records.length;
  }

  /** How many may still come. */
  get free() {
    return Math.max(0, this.limit - this.#records.length);
  }

  /** Records that the broker takes to be this worker's: in hand, and those that wait. */
  get held() {
    return [...this.#inHand, ...this.#records];
  }

  get inHand() {
    return this.#inHand;
  }

  get stopped() {
    return this.#stopped;
  }

  push(record) {
    if (this.#stopped) return;
    this.#records.push(record);
    if (!this.#full && this.#records.length >= this.limit) {
      this.#full = true;
      this.onFull();
    }
    this.#wake();
  }

  /** What was taken last has been committed, or is somebody else's by now. */
  done() {
    this.#inHand = [];
  }

  /** Takes back what the broker gives out again, to this worker or to another. */
  drop(matches) {
    this.#records = this.#records.filter((record) => !matches(record));
    this.#relax();
  }

  /** Resolves when there is room, or nothing more is wanted. */
  async room() {
    while (this.free === 0 && !this.#stopped) await new Promise((resolve) => (this.#roomy = resolve));
  }

  /** Nothing is given out any more; what waits stays with the broker, uncommitted. */
  stop() {
    this.#stopped = true;
    this.#records = [];
    this.#wake();
    this.#roomy();
  }

  /** The broker is gone for good: `take` throws. */
  fail(error) {
    this.#failure ??= error;
    this.#wake();
  }

  /**
   * Up to `max` records: as soon as there are that many, or `waitMs` after the first was there.
   * @returns undefined when stopped
   */
  async take(max, waitMs) {
    while (this.#records.length === 0) {
      if (this.#stopped) return undefined;
      await this.#signal();
    }
    const until = performance.now() + waitMs;
    while (this.#records.length < max && !this.#stopped) {
      const left = until - performance.now();
      if (left <= 0) break;
      await this.#signal(left);
    }
    if (this.#stopped) return undefined;
    this.#inHand = this.#records.splice(0, max);
    this.#relax();
    return this.#inHand;
  }

  async #signal(ms) {
    if (this.#failure) throw this.#failure;
    let timer;
    await new Promise((resolve) => {
      this.#wake = resolve;
      if (ms !== undefined) timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
    this.#wake = () => {};
    if (this.#failure) throw this.#failure;
  }

  #relax() {
    // Half: pausing and resuming is a round trip with some brokers.
    if (this.#full && this.#records.length <= this.limit / 2) {
      this.#full = false;
      this.onRoom();
    }
    if (this.free > 0) this.#roomy();
  }
}
