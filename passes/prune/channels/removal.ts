import { inverseFactorBlocked, inverseOf } from '../../../src/kernels/blocked-factor.ts';
import { choleskyUpper, invertUpper } from '../../../src/kernels/linear-algebra.ts';
import { Scratch, subtractBlock } from '../../../src/kernels/matrix-blocks.ts';
import type { Gram } from '../../../src/pass/pass.ts';
import type { Products } from '../../quantize/weight-only/product.ts';

/** Share of the mean diagonal that keeps inputs which hang together apart. */
const damping = 1e-3;

/** Rows of the inverse that change at a time. */
const panel = 512;

/**
 * One reader of channels as they go: its weights after each removal are those of least squares on what is left, so that what a unit
 * costs is what the others cannot make up for (optimal brain surgeon, in blocks).
 */
export class Removal {
  /** What each unit is in the inputs of the layer: its columns. */
  readonly #columns: readonly (readonly number[])[];
  readonly #n: number;
  /** Columns that are left. */
  #k: number;
  /** Where each column of the layer is among those; -1: gone. */
  readonly #place: Int32Array;
  /** Inverse of the second moments of what is left [k, k]. */
  #inverse: Float64Array;
  /** [n, k] */
  #weights: Float64Array;
  readonly #scale: number;
  readonly #products: Products;

  private constructor(
    columns: readonly (readonly number[])[],
    k: number,
    inverse: Float64Array,
    weights: Float64Array,
    scale: number,
    products: Products,
  ) {
    this.#columns = columns;
    this.#k = k;
    this.#n = weights.length / k;
    this.#place = Int32Array.from({ length: k }, (_, column) => column);
    this.#inverse = inverse;
    this.#weights = weights;
    this.#scale = scale;
    this.#products = products;
  }

  /**
   * @param rows weights [n, k]
   * @param signal variance of what the layer's outputs go into, summed over them
   * @returns undefined where no input was reached.
   */
  static async of(
    rows: Float32Array,
    gram: Gram,
    columns: readonly (readonly number[])[],
    signal: number,
    products: Products,
  ): Promise<Removal | undefined> {
    const { k } = gram;
    const h = centered(gram);
    let diagonal = 0;
    for (let i = 0; i < k; i++) diagonal += h[i * k + i] as number;
    const ridge = (damping * diagonal) / k;
    if (!(ridge > 0) || !Number.isFinite(ridge)) return undefined;
    for (let i = 0; i < k; i++) h[i * k + i] = (h[i * k + i] as number) + ridge;
    if (!(await inverseFactorBlocked(h, k, products.float64))) return undefined;
    const inverse = await inverseOf(h, k, products.float64);
    const scale = 1 / Math.max(signal * gram.rows, Number.MIN_VALUE);
    return new Removal(columns, k, inverse, Float64Array.from(rows), scale, products);
  }

