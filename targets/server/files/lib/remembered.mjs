/**
 * The last things by their ids. Nobody asks for most of them, and a Map that forgets as much as it learns costs 1 % of a small model's requests: so
 * they lie in a ring, and the Map is made when the first is asked for.
 */
export class Remembered {
  #limit;
  #most;
  #ring = [];
  #next = 0;
  /** Where the oldest lies, if there is any. */
  #oldest = 0;
  #weight = 0;
  /** Id → the last thing of that id in the ring. */
  #byId;

  /** @param {number} limit things that are remembered at most @param {number} most what they may weigh together */
  constructor(limit, most = Number.POSITIVE_INFINITY) {
    this.#limit = limit;
    this.#most = most;
  }

  /** @param {{ id: string, weight?: number }} thing */
  add(thing) {
    if (this.#limit === 0) return;
    if (this.#ring[this.#next] !== undefined) this.#drop();
    this.#ring[this.#next] = thing;
    this.#next = (this.#next + 1) % this.#limit;
    this.#weight += thing.weight ?? 1;
    this.#byId?.set(thing.id, thing);
    while (this.#weight > this.#most) this.#drop();
  }

  #drop() {
    const thing = this.#ring[this.#oldest];
    this.#ring[this.#oldest] = undefined;
    this.#oldest = (this.#oldest + 1) % this.#limit;
    this.#weight -= thing.weight ?? 1;
    if (this.#byId?.get(thing.id) === thing) this.#byId.delete(thing.id);
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
    const oldestFirst = [...this.#ring.slice(this.#oldest), ...this.#ring.slice(0, this.#oldest)];
    return new Map(oldestFirst.filter((thing) => thing !== undefined).map((thing) => [thing.id, thing]));
  }
}
