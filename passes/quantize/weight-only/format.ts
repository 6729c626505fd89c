import type { BlockFormat, QuantBits } from '../../../src/kernels/block-fit.ts';
import type { BlockQuantized } from '../../../src/kernels/block-quantized.ts';
import type { Linear } from '../linear.ts';
import { looksUp } from '../table.ts';

/** Ways to choose the codes of a layer. */
export const methodNames = ['rtn', 'clip', 'kquant', 'hqq', 'awq', 'gptq'] as const;
export type MethodName = (typeof methodNames)[number];

/**
 * What to use where the user names no method. On the shared language model (perplexity over float32's 4.509, asymmetric, 32 to a
 * block): rtn +0.542, clip +0.501, hqq +0.542, kquant +0.432 without data; clip +0.423, kquant +0.448, awq +0.372, gptq +0.279 with
 * (test/bench/weight-only-lm.mjs).
 */
export function defaultMethod(hasData: boolean): MethodName {
  return hasData ? 'gptq' : 'kquant';
}

export const formatNames = ['matmul-nbits', 'qdq', 'bnb4'] as const;
export type FormatName = (typeof formatNames)[number];

/** As MatMulNBits has it; auto: by the size of the layer. */
export type AccuracyLevel = 'auto' | 0 | 1 | 2 | 3 | 4;

/** What the user asked for; `bits` and `block` may differ from layer to layer, see plan.ts. */
export interface WeightOnlyOptions {
  readonly bits: QuantBits;
  readonly block: number;
  readonly symmetric: boolean;
  readonly format: FormatName;
  readonly method: MethodName;
  /** Real zero points, which HQQ finds: exact, and slow in ONNX Runtime. */
  readonly realZeros: boolean;
  readonly accuracyLevel: AccuracyLevel;
  readonly minElements: number;
  /** Of tables that are looked up; those that a layer multiplies with too have so many at least. */
  readonly embeddings: 'float' | QuantBits;
}

/** A layer's weights as they are stored, and how well they do. */
export interface QuantizedLayer {
  readonly quantized: BlockQuantized;
  readonly format: BlockFormat;
  readonly quality: string;
}

export function blockFormat(
  linear: Linear,
  { bits, symmetric, method, realZeros, block }: WeightOnlyOptions,
): BlockFormat {
  const scaleType = linear.tensor.dtype === 'float16' ? 'float16' : 'float32';
  const own = blockFor(linear, block);
  // GatherBlockQuantized, which reads the codes of tied embeddings, takes codes for zero points alone.
  if (method === 'hqq')
    return { bits, block: own, symmetric: false, floatZeros: realZeros && !isTied(linear), scaleType };
  return { bits, block: own, symmetric, scaleType };
}

/** Kernels take blocks of 16 and more. */
export const smallestBlock = 16;

/** Whether embeddings look rows of the weights up. */
export const isTied = ({ weight }: Pick<Linear, 'weight'>): boolean =>
  weight.consumers.some((node) => looksUp(node, weight));

/** The block asked for, or the largest that is not longer than the inputs; of tied embeddings one that ends with the row. */
function blockFor(linear: Linear, block: number): number {
  const { k } = linear;
  const tied = isTied(linear);
  const fits = (own: number): boolean => own <= k && !(tied && k % own !== 0);
  let own = block;
  while (own > smallestBlock && !fits(own)) own /= 2;
  return own;
}

/** Signal-to-noise ratio of the stored weights. */
export function weightDecibels({ signal, noise }: BlockQuantized): string {
  return decibels(signal, noise);
}

export function decibels(signal: number, noise: number): string {
  if (noise === 0) return 'exact';
  return `${(10 * Math.log10(signal / noise)).toFixed(1)} dB`;
}
