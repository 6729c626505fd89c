import type { BlockFormat } from '../../../src/kernels/block-fit.ts';
import type { BlockQuantized } from '../../../src/kernels/blockwise.ts';
import type { Linear } from '../linear.ts';

/** Ways to choose the codes of a layer. */
export const methodNames = ['rtn', 'clip', 'kquant', 'hqq', 'gptq'] as const;
export type MethodName = (typeof methodNames)[number];

/** What the user asked for. */
export interface WeightOnlyOptions {
  readonly bits: 2 | 4 | 8;
  readonly block: number;
  readonly symmetric: boolean;
  readonly method: MethodName;
  readonly accuracyLevel: number;
  readonly minElements: number;
}

/** A layer's weights as they are stored, and how well they do. */
export interface QuantizedLayer {
  readonly quantized: BlockQuantized;
  readonly quality: string;
}

export function blockFormat(linear: Linear, { bits, block, symmetric, method }: WeightOnlyOptions): BlockFormat {
  const scaleType = linear.tensor.dtype === 'float16' ? 'float16' : 'float32';
  if (method === 'hqq') return { bits, block, symmetric: false, floatZeros: true, scaleType };
  return { bits, block, symmetric, scaleType };
}

/** Signal-to-noise ratio of the stored weights. */
export function weightDecibels({ signal, noise }: BlockQuantized): string {
  return decibels(signal, noise);
}

export function decibels(signal: number, noise: number): string {
  if (noise === 0) return 'exact';
  return `${(10 * Math.log10(signal / noise)).toFixed(1)} dB`;
}
