/** The certificate of this server. It is renewed in its files while the server runs: connections that come then get the new one. */

export class Certificate {
  #read;
  #present;
  #log;
  #users = [];
  #timer;
  #problem;

  /** @param {() => { cert: string, key: string }} read throws where the files hold no certificate and its key @param present what it gave at start */
  constructor(read, present, log) {
    this.#read = read;
    this.#present = present;
    this.#log = log;
  }

  /** @param {(pair: { cert: string, key: string }) => void} take is given the present one now, and each that follows */
  use(take) {
    this.#users.push(take);
    take(this.#present);
  }

  /** @param {number} seconds 0: only `look` does */
  watch(seconds) {
    if (seconds > 0) this.#timer = setInterval(() => this.look(), seconds * 1000).unref();
  }

  /** Reads the files again. What is in the middle of being written, or no certificate, changes nothing. */
  look() {
    try {
      const next = this.#read();
      this.#problem = undefined;
      if (next.cert === this.#present.cert && next.key === this.#present.key) return;
      this.#present = next;
      for (const take of this.#users) take(next);
      this.#log.info('the certificate has been renewed');
    } catch (error) {
      if (error.message !== this.#problem) this.#log.error(`${error.message}; the one before stays`);
      this.#problem = error.message;
    }
  }

  close() {
    clearInterval(this.#timer);
  }
}
