import { smallestEffect } from '../../report/facts.ts';
import type { Measured } from './measured.ts';

/** A variant is only worth shipping instead of base when size × latency is at least this much smaller. */
export const smallestGain = 0.01;

/**
 * What a variant has to gain (of size × latency) over one that is truer to base: what sessions of one file differ by in latency (2 %), and what a change
 * has to save at all (1 %). So a gain that both could be by themselves buys no loss. With less, a recommender with tables of embeddings was pruned by 1 %
 * of its size for 0.0012 of ROC AUC.
 */
const gainWorthALoss = smallestEffect + smallestGain;

/** The best by score; of those that are hardly worse, the one that loses least. */
export function leastLossOfBest<T extends { readonly variant: Measured; readonly score: number }>(
  ranked: readonly T[],
): T | undefined {
  const [first] = ranked;
  if (!first) return undefined;
  return ranked
    .filter(({ score }) => first.score > score * (1 - gainWorthALoss))
    .reduce((best, one) => (lossOf(one.variant) < lossOf(best.variant) ? one : best), first);
}

/** Of the metric, where labelled data tells it (a gain is luck); else of the outputs, as noise to signal. */
function lossOf({ name, accuracy, fidelity }: Measured): number {
  if (name === 'base') return 0;
  if (accuracy) return Math.max(0, accuracy.drop ?? Number.POSITIVE_INFINITY);
  if (!fidelity) return Number.POSITIVE_INFINITY;
  return fidelity.sqnrDb === null ? 0 : 10 ** (-fidelity.sqnrDb / 20);
}
