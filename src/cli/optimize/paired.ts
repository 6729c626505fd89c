import { type Metric, metricById } from '../../data/metrics.ts';
import type { Evaluation } from '../../engine/evaluate.ts';
import { bootstrap } from '../../kernels/bootstrap.ts';
import {
  type Discordant,
  mcNemar,
  pairedDropInterval,
  samplesNeeded,
  samplesWithoutChange,
  wilsonInterval,
} from '../../kernels/proportions.ts';
import { randomNumbers } from '../../kernels/random.ts';
import type { Accuracy } from '../../report/report.ts';

type Scored = Pick<Evaluation, 'metric' | 'higherIsBetter' | 'value' | 'samples' | 'scores'>;

export interface PairOptions {
  readonly seed: number;
  /** The drop that is to be told from none: says whether the samples suffice. */
  readonly maxDrop: number;
}

/**
 * The task metric of a candidate beside that of base, with the 95 % interval of the drop: both were judged on the same
 * samples in the same order, so the samples on which they differ decide. Right and wrong: score interval of a paired
 * difference and McNemar's exact test; other scores: paired bootstrap. Without an interval where a score is not finite,
 * and for base beside itself.
 * @throws RangeError when the two were not judged on the same samples
 */
export function pairAccuracy(base: Scored, candidate: Scored, { seed, maxDrop }: PairOptions): Accuracy {
  const { metric, value, samples } = candidate;
  if (base.metric !== metric || base.scores.length !== candidate.scores.length)
    throw new RangeError(
      `cannot pair ${base.metric} of ${base.scores.length} samples with ${metric} of ${candidate.scores.length}`,
    );
  const drop = candidate.higherIsBetter ? base.value - value : value - base.value;
  const accuracy: Accuracy = { metric, value: finite(value), base: finite(base.value), drop: finite(drop), samples };
  const isBase = base === candidate;
  if (isBase || samples === 0 || ![base, candidate].every(({ scores }) => scores.every(Number.isFinite)))
    return accuracy;
  const { variance, least, ...spread } =
    isRightOrWrong(base) && isRightOrWrong(candidate)
      ? countedSpread(base, candidate)
      : drawnSpread(base, candidate, seed);
  const needed = maxDrop > 0 ? Math.max(samplesNeeded(variance, maxDrop), least(maxDrop)) : 0;
  return { ...accuracy, ...spread, ...(needed > samples && { neededSamples: needed }) };
}

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
  const metric = metricById(candidate.metric);
  const sign = candidate.higherIsBetter ? 1 : -1;
  const figure = (before: number, after: number): number => sign * (ofMean(metric, before) - ofMean(metric, after));
  const { interval, standardError } = bootstrap([base.scores, candidate.scores], figure, {
    random: randomNumbers(seed),
  });
  return { dropCi: interval, variance: standardError ** 2 * candidate.scores.length, least: () => 0 };
}

/** 95 % interval of a metric on one model: Wilson's for right and wrong, else the bootstrap. Undefined without finite scores. */
export function metricInterval(result: Scored, seed: number): readonly [low: number, high: number] | undefined {
  const { scores } = result;
  if (scores.length === 0 || !scores.every(Number.isFinite)) return undefined;
  if (isRightOrWrong(result)) return wilsonInterval(scores.filter((score) => score === 1).length, scores.length);
  const metric = metricById(result.metric);
  const figure = (mean: number): number => ofMean(metric, mean);
  return bootstrap([scores], figure, { random: randomNumbers(seed) }).interval;
}

/** Every metric so far follows from the mean of its scores (a test holds them to it), so one score equal to it stands for all. */
const ofMean = (metric: Metric, mean: number): number => metric.value([mean]);

const isRightOrWrong = ({ higherIsBetter, scores }: Scored): boolean =>
  higherIsBetter && scores.every((score) => score === 0 || score === 1);

function countDiscordant(base: readonly number[], candidate: readonly number[]): Discordant {
  let lost = 0;
  let gained = 0;
  for (const [sample, score] of candidate.entries()) {
    const before = base[sample] as number;
    if (score < before) lost++;
    else if (score > before) gained++;
  }
  return { lost, gained };
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
