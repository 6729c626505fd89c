import type { Axis, Block, Book, Product } from './book.ts';

/** Sets of positions that must go together, and sets that must stay. */
export class Union {
  /** First position of an axis among all; −1 where the extent is not known. */
  readonly base: Int32Array;
  readonly #parent: Int32Array;
  /** Why a set stays, by its root. */
  readonly #blocked = new Map<number, Block>();

  constructor(book: Book) {
    const carriers = chooseCarriers(book);
    this.base = new Int32Array(book.axes.length).fill(-1);
    let total = 0;
    for (const axis of book.axes) {
      if (axis.extent === undefined) continue;
      this.base[axis.id] = total;
      total += axis.extent;
    }
    this.#parent = Int32Array.from({ length: total }, (_, i) => i);
    const frozen: Block[] = [];
    for (const relation of book.relations) {
      if (relation.kind === 'same') this.#join(relation.a, relation.b);
      else if (relation.kind === 'map') this.#map(relation.a, relation.b, relation.at, relation.bt);
      else frozen.push(...this.#fold(relation, carriers.get(relation) ?? 0));
    }
    for (const block of [...book.blocks, ...frozen]) this.#block(block);
  }

  /** The set that a position of an axis is in. */
  at(axis: Axis, position: number): number {
    return this.#find((this.base[axis.id] as number) + position);
  }
  blockOf(root: number): Block | undefined {
    return this.#blocked.get(root);
  }
  /** Any reason along the axis: one worth telling first, and one about all of an axis before one about a place. */
  reasonFor(axis: Axis): Block | undefined {
    const weight = (block: Block): number => (block.silent ? 0 : 2) + (block.position === undefined ? 1 : 0);
    let found: Block | undefined;
    for (let p = 0; p < (axis.extent ?? 0); p++) {
      const block = this.#blocked.get(this.at(axis, p));
      if (block && (!found || weight(block) > weight(found))) found = block;
      if (found && weight(found) === 3) break;
    }
    return found;
  }

  #join(a: Axis, b: Axis): void {
    const [x, y] = [this.base[a.id] as number, this.base[b.id] as number];
    for (let p = 0; p < (a.extent ?? 0); p++) this.#unite(x + p, y + p);
  }
  #map(a: Axis, b: Axis, at: readonly number[], bt: readonly number[]): void {
    const [x, y] = [this.base[a.id] as number, this.base[b.id] as number];
    if (x < 0 || y < 0) return;
    for (const [i, p] of at.entries()) this.#unite(x + p, y + (bt[i] as number));
  }
  #fold({ merged, factors, node }: Product, carrier: number): Block[] {
    const own = factors[carrier] as Axis;
    const [x, y] = [this.base[merged.id] as number, this.base[own.id] as number];
    const inner = factors.slice(carrier + 1).reduce((product, axis) => product * (axis.extent ?? 1), 1);
    if (x >= 0 && y >= 0)
      for (let p = 0; p < (merged.extent ?? 0); p++)
        this.#unite(x + p, y + (Math.floor(p / inner) % (own.extent ?? 1)));
    const why = `${node} folds it together with other axes`;
    return factors
      .filter((axis) => axis !== own)
      .map((axis) => ({ axis, why, silent: axis.slot.value === undefined, position: undefined }));
  }
  #block(block: Block): void {
    const { axis, position } = block;
    if ((this.base[axis.id] as number) < 0) return;
    const [from, to] = position === undefined ? [0, axis.extent ?? 0] : [position, position + 1];
    for (let p = from; p < to; p++) {
      const root = this.at(axis, p);
      const known = this.#blocked.get(root);
      if (!known || (known.silent && !block.silent)) this.#blocked.set(root, block);
    }
  }

  #find(position: number): number {
    const parent = this.#parent;
    let root = position;
    while (parent[root] !== root) root = parent[root] as number;
    for (let at = position; parent[at] !== root; ) {
      const next = parent[at] as number;
      parent[at] = root;
      at = next;
    }
    return root;
  }
  /** The lower position stays the root: sets are numbered the same way every time. */
  #unite(a: number, b: number): void {
    const [x, y] = [this.#find(a), this.#find(b)];
    if (x < y) this.#parent[y] = x;
    else this.#parent[x] = y;
  }
}

