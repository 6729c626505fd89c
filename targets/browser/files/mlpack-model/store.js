/**
 * Keeps verified parts of files between visits, under their digests, in the Cache API. (The origin's file system is faster to write with
 * handles that only workers have, and as fast to read: docs/browser.md has the figures. Writing happens while the network delivers, so it gains a visitor
 * nothing.) Where there is no storage, or it is full, everything works without.
 */
export class Store {
  #cache;
  #base;
  #notes;

  /**
   * @param base address of the folder: each folder of an origin keeps its own
   * @param notes sentences for the caller
   */
  static async open(base, wanted, notes) {
    const store = new Store();
    store.#base = base;
    store.#notes = notes;
    // What lies in an extension, or on the disk, is there already; the Cache API refuses its addresses.
    if (!wanted || !/^https?:$/.test(base.protocol)) return store;
    try {
      // Missing on pages that are not secure, refused in some private windows.
      store.#cache = await globalThis.caches?.open(`mlpack ${base.pathname}`);
    } catch (error) {
      notes.push(`Nothing is kept for the next visit: ${error.message}.`);
    }
    return store;
  }

  #key(name) {
    return new URL(`kept/${name}`, this.#base).href;
  }

  /** A kept file as a Blob, which may stay on the disk; or undefined. */
  async get(name) {
    try {
      const response = await this.#cache?.match(this.#key(name));
      return await response?.blob();
    } catch (error) {
      // What cannot be read is fetched.
      this.#giveUp(error);
      return undefined;
    }
  }

  /** @param keep names to keep when room is needed */
  async put(name, bytes, keep) {
    if (!this.#cache) return;
    // A failed write must not end a download that has succeeded.
    try {
      await this.#write(name, bytes);
    } catch (error) {
      if (error.name === 'QuotaExceededError' && (await this.evict(keep)) > 0) {
        try {
          await this.#write(name, bytes);
          return;
        } catch (again) {
          this.#giveUp(again);
          return;
        }
      }
      this.#giveUp(error);
    }
  }

  #write(name, bytes) {
    return this.#cache.put(this.#key(name), new Response(bytes, { headers: { 'Content-Length': bytes.length } }));
  }

  #giveUp(error) {
    const why = error.name === 'QuotaExceededError' ? "the browser's storage is full" : error.message;
    this.#notes.push(`The model is not kept for the next visit: ${why}.`);
    this.#cache = undefined;
  }

  /** Drops what is not named: older versions. @returns how many */
  async evict(keep) {
    if (!this.#cache) return 0;
    const names = new Set([...keep].map((name) => this.#key(name)));
    let dropped = 0;
    for (const request of await this.#cache.keys()) {
      if (names.has(request.url)) continue;
      if (await this.#cache.delete(request)) dropped++;
    }
    return dropped;
  }
}
