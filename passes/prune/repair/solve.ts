import { inverseFactorBlocked } from '../../../src/kernels/blocked-factor.ts';
import type { Clip, Gram } from '../../../src/pass/pass.ts';
import type { Products } from '../../quantize/weight-only/product.ts';
import { fitClipped } from './clipped.ts';
import type { Fitted, Weights } from './fitted.ts';
import { HeldOut } from './held-out.ts';
import { Moments, solveBy } from './moments.ts';

/** Shares of the mean diagonal to damp with; the rows held out tell which is best. */
const dampings = [1e-4, 1e-3, 1e-2, 1e-1, 1];
/** Where fits are only compared with each other. */
export const coarseDampings: readonly number[] = [1e-3, 1e-1];

/** What is fitted: weights and bias by least squares, the bias alone, or mean and deviation of each output. */
export const repairMethods = ['weights', 'bias', 'statistics'] as const;
export type RepairMethod = (typeof repairMethods)[number];
/** As an option says it. */
export const repairMethodHelp =
  'least squares of weights and bias, or only biases, or mean and deviation of each output (as re-estimating BatchNormalization does)';

/**
 * Least squares with a ridge towards the weights that are there: what reads x is to give t. The sums are over rows [x, t], x [k]
 * and t [n]. Kept is what gives the least error on the rows held out, nothing at all if it is the weights as they are.
 * @param method `statistics` is what re-estimating the mean and variance of a BatchNormalization behind the layer comes to, where this was folded or not
 * @param withBias the layer has a bias, so that means are met by it and weights are fitted to what is left
 */
export async function fitWeights(
  weights: Weights,
  gram: Gram,
  n: number,
  withBias: boolean,
  method: RepairMethod,
  products: Products,
  stop: () => void,
  damp: readonly number[] = dampings,
  clip?: Clip,
): Promise<Fitted> {
  const k = gram.k - n;
  // Without rows to look at, clipping cannot be told from the sums.
  const bounds = gram.kept ? clip : undefined;
  const held = new HeldOut(gram, k, n, bounds, products);
  const before = await held.error(weights.rows, weights.bias);
  const moments = new Moments(gram, k, n, withBias);
  if (method === 'statistics') {
    // The sums judge nothing here: that outputs spread as they did is worth more than each being near to what it was.
    const rows = await moments.spread(weights.rows, products);
    const bias = withBias ? moments.bias(rows) : weights.bias;
    return { rows, bias, damping: undefined, before, after: await held.error(rows, bias) };
  }
  let best: Fitted = { ...weights, damping: undefined, before, after: before };
  let factor: Float64Array | undefined;
  const consider = async (rows: Float32Array, damping: number | undefined, h?: Float64Array): Promise<void> => {
    const bias = withBias ? moments.bias(rows) : weights.bias;
    const after = await held.error(rows, bias);
    if (after >= best.after) return;
    best = { rows, bias, damping, before, after };
    factor = h;
  };
  if (withBias) await consider(weights.rows, undefined);
  if (method === 'bias') return best;
  const open = await moments.missing(weights.rows, weights.bias, products);
  for (const damping of damp) {
    stop();
    const h = moments.damped(damping);
    if (!h || !(await inverseFactorBlocked(h, k, products.float64))) continue;
    const change = await solveBy(h, open, k, n, products);
    const rows = weights.rows.slice();
    for (let o = 0; o < n; o++)
      for (let i = 0; i < k; i++) rows[o * k + i] = (rows[o * k + i] as number) + (change[i * n + o] as number);
    if (rows.every(Number.isFinite)) await consider(rows, damping, h);
  }
  if (!bounds || !factor || best.damping === undefined) return best;
  const ridge = { factor, towards: weights.rows, strength: moments.strength(best.damping) };
  return await fitClipped(best, gram, n, withBias, bounds, ridge, held, products, stop);
}