/**
 * Of the factors that a Reshape folds into one axis, only one can lose positions. It is the first that is not known to stay as it
 * is; where an axis is split, rather one that is the carrier of another Reshape, so that heads stay heads and shuffled
 * channels channels.
 */
function chooseCarriers(book: Book): Map<Product, number> {
  const classes = new AxisClasses(book);
  const products = book.relations.filter((relation) => relation.kind === 'product');
  spreadBlocks(products, classes);
  const chosen = new Map<Product, number>();
  const carriers = new Set<number>();
  const set = (product: Product, index: number): void => {
    chosen.set(product, index);
    const axis = product.factors[index];
    if (axis) carriers.add(classes.of(axis));
  };
  const free = (product: Product): number[] =>
    product.factors.flatMap((axis, index) => (classes.isBlocked(axis) ? [] : [index]));
  for (const product of products) if (product.carrier !== undefined) set(product, product.carrier);
  for (const product of products) {
    if (product.carrier !== undefined) continue;
    const open = free(product);
    if (open.length === 1) set(product, open[0] as number);
  }
  for (const merges of [true, false]) {
    for (const product of products) {
      if (chosen.has(product) || product.merges !== merges) continue;
      const open = free(product);
      const known = open.find((index) => carriers.has(classes.of(product.factors[index] as Axis)));
      set(product, known ?? open[0] ?? toldFactor(product, classes));
    }
  }
  return chosen;
}

/** Where all factors stay: the one whose reason is told. Heads stand behind the batch that they are folded with. */
function toldFactor({ factors, merges }: Product, classes: AxisClasses): number {
  const whole = factors.flatMap((axis, index) => (classes.isPinned(axis) ? [] : [index]));
  return whole.at(merges ? -1 : 0) ?? 0;
}

/** An axis that stays whole keeps all that is folded into it; one whose factors all stay is whole. */
function spreadBlocks(products: readonly Product[], classes: AxisClasses): void {
  for (let changed = true; changed; ) {
    changed = false;
    for (const { merged, factors } of products) {
      const stays = classes.isBlocked(merged) || factors.every((axis) => classes.isBlocked(axis));
      if (!stays) continue;
      for (const axis of [merged, ...factors]) if (classes.block(axis)) changed = true;
    }
  }
}

/** Axes as wholes, tied only where they are the same from end to end. */
class AxisClasses {
  readonly #parent: Int32Array;
  readonly #blocked = new Set<number>();
  /** Blocked place by place. */
  readonly #pinned = new Set<number>();

  constructor(book: Book) {
    this.#parent = Int32Array.from({ length: book.axes.length }, (_, i) => i);
    for (const relation of book.relations)
      if (relation.kind === 'same') this.#parent[this.of(relation.a)] = this.of(relation.b);
    const pinned = new Map<number, Set<number>>();
    for (const { axis, position } of book.blocks) {
      if (position === undefined) {
        this.block(axis);
        continue;
      }
      const places = pinned.get(this.of(axis)) ?? new Set();
      pinned.set(this.of(axis), places.add(position));
      // Queries, keys and values that are taken out of one axis, each by its place: all of it stays.
      if (places.size === axis.extent && this.block(axis)) this.#pinned.add(this.of(axis));
    }
  }

  of({ id }: Axis): number {
    let root = id;
    while (this.#parent[root] !== root) root = this.#parent[root] as number;
    for (let at = id; this.#parent[at] !== root; ) {
      const next = this.#parent[at] as number;
      this.#parent[at] = root;
      at = next;
    }
    return root;
  }
  isBlocked(axis: Axis): boolean {
    return this.#blocked.has(this.of(axis));
  }
  isPinned(axis: Axis): boolean {
    return this.#pinned.has(this.of(axis));
  }
  /** @returns false where it was blocked before. */
  block(axis: Axis): boolean {
    const root = this.of(axis);
    if (this.#blocked.has(root)) return false;
    this.#blocked.add(root);
    return true;
  }
}
