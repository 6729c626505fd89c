/**
 * Rows of requests that will run together, next to each other from the start. A body is read from its socket to where its row
 * of the batch is (front.mjs), so that nobody copies it again, and one buffer goes over to the session for all of them.
 * Measured with MobileNet (307 kB a request) on one CPU: joining them took 11 % of what the thread that speaks HTTP did.
 */

/** Smaller rows fit into one read with their head, and cost nothing to join. */
const smallestRow = 4096;
/** So that a row in use, which holds its whole slab, holds no more than that. */
const largestSlab = 16 * 1024 * 1024;

class Slab {
  next = 0;
  /** Rows that are somebody's. */
  live = 0;

  /** @param owner the model version that its rows are for @param {ArrayBuffer} buffer undefined while a session has it */
  constructor(owner, buffer, rowBytes, capacity) {
    this.owner = owner;
    this.buffer = buffer;
    this.rowBytes = rowBytes;
    this.capacity = capacity;
  }

  get size() {
    return this.rowBytes * this.capacity;
  }
}

export class Slabs {
  #buffers;
  #limit;
  #held = 0;
  /** Owner → the slab that is being filled. */
  #filling = new Map();
  #byBuffer = new Map();

  /** @param buffers Buffers @param {number} limit bytes of all slabs */
  constructor(buffers, limit) {
    this.#buffers = buffers;
    this.#limit = limit;
  }

  /**
   * Memory for `rows` of a batch of `owner`.
   * @param {number} most rows of one run
   * @returns {{ bytes: Buffer, give: () => void } | undefined} undefined: nothing would be gained, or there is no room; then
   *   memory of its own does as well
   */
  take(owner, { rows, bytes, most }) {
    const rowBytes = bytes / rows;
    // A multiple of 8: any element type can be read in place.
    if (rowBytes < smallestRow || rowBytes % 8 !== 0) return undefined;
    const capacity = Math.min(most, Math.floor(largestSlab / rowBytes));
    if (rows >= capacity) return undefined;
    const slab = this.#withRoom(owner, rows, rowBytes, capacity);
    if (slab === undefined) return undefined;
    const first = slab.next;
    slab.next += rows;
    slab.live += rows;
    let given = false;
    const give = () => {
      if (!given) this.#release(slab, rows);
      given = true;
    };
    return { bytes: Buffer.from(slab.buffer, first * rowBytes, bytes), give };
  }

  #withRoom(owner, rows, rowBytes, capacity) {
    const present = this.#filling.get(owner);
    if (present?.rowBytes === rowBytes && present.next + rows <= present.capacity) return present;
    const size = capacity * rowBytes;
    if (this.#held + size > this.#limit) return undefined;
    if (present !== undefined) this.#seal(present);
    const slab = new Slab(owner, this.#buffers.take(size), rowBytes, capacity);
    this.#held += size;
    this.#byBuffer.set(slab.buffer, slab);
    this.#filling.set(owner, slab);
    return slab;
  }

  /** Nothing more comes into it. */
  #seal(slab) {
    if (this.#filling.get(slab.owner) === slab) this.#filling.delete(slab.owner);
    if (slab.live === 0) this.#retire(slab);
  }

  #release(slab, rows) {
    slab.live -= rows;
    if (slab.live > 0) return;
    if (this.#filling.get(slab.owner) === slab) slab.next = 0;
    else this.#retire(slab);
  }

  #retire(slab) {
    this.#held -= slab.size;
    if (slab.buffer === undefined) return;
    this.#byBuffer.delete(slab.buffer);
    this.#buffers.give(slab.buffer);
  }

  /** The version is no longer served. */
  forget(owner) {
    const slab = this.#filling.get(owner);
    if (slab !== undefined) this.#seal(slab);
  }

  /** Whether tensors in `buffer` may have neighbours that are somebody else's: it must not go over to a session by itself. */
  has(buffer) {
    return this.#byBuffer.has(buffer);
  }

  /** @returns {Slab | undefined} where the only input of a request lies */
  of(feeds) {
    return feeds.length === 1 ? this.#byBuffer.get(feeds[0].data.buffer) : undefined;
  }

  /**
   * Requests that lie next to each other in a slab where nobody else's rows are, as one; the slab goes with them.
   * @param {object[][]} requests feeds of each, in the order in which they lie
   * @returns {{ feeds, back: (buffers: ArrayBuffer[]) => void, restore: () => void } | undefined} back: what the session gave
   *   back. restore: after `back`, gives each request its tensor again. undefined: they have to be joined by copying
   */
  lend(requests) {
    const slab = this.of(requests[0]);
    if (slab === undefined) return undefined;
    const [{ name, dtype, shape, data: first }] = requests[0];
    const begin = first.byteOffset;
    const offsets = [];
    let at = begin;
    for (const [{ data }] of requests) {
      if (data.buffer !== slab.buffer || data.byteOffset !== at) return undefined;
      offsets.push(at);
      at += data.byteLength;
    }
    const rows = (at - begin) / slab.rowBytes;
    if (rows !== slab.live) return undefined;
    const Store = first.constructor;
    const lengths = requests.map(([{ data }]) => data.length);
    const data = new Store(slab.buffer, begin, (at - begin) / Store.BYTES_PER_ELEMENT);
    if (this.#filling.get(slab.owner) === slab) this.#filling.delete(slab.owner);
    this.#byBuffer.delete(slab.buffer);
    slab.buffer = undefined;
    return {
      feeds: [{ name, dtype, shape: [rows, ...shape.slice(1)], data }],
      back: ([buffer]) => {
        slab.buffer = buffer;
        // All of its requests may have ended meanwhile.
        if (slab.live === 0) this.#buffers.give(buffer);
        else this.#byBuffer.set(buffer, slab);
      },
      restore: () => {
        for (const [i, [feed]] of requests.entries()) feed.data = new Store(slab.buffer, offsets[i], lengths[i]);
      },
    };
  }
}
