/** A flow network; nodes are numbers from `node()`, 0 and 1 are source and sink. */
export class FlowNetwork {
  readonly #heads: number[][] = [[], []];
  readonly #to: number[] = [];
  readonly #room: number[] = [];

  node(): number {
    return this.#heads.push([]) - 1;
  }

  /** Cutting `from` (on the source's side) off `to` costs `capacity`. */
  edge(from: number, to: number, capacity: number): void {
    (this.#heads[from] as number[]).push(this.#to.length);
    this.#to.push(to);
    this.#room.push(capacity);
    (this.#heads[to] as number[]).push(this.#to.length);
    this.#to.push(from);
    this.#room.push(0);
  }

  /** What a split costs: the capacities of all edges that lead from the source's side to the other. */
  cost(onSourceSide: readonly boolean[]): number {
    let sum = 0;
    for (const [from, heads] of this.#heads.entries()) {
      if (!onSourceSide[from]) continue;
      for (const edge of heads) {
        const isBack = edge % 2 === 1;
        // The room of an edge and that of its way back add up to its capacity.
        if (!isBack && !onSourceSide[this.#to[edge] as number])
          sum += (this.#room[edge] as number) + (this.#room[edge + 1] as number);
      }
    }
    return sum;
  }

  /**
   * Saturates the network (Dinic, 1970). @returns which nodes stand on the source's side of the cheapest cut.
   */
  cut(): boolean[] {
    for (let levels = this.#levels(); (levels[1] as number) >= 0; levels = this.#levels()) {
      const next = new Int32Array(this.#heads.length);
      while (this.#augment(levels, next));
    }
    return [...this.#levels()].map((level) => level >= 0);
  }

  #levels(): Int32Array {
    const levels = new Int32Array(this.#heads.length).fill(-1);
    levels[0] = 0;
    const queue = [0];
    for (let at = 0; at < queue.length; at++) {
      const from = queue[at] as number;
      for (const edge of this.#heads[from] as number[]) {
        const to = this.#to[edge] as number;
        if (!((this.#room[edge] as number) > tiny) || (levels[to] as number) >= 0) continue;
        levels[to] = (levels[from] as number) + 1;
        queue.push(to);
      }
    }
    return levels;
  }

  /** One path with room along rising levels, found without recursion: graphs are thousands of nodes deep. */
  #augment(levels: Int32Array, next: Int32Array): boolean {
    const path: number[] = [];
    for (let at = 0; at !== 1; ) {
      const heads = this.#heads[at] as number[];
      let edge = -1;
      while ((next[at] as number) < heads.length) {
        const candidate = heads[next[at] as number] as number;
        const to = this.#to[candidate] as number;
        if ((this.#room[candidate] as number) > tiny && levels[to] === (levels[at] as number) + 1) {
          edge = candidate;
          break;
        }
        next[at] = (next[at] as number) + 1;
      }
      if (edge >= 0) {
        path.push(edge);
        at = this.#to[edge] as number;
        continue;
      }
      const back = path.pop();
      if (back === undefined) return false;
      at = this.#to[back ^ 1] as number;
      next[at] = (next[at] as number) + 1;
    }
    const least = path.reduce((room, edge) => Math.min(room, this.#room[edge] as number), Number.POSITIVE_INFINITY);
    for (const edge of path) {
      this.#room[edge] = (this.#room[edge] as number) - least;
      this.#room[edge ^ 1] = (this.#room[edge ^ 1] as number) + least;
    }
    return true;
  }
}

/** Less room than this is rounding. */
const tiny = 1e-9;
