import { transpose } from '../../../src/kernels/quantize.ts';
import type { Clip, Gram } from '../../../src/pass/pass.ts';
import type { Products } from '../../quantize/weight-only/product.ts';

/** Rows [x, t] taken apart, and what stands beside t where the rows have it. */
export class PairRows {
  readonly count: number;
  readonly x: Float32Array;
  readonly t: Float32Array;
  readonly beside: Float32Array | undefined;

  constructor(rows: Float32Array, { k: wide, carried = 0 }: Gram, k: number, n: number) {
    const width = wide + carried;
    const count = Math.floor(rows.length / width);
    const part = (from: number, columns: number): Float32Array => {
      const own = new Float32Array(count * columns);
      for (let r = 0; r < count; r++) own.set(rows.subarray(r * width + from, r * width + from + columns), r * columns);
      return own;
    };
    this.count = count;
    this.x = part(0, k);
    this.t = part(k, n);
    this.beside = carried === n ? part(k + n, n) : undefined;
  }

  /** W·x + b, row by row [count, n]. */
  async outputs(weights: Float32Array, bias: Float64Array, { float32 }: Products): Promise<Float32Array> {
    const n = bias.length;
    const y = await float32(this.x, transpose(weights, n, weights.length / n), this.count, weights.length / n, n);
    return y.map((value, i) => value + (bias[i % n] as number));
  }
}

const clamp = (value: number, { low, high }: Clip): number => Math.min(high, Math.max(low, value));

/** Judges weights by rows that are in no sum: by what is left of them where their reader clips it. */
export class HeldOut {
  readonly #rows: PairRows;
  readonly #clip: Clip;
  readonly #products: Products;
  readonly #signal: number;

  constructor(gram: Gram, k: number, n: number, clip: Clip | undefined, products: Products) {
    this.#rows = new PairRows(gram.heldOut, gram, k, n);
    this.#clip = clip ?? { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
    this.#products = products;
    const { t, beside } = this.#rows;
    // Beside a sum only what goes into it counts as signal, so that a share means the same with and without.
    this.#signal = t.reduce((sum, value) => sum + (clip && !beside ? clamp(value, clip) : value) ** 2, 0);
  }

  /** Σ(t − y)² / Σt² */
  async error(rows: Float32Array, bias: Float64Array): Promise<number> {
    const y = await this.#rows.outputs(rows, bias, this.#products);
    const { t, beside } = this.#rows;
    let noise = 0;
    for (const [i, value] of y.entries()) {
      const aside = beside ? (beside[i] as number) : 0;
      noise += (clamp((t[i] as number) + aside, this.#clip) - clamp(value + aside, this.#clip)) ** 2;
    }
    return noise / Math.max(this.#signal, Number.MIN_VALUE);
  }
}
