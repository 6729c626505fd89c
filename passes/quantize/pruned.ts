import { countZeros } from '../../src/kernels/mask.ts';

/**
 * With so many exact zeros weights were pruned, and their zeros are to stay. Weights trained in float have none to speak of; of those of the
 * shared MobileNet, which come from an int8 grid, two layers of 28 have more (31 and 62 %), the others 16 % and less.
 */
export const prunedShare = 0.25;

/** Whether these weights were pruned. */
export const isPruned = (weights: Float32Array): boolean => countZeros(weights) >= prunedShare * weights.length;
