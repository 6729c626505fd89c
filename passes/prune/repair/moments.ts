import { transpose } from '../../../src/kernels/quantize.ts';
import type { Gram } from '../../../src/pass/pass.ts';
import type { Products } from '../../quantize/weight-only/product.ts';

/** Means, and second moments of x with x and t about them (about zero without a bias). */
export class Moments {
  readonly #gram: Gram;
  readonly #k: number;
  readonly #n: number;
  readonly #withBias: boolean;

  constructor(gram: Gram, k: number, n: number, withBias: boolean) {
    this.#gram = gram;
    this.#k = k;
    this.#n = n;
    this.#withBias = withBias;
  }

  #mean(at: number): number {
    return (this.#gram.total[at] as number) / Math.max(1, this.#gram.rows);
  }
  #moment(i: number, j: number): number {
    const { sum, total, rows, k } = this.#gram;
    const raw = sum[i * k + j] as number;
    return this.#withBias ? raw - ((total[i] as number) * (total[j] as number)) / Math.max(1, rows) : raw;
  }
  /** mean(t) − W·mean(x) */
  bias(rows: Float32Array): Float64Array {
    const k = this.#k;
    return Float64Array.from({ length: this.#n }, (_, o) => {
      let sum = this.#mean(k + o);
      for (let i = 0; i < k; i++) sum -= (rows[o * k + i] as number) * this.#mean(i);
      return sum;
    });
  }
  /** Σx(t − Wx − b)ᵀ [k, n]: what the weights leave that x could still tell. */
  async missing(rows: Float32Array, bias: Float64Array, { float64 }: Products): Promise<Float64Array> {
    const [k, n] = [this.#k, this.#n];
    const told = await float64(this.#second(), Float64Array.from(transpose(rows, n, k)), k, k, n);
    const open = new Float64Array(k * n);
    for (let i = 0; i < k; i++) {
      const given = this.#withBias ? 0 : (this.#gram.total[i] as number);
      for (let o = 0; o < n; o++)
        open[i * n + o] = this.#moment(i, k + o) - (told[i * n + o] as number) - (bias[o] as number) * given;
    }
    return open;
  }
  /** What a share of the mean diagonal comes to. */
  strength(share: number): number {
    const k = this.#k;
    let diagonal = 0;
    for (let i = 0; i < k; i++) diagonal += this.#moment(i, i);
    return (share * diagonal) / k;
  }
  /** Of the inputs with each other, [k, k]. */
  #second(): Float64Array {
    const k = this.#k;
    const h = new Float64Array(k * k);
    for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) h[i * k + j] = this.#moment(i, j);
    return h;
  }
  /**
   * Each row times √(Σt² / Σ(w·x)²), about the means where there is a bias: the deviation of an output is that of what it is to give.
   * An output that is constant stays as it is.
   */
  async spread(rows: Float32Array, { float64 }: Products): Promise<Float32Array> {
    const [k, n] = [this.#k, this.#n];
    const turned = await float64(Float64Array.from(rows), this.#second(), n, k, k);
    const scaled = rows.slice();
    for (let o = 0; o < n; o++) {
      let given = 0;
      for (let i = 0; i < k; i++) given += (turned[o * k + i] as number) * (rows[o * k + i] as number);
      const factor = Math.sqrt(this.#moment(k + o, k + o) / given);
      if (Number.isFinite(factor) && factor > 0)
        for (let i = 0; i < k; i++) scaled[o * k + i] = (rows[o * k + i] as number) * factor;
    }
    return scaled;
  }
  /** @returns undefined where no input was reached */
  damped(share: number): Float64Array | undefined {
    const k = this.#k;
    const h = this.#second();
    const damping = this.strength(share);
    if (!(damping > 0) || !Number.isFinite(damping)) return undefined;
    for (let i = 0; i < k; i++) h[i * k + i] = (h[i * k + i] as number) + damping;
    return h;
  }
}

/** H⁻¹·d = Uᵀ·(U·d), with H⁻¹ = Uᵀ·U. @param d [k, n] */
export async function solveBy(
  u: Float64Array,
  d: Float64Array,
  k: number,
  n: number,
  { float64 }: Products,
): Promise<Float64Array> {
  const half = await float64(u, d, k, k, n);
  const turned = new Float64Array(k * k);
  for (let i = 0; i < k; i++) for (let j = i; j < k; j++) turned[j * k + i] = u[i * k + j] as number;
  return await float64(turned, half, k, k, n);
}
