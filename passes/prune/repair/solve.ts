import { inverseFactorBlocked } from '../../../src/kernels/blocked-factor.ts';
import type { Gram } from '../../../src/pass/pass.ts';
import type { Products } from '../../quantize/weight-only/product.ts';

/** Weights of one group of a layer, [n, k], and its bias. */
export interface Weights {
  readonly rows: Float32Array;
  readonly bias: Float64Array;
}

export interface Fitted extends Weights {
  /** Damping as a share of the mean diagonal; undefined where only the bias moved, or nothing. */
  readonly damping: number | undefined;
  /** Σ(t − y)² / Σt² over rows that nothing was fitted to: before and after. */
  readonly before: number;
  readonly after: number;
}

/** Shares of the mean diagonal to damp with; the rows held out tell which is best. */
const dampings = [1e-4, 1e-3, 1e-2, 1e-1, 1];
/** Where fits are only compared with each other. */
export const coarseDampings: readonly number[] = [1e-3, 1e-1];

/**
 * Least squares with a ridge towards the weights that are there: what reads x is to give t. The sums are over rows [x, t], x [k]
 * and t [n]. Kept is what gives the least error on the rows held out, nothing at all if it is the weights as they are.
 * @param withBias the layer has a bias, so that means are met by it and weights are fitted to what is left
 */
export async function fitWeights(
  weights: Weights,
  gram: Gram,
  n: number,
  withBias: boolean,
  only: 'all' | 'bias',
  products: Products,
  stop: () => void,
  damp: readonly number[] = dampings,
): Promise<Fitted> {
  const k = gram.k - n;
  const held = new HeldOut(gram, k, n);
  const before = held.error(weights.rows, weights.bias);
  const moments = new Moments(gram, k, n, withBias);
  let best: Fitted = { ...weights, damping: undefined, before, after: before };
  const consider = (rows: Float32Array, damping: number | undefined): void => {
    const bias = withBias ? moments.bias(rows) : weights.bias;
    const after = held.error(rows, bias);
    if (after < best.after) best = { rows, bias, damping, before, after };
  };
  if (withBias) consider(weights.rows, undefined);
  if (only === 'bias') return best;
  const open = moments.missing(weights.rows, weights.bias);
  for (const damping of damp) {
    stop();
    const h = moments.damped(damping);
    if (!h || !(await inverseFactorBlocked(h, k, products.float64))) continue;
    const change = await solve(h, open, k, n, products);
    const rows = weights.rows.slice();
    for (let o = 0; o < n; o++)
      for (let i = 0; i < k; i++) rows[o * k + i] = (rows[o * k + i] as number) + (change[i * n + o] as number);
    if (rows.every(Number.isFinite)) consider(rows, damping);
  }
  return best;
}

/** H⁻¹·d = Uᵀ·(U·d), with H⁻¹ = Uᵀ·U. @param d [k, n] */
async function solve(
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

/** Means, and second moments of x with x and t about them (about zero without a bias). */
class Moments {
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
  missing(rows: Float32Array, bias: Float64Array): Float64Array {
    const [k, n] = [this.#k, this.#n];
    const open = new Float64Array(k * n);
    const moments = new Float64Array(k);
    for (let i = 0; i < k; i++) {
      for (let j = 0; j < k; j++) moments[j] = this.#moment(i, j);
      for (let o = 0; o < n; o++) {
        let left = this.#moment(i, k + o);
        for (let j = 0; j < k; j++) left -= (rows[o * k + j] as number) * (moments[j] as number);
        if (!this.#withBias) left -= (bias[o] as number) * (this.#gram.total[i] as number);
        open[i * n + o] = left;
      }
    }
    return open;
  }
  /** @returns undefined where no input was reached */
  damped(share: number): Float64Array | undefined {
    const k = this.#k;
    const h = new Float64Array(k * k);
    let diagonal = 0;
    for (let i = 0; i < k; i++) {
      for (let j = 0; j < k; j++) h[i * k + j] = this.#moment(i, j);
      diagonal += h[i * k + i] as number;
    }
    const damping = (share * diagonal) / k;
    if (!(damping > 0) || !Number.isFinite(damping)) return undefined;
    for (let i = 0; i < k; i++) h[i * k + i] = (h[i * k + i] as number) + damping;
    return h;
  }
}

/** Judges weights by rows that are in no sum. */
class HeldOut {
  readonly #gram: Gram;
  readonly #k: number;
  readonly #n: number;
  readonly #signal: number;

  constructor(gram: Gram, k: number, n: number) {
    this.#gram = gram;
    this.#k = k;
    this.#n = n;
    let signal = 0;
    for (let r = 0; r < gram.heldOutRows; r++)
      for (let o = 0; o < n; o++) signal += (gram.heldOut[r * gram.k + k + o] as number) ** 2;
    this.#signal = signal;
  }

  error(rows: Float32Array, bias: Float64Array): number {
    const { heldOut, heldOutRows, k: width } = this.#gram;
    const [k, n] = [this.#k, this.#n];
    let noise = 0;
    for (let r = 0; r < heldOutRows; r++) {
      const at = r * width;
      for (let o = 0; o < n; o++) {
        let y = bias[o] as number;
        const row = o * k;
        for (let i = 0; i < k; i++) y += (rows[row + i] as number) * (heldOut[at + i] as number);
        noise += ((heldOut[at + k + o] as number) - y) ** 2;
      }
    }
    return noise / Math.max(this.#signal, Number.MIN_VALUE);
  }
}
