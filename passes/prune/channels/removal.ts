import { inverseFactorBlocked } from '../../../src/kernels/blocked-factor.ts';
import { choleskyUpper, invertUpper } from '../../../src/kernels/linear-algebra.ts';
import type { Gram } from '../../../src/pass/pass.ts';
import type { Products } from '../../quantize/weight-only/product.ts';

/** Share of the mean diagonal that keeps inputs which hang together apart. */
const damping = 1e-3;

/**
 * One reader of channels as they go: its weights after each removal are those of least squares on what is left, so that what a unit
 * costs is what the others cannot make up for (optimal brain surgeon, in blocks).
 */
export class Removal {
  /** What each unit is in the inputs of the layer: its columns. */
  readonly #columns: readonly (readonly number[])[];
  readonly #k: number;
  readonly #n: number;
  /** Inverse of the second moments [k, k]; rows and columns of what is gone are zero. */
  readonly #inverse: Float64Array;
  /** [n, k] */
  readonly #weights: Float64Array;
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
    const turned = new Float64Array(k * k);
    for (let i = 0; i < k; i++) for (let j = i; j < k; j++) turned[j * k + i] = h[i * k + j] as number;
    const inverse = await products.float64(turned, h, k, k, k);
    const scale = 1 / Math.max(signal * gram.rows, Number.MIN_VALUE);
    return new Removal(columns, k, inverse, Float64Array.from(rows), scale, products);
  }

  /** What the layer's outputs lose, as a share of the signal, when this unit goes next. */
  cost(unit: number): number {
    const columns = this.#columns[unit] ?? [];
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

  /** Takes units away, and lets the others make up for them. */
  async remove(units: readonly number[]): Promise<void> {
    const columns = units.flatMap((unit) => this.#columns[unit] ?? []);
    const corner = this.#corner(columns);
    if (columns.length === 0 || !corner) return;
    const [k, n, s] = [this.#k, this.#n, columns.length];
    const strip = new Float64Array(s * k);
    for (const [i, column] of columns.entries()) strip.set(this.#inverse.subarray(column * k, (column + 1) * k), i * k);
    const solved = await this.#products.float64(corner, strip, s, s, k);
    const [tall, wide] = [new Float64Array(k * s), new Float64Array(n * s)];
    for (let i = 0; i < s; i++) {
      for (let j = 0; j < k; j++) tall[j * s + i] = strip[i * k + j] as number;
      for (let o = 0; o < n; o++) wide[o * s + i] = this.#weights[o * k + (columns[i] as number)] as number;
    }
    subtract(this.#inverse, await this.#products.float64(tall, solved, k, s, k));
    subtract(this.#weights, await this.#products.float64(wide, solved, n, s, k));
    for (const column of columns) {
      this.#inverse.fill(0, column * k, (column + 1) * k);
      for (let i = 0; i < k; i++) this.#inverse[i * k + column] = 0;
      for (let o = 0; o < n; o++) this.#weights[o * k + column] = 0;
    }
  }

  /** Inverse of the corner of these columns; undefined where they are gone. */
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

function subtract(from: Float64Array, what: Float64Array): void {
  for (let i = 0; i < from.length; i++) from[i] = (from[i] as number) - (what[i] as number);
}
