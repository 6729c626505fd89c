import type { BlockFormat } from '../../../src/kernels/block-fit.ts';
import type { BlockQuantized } from '../../../src/kernels/block-quantized.ts';
import { dequantizeBlocks, type LinearWeights } from '../../../src/kernels/blockwise.ts';
import { transpose } from '../../../src/kernels/quantize.ts';
import type { Gram } from '../../../src/pass/pass.ts';
import type { Linear } from '../linear.ts';
import type { MethodName } from './format.ts';
import type { Products } from './product.ts';

/** One way to quantize a layer, and what it does to the layer's outputs. */
export interface Attempt {
  readonly name: string;
  readonly quantized: BlockQuantized;
  readonly noise: number;
}

/** One layer on its way. */
export interface Fitting {
  readonly linear: Linear;
  readonly weights: LinearWeights;
  readonly format: BlockFormat;
  readonly judge: Judge;
  readonly plain: Attempt;
  best: Attempt;
  /** The best of the method asked for, whether it won or not. */
  asked: Attempt | undefined;
}

/** Keeps what is better than all before. */
export function consider(fitting: Fitting, attempt: Attempt, method: MethodName): void {
  if (attempt.name === method && !(fitting.asked && fitting.asked.noise <= attempt.noise)) fitting.asked = attempt;
  if (attempt.noise < fitting.best.noise) fitting.best = attempt;
}

/** Measures what quantized weights do to the outputs of held-out rows. */
export class Judge {
  /** Σ(x·w)² over the rows and outputs. */
  readonly signal: number;
  /** [K, N] */
  readonly #weights: Float32Array;
  readonly #gram: Gram;
  readonly #n: number;
  readonly #products: Products;

  private constructor(weights: Float32Array, n: number, gram: Gram, products: Products, signal: number) {
    this.#weights = weights;
    this.#n = n;
    this.#gram = gram;
    this.#products = products;
    this.signal = signal;
  }

  static async of({ data, k, n, rows }: LinearWeights, gram: Gram, products: Products): Promise<Judge> {
    const byInput = rows === 'k' ? data : transpose(data, n, k);
    const outputs = await products.float32(gram.heldOut, byInput, gram.heldOutRows, k, n);
    return new Judge(byInput, n, gram, products, squares(outputs));
  }

  async try(name: string, quantized: BlockQuantized, format: BlockFormat): Promise<Attempt> {
    const { k } = this.#gram;
    const back = transpose(dequantizeBlocks(quantized, this.#n, k, format), this.#n, k);
    return { name, quantized, noise: await this.noiseOf(back) };
  }

  /** Σ(x·w − x·ŵ)². @param back ŵ [K, N], overwritten */
  async noiseOf(back: Float32Array): Promise<number> {
    const { k, heldOut, heldOutRows } = this.#gram;
    for (let i = 0; i < back.length; i++) back[i] = (back[i] as number) - (this.#weights[i] as number);
    return squares(await this.#products.float32(heldOut, back, heldOutRows, k, this.#n));
  }
}

function squares(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) ** 2;
  return sum;
}
