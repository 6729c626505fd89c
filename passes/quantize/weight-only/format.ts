import {
  type BlockFormat,
  type BlockQuantized,
  type LinearWeights,
  quantizeBlocks,
} from '../../../src/kernels/blockwise.ts';

/**
 * A way to choose codes and scales for one layer. Methods that need activations or more passes over the layer (HQQ,
 * GPTQ) are further entries of `methods`.
 */
export type BlockMethod = (weights: LinearWeights, format: BlockFormat) => BlockQuantized;

export const methods = {
  rtn: quantizeBlocks,
} as const satisfies Record<string, BlockMethod>;

export type MethodName = keyof typeof methods;

/** What the user asked for. */
export interface WeightOnlyOptions {
  readonly bits: 2 | 4 | 8;
  readonly block: number;
  readonly symmetric: boolean;
  readonly method: MethodName;
  readonly accuracyLevel: number;
  readonly minElements: number;
}

/** Signal-to-noise ratio of the stored weights, for the trace. */
export function decibels(quantized: BlockQuantized): string {
  if (quantized.noise === 0) return 'exact';
  return `${(10 * Math.log10(quantized.signal / quantized.noise)).toFixed(1)} dB`;
}
