import { bootstrap, bootstrapWeights } from '../../kernels/bootstrap.ts';
import {
  mcNemar,
  pairedDropInterval,
  samplesNeeded,
  samplesWithoutChange,
  wilsonInterval,
} from '../../kernels/proportions.ts';
import { randomNumbers } from '../../kernels/random.ts';
import type { Accuracy } from '../../report/report.ts';
import { perClass } from './per-class.ts';
import { countDiscordant, isRightOrWrong, type Scored } from './scored.ts';

export interface PairOptions {
  readonly seed: number;
  /** The drop that is to be told from none: says whether the samples suffice. */
  readonly maxDrop: number;
}

/**
 * The task metric of a candidate beside that of base, with the 95 % interval of the drop: both were judged on the same
 * samples in the same order, so the samples on which they differ decide. Right and wrong: score interval of a paired
 * difference and McNemar's exact test; other scores: paired bootstrap, which draws samples and folds the metric anew where it does not
 * follow from a mean. Without an interval where a score is not finite, and for base beside itself.
 * @throws RangeError when the two were not judged on the same samples
 */
export function pairAccuracy(base: Scored, candidate: Scored, { seed, maxDrop }: PairOptions): Accuracy {
  const { metric, value, samples, higherIsBetter } = candidate;
  if (base.metric !== metric || base.scores.length !== candidate.scores.length)
    throw new RangeError(
      `cannot pair ${base.metric} of ${base.scores.length} samples with ${metric} of ${candidate.scores.length}`,
    );
  const drop = higherIsBetter ? base.value - value : value - base.value;
  const figures = { metric, value: finite(value), base: finite(base.value), drop: finite(drop) };
  const accuracy: Accuracy = { ...figures, samples, higherIsBetter };
  const isBase = base === candidate;
  if (isBase || samples === 0 || accuracy.drop === null || ![base, candidate].every(isDrawable)) return accuracy;
  const found = spreadOf(base, candidate, seed);
  if (!found) return accuracy;
  const { variance, least, ...spread } = found;
  const needed = maxDrop > 0 ? Math.max(samplesNeeded(variance, maxDrop), least(maxDrop)) : 0;
  const classes = perClass(base, candidate, seed);
  return {
    ...accuracy,
    ...spread,
    ...(needed > samples && { neededSamples: needed }),
    ...(classes && { classes }),
  };
}

function spreadOf(base: Scored, candidate: Scored, seed: number): Spread | undefined {
  if (isRightOrWrong(base) && isRightOrWrong(candidate)) return countedSpread(base, candidate);
  return candidate.resampled ? weighedSpread(base, candidate, seed) : drawnSpread(base, candidate, seed);
}

/** Folded metrics look at records of their own; the scores of single samples may then be undefined (0 / 0). */
const isDrawable = ({ scores, resampled }: Scored): boolean => resampled !== undefined || scores.every(Number.isFinite);

interface Spread extends Pick<Accuracy, 'dropCi' | 'discordant'> {
  /** Of the difference on one sample. */
  readonly variance: number;
  /** Samples that it takes in any case. */
  readonly least: (drop: number) => number;
}

function countedSpread(base: Scored, candidate: Scored): Spread {
  const discordant = countDiscordant(base.scores, candidate.scores);
  const n = candidate.scores.length;
  const { worse } = mcNemar(discordant);
  return {
    dropCi: pairedDropInterval(discordant, n),
    discordant: { ...discordant, p: worse },
    variance: (discordant.lost + discordant.gained) / n,
    least: samplesWithoutChange,
  };
}

function drawnSpread(base: Scored, candidate: Scored, seed: number): Spread {
  const sign = candidate.higherIsBetter ? 1 : -1;
  const of = ofMean(candidate);
  const figure = (before: number, after: number): number => sign * (of(before) - of(after));
  const { interval, standardError } = bootstrap([base.scores, candidate.scores], figure, {
    random: randomNumbers(seed),
  });
  return { dropCi: interval, variance: standardError ** 2 * candidate.scores.length, least: () => 0 };
}

function weighedSpread(base: Scored, candidate: Scored, seed: number): Spread | undefined {
  const sign = candidate.higherIsBetter ? 1 : -1;
  const n = candidate.scores.length;
  const drop = (weights: ArrayLike<number>): number[] => [
    sign * ((base.resampled?.(weights) ?? Number.NaN) - (candidate.resampled?.(weights) ?? Number.NaN)),
  ];
  const [drawn] = bootstrapWeights(n, drop, { random: randomNumbers(seed), cost: 2 * (candidate.cost ?? n) });
  return drawn && { dropCi: drawn.interval, variance: drawn.standardError ** 2 * n, least: () => 0 };
}

/** 95 % interval of a metric on one model: Wilson's for right and wrong, else the bootstrap. Undefined without finite scores. */
export function metricInterval(result: Scored, seed: number): readonly [low: number, high: number] | undefined {
  const { scores, resampled } = result;
  if (scores.length === 0 || !isDrawable(result) || !Number.isFinite(result.value)) return undefined;
  if (isRightOrWrong(result)) return wilsonInterval(scores.filter((score) => score === 1).length, scores.length);
  const random = randomNumbers(seed);
  if (resampled)
    return bootstrapWeights(scores.length, (weights) => [resampled(weights)], { random, cost: result.cost ?? 0 })[0]
      ?.interval;
  return bootstrap([scores], ofMean(result), { random }).interval;
}

const ofMean = ({ ofMean: of }: Scored): ((mean: number) => number) => of ?? ((mean) => mean);

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
