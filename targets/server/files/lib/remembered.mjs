/**
 * The last things by their ids. Nobody asks for most of them, and a Map that forgets as much as it learns costs 1 % of a small model's requests: so
 * they lie in a ring, and the Map is made when the first is asked for.
 */
export class Remembered {
  #limit;
  #ring = [];
  #next = 0;
  /** Id → the last thing of that id in the ring. */
  #byId;

  /** @param {number} limit things that are remembered at most */
  constructor(limit) {
    this.#limit = limit;
  }

  /** @param {{ id: string }} thing */
  add(thing) {
    if (this.#limit === 0) return;
    const oldest = this.#ring[this.#next];
    this.#ring[this.#next] = thing;
    this.#next = (this.#next + 1) % this.#limit;
    if (this.#byId === undefined) return;
    if (oldest !== undefined && this.#byId.get(oldest.id) === oldest) this.#byId.delete(oldest.id);
    this.#byId.set(thing.id, thing);
  }

  get(id) {
    this.#byId ??= this.#indexed();
    return this.#byId.get(id);
  }

  /** What is asked for after this is not found. */
  forget(id) {
    this.#byId ??= this.#indexed();
    this.#byId.delete(id);
  }

  #indexed() {
    const oldestFirst = [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)];
    return new Map(oldestFirst.map((thing) => [thing.id, thing]));
  }
}