  /** What the layer's outputs lose, as a share of the signal, when this unit goes next. */
  cost(unit: number): number {
    const columns = this.#placesOf([unit]);
    const corner = this.#corner(columns);
    if (columns.length === 0 || !corner) return 0;
    const s = columns.length;
    let sum = 0;
    for (let o = 0; o < this.#n; o++) {
      for (let i = 0; i < s; i++) {
        const left = this.#weights[o * this.#k + (columns[i] as number)] as number;
        for (let j = 0; j < s; j++)
          sum += left * (corner[i * s + j] as number) * (this.#weights[o * this.#k + (columns[j] as number)] as number);
      }
    }
    return sum * this.#scale;
  }

  /** Takes units away, and lets the others make up for them. What is gone takes no more time: all of it together is a third of k³. */
  async remove(units: readonly number[]): Promise<void> {
    const columns = this.#placesOf(units);
    const corner = this.#corner(columns);
    if (columns.length === 0 || !corner) return;
    const [k, n, s] = [this.#k, this.#n, columns.length];
    const gone = new Set(columns);
    const stay = Int32Array.from(Array.from({ length: k }, (_, at) => at).filter((at) => !gone.has(at)));
    const m = stay.length;
    const strip = new Float64Array(s * m);
    for (const [i, column] of columns.entries())
      for (let j = 0; j < m; j++) strip[i * m + j] = this.#inverse[column * k + (stay[j] as number)] as number;
    const solved = await this.#products.float64(corner, strip, s, s, m);
    const wide = new Float64Array(n * s);
    for (let i = 0; i < s; i++)
      for (let o = 0; o < n; o++) wide[o * s + i] = this.#weights[o * k + (columns[i] as number)] as number;
    const change = await this.#products.float64(wide, solved, n, s, m);
    closeUp(this.#weights, k, stay);
    for (let i = 0; i < n * m; i++) this.#weights[i] = (this.#weights[i] as number) - (change[i] as number);
    closeUp(this.#inverse, k, stay, stay);
    const tall = new Scratch();
    for (let from = 0; from < m; from += panel) {
      const to = Math.min(m, from + panel);
      const part = await this.#products.float64(tall.transposed(strip, m, 0, s, from, to), solved, to - from, s, m);
      subtractBlock(this.#inverse, m, from, 0, part, to - from, m);
    }
    this.#inverse = this.#inverse.subarray(0, m * m);
    this.#weights = this.#weights.subarray(0, n * m);
    this.#k = m;
    const placeOf = new Int32Array(k).fill(-1);
    for (const [at, column] of stay.entries()) placeOf[column] = at;
    for (const [column, at] of this.#place.entries()) if (at >= 0) this.#place[column] = placeOf[at] as number;
  }

  /** Where the columns of these units are; without those that are gone. */
  #placesOf(units: readonly number[]): number[] {
    return units
      .flatMap((unit) => this.#columns[unit] ?? [])
      .map((column) => this.#place[column] as number)
      .filter((at) => at >= 0);
  }

  /** Inverse of the corner of these columns; undefined where it has none. */
  #corner(columns: readonly number[]): Float64Array | undefined {
    const s = columns.length;
    const corner = new Float64Array(s * s);
    for (let i = 0; i < s; i++)
      for (let j = 0; j < s; j++)
        corner[i * s + j] = this.#inverse[(columns[i] as number) * this.#k + (columns[j] as number)] as number;
    return invertSymmetric(corner, s) ? corner : undefined;
  }
}

/** Sums of squares about the mean. */
function centered({ sum, total, rows, k }: Gram): Float64Array {
  const h = new Float64Array(k * k);
  for (let i = 0; i < k; i++)
    for (let j = 0; j < k; j++)
      h[i * k + j] = (sum[i * k + j] as number) - ((total[i] as number) * (total[j] as number)) / Math.max(1, rows);
  return h;
}

/** h = R·Rᵀ, so h⁻¹ = R⁻ᵀ·R⁻¹. In place. */
function invertSymmetric(h: Float64Array, s: number): boolean {
  if (!choleskyUpper(h, s)) return false;
  invertUpper(h, s);
  const r = h.slice();
  for (let i = 0; i < s; i++) {
    for (let j = i; j < s; j++) {
      let sum = 0;
      for (let l = 0; l <= i; l++) sum += (r[l * s + i] as number) * (r[l * s + j] as number);
      h[i * s + j] = sum;
      h[j * s + i] = sum;
    }
  }
  return true;
}

/** Keeps these columns (and rows, where given; all otherwise), in place, from the front. */
function closeUp(matrix: Float64Array, k: number, columns: Int32Array, rows?: Int32Array): void {
  const m = columns.length;
  const height = rows?.length ?? matrix.length / k;
  for (let r = 0; r < height; r++) {
    const from = (rows ? (rows[r] as number) : r) * k;
    // What is written lies before what is still to be read.
    for (let c = 0; c < m; c++) matrix[r * m + c] = matrix[from + (columns[c] as number)] as number;
  }
}
