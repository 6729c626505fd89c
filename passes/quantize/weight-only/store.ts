import type { Value } from '../../../src/ir/graph.ts';
import { type Tensor, tensorFrom, tensorFromBytes } from '../../../src/ir/tensor.ts';
import { storedBits } from '../../../src/kernels/block-fit.ts';
import { f32ToF16 } from '../../../src/kernels/f16.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';
import { type Linear, placeFor } from '../linear.ts';
import type { LayerBook } from './book.ts';

/** Weights as MatMulNBits takes them. */
export interface StoredWeights {
  /** uint8 [N, blocks, block·bits/8] */
  readonly codes: Value;
  /** [N, blocks] */
  readonly scales: Value;
  /** uint8 [N, ceil(blocks·bits/8)] or real numbers [N, blocks] */
  readonly zeroPoints: Value | undefined;
  readonly block: number;
  readonly bits: 2 | 4 | 8;
  readonly detail: string;
}

/** Quantizes each weight once, whoever reads it. */
export class BlockStore {
  readonly #book: LayerBook;
  readonly #stored = new Map<string, StoredWeights>();
  readonly #ids = new Map<Value, number>();

  constructor(book: LayerBook) {
    this.#book = book;
  }

  /** What was stored of a table [N, K], for a layer that went before. */
  known(table: Value): StoredWeights | undefined {
    return this.#stored.get(`${this.#ids.get(table)} n 1`);
  }

  /** @returns a sentence when the numbers cannot be stored. */
  get(linear: Linear): StoredWeights | string {
    const id = this.#ids.get(linear.weight) ?? this.#ids.size;
    this.#ids.set(linear.weight, id);
    const key = `${id} ${linear.rows} ${linear.alpha}`;
    const weights = this.#stored.get(key) ?? this.#store(linear);
    if (typeof weights !== 'string') this.#stored.set(key, weights);
    return weights;
  }

  #store(linear: Linear): StoredWeights | string {
    const layer = this.#book.quantize(linear);
    if (typeof layer === 'string') return layer;
    const { weight, tensor, k, n, node } = linear;
    const { codes, scales, zeroPoints } = layer.quantized;
    const { block } = layer.format;
    const bits = storedBits(layer.format.bits);
    const blocks = Math.ceil(k / block);
    const anchor = placeFor(weight, node);
    const constant = (suffix: string, data: Tensor): Value => addConstant(anchor, `${weight.name}_${suffix}`, data);
    const numbers = (data: Float32Array): Tensor =>
      tensor.dtype === 'float16'
        ? tensorFrom('float16', [n, blocks], f32ToF16(data))
        : tensorFrom('float32', [n, blocks], data);
    const zeros =
      zeroPoints instanceof Float32Array
        ? numbers(zeroPoints)
        : zeroPoints && tensorFromBytes('uint8', [n, zeroPoints.length / n], zeroPoints);
    return {
      codes: constant(`q${layer.format.bits}`, tensorFromBytes('uint8', [n, blocks, (block * bits) / 8], codes)),
      scales: constant('scales', numbers(scales)),
      zeroPoints: zeros && constant('zero_points', zeros),
      block,
      bits,
      detail: `${tensor.shape.join('×')} weights in ${layer.format.bits} bits, ${layer.quality}`,
    };
  }
}
