import { cpus } from 'node:os';
import { smallestEffect } from '../report/facts.ts';
import type { TimingNoise } from '../report/timing.ts';
import type { Runner } from './bench-runner.ts';
import { median, relativeMad } from './stats.ts';

/** Above this spread the medians of two runs of the same file differ visibly. */
const noisySpread = 0.1;
/** Above this drift something changed while measuring: the clock of the processor, or another program. */
const noisyDrift = 0.1;
/** Where others take more than this of the processors, single inferences wait for them. */
const noisyShare = 0.15;
/**
 * How much the middle inference of a block may lie above its fastest before the machine counts as disturbed. On a quiet
 * machine it is 1–3 %; with one other busy program on two cores it is 20 % and more.
 */
const disturbed = 0.05;

/**
 * Whether a block's middle or its fastest inference stands for its pace. Interruptions only ever add time, so on a disturbed
 * machine the fastest says more: of 24 planted slowdowns of 10 %, recorded under a load of 7 on two cores, it found 23 where
 * medians found 18. Decided over all subjects together, so that none is favoured.
 */
export function paceOf(runners: readonly Runner[]): 'median' | 'fastest' {
  const excess = runners.flatMap(({ rounds }) => rounds.map((times) => median(times) / Math.min(...times) - 1));
  return median(excess) > disturbed ? 'fastest' : 'median';
}

/** How busy the processors are with other programs. */
export class LoadMeter {
  readonly #busy = busyMs();
  readonly #own = process.cpuUsage();
  readonly #started = performance.now();

  /** Share of the processors' time since the meter was made that other programs took, 0…1; undefined where the system does not tell. */
  others(): number | undefined {
    const own = process.cpuUsage(this.#own);
    const capacity = (performance.now() - this.#started) * cpus().length;
    if (!(capacity > 0) || this.#busy === 0) return undefined;
    const others = busyMs() - this.#busy - (own.user + own.system) / 1000;
    return Math.min(1, Math.max(0, others / capacity));
  }
}

function busyMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
}

export interface NoiseInput {
  readonly runners: readonly Runner[];
  /** A second session of base against the first. */
  readonly control: TimingNoise['control'];
  readonly others: number | undefined;
  readonly extended: boolean;
}

/** What the timings themselves, a second session of base and the system say about the machine. */
export function judgeNoise({ runners, control, others, extended }: NoiseInput): TimingNoise {
  const spread = Math.max(0, ...runners.map(({ rounds }) => relativeMad(rounds.flat())));
  const drift = driftOf(runners[0]?.paces(paceOf(runners)) ?? []);
  const margin = Math.max(smallestEffect, Math.abs((control?.ratio ?? 1) - 1));
  return {
    spread,
    ...(control && { control }),
    ...(others !== undefined && { others }),
    drift,
    margin,
    noisy:
      spread > noisySpread ||
      Math.abs(drift - 1) > noisyDrift ||
      (others ?? 0) > noisyShare ||
      margin > 2 * smallestEffect,
    extended,
  };
}

function driftOf(paces: readonly number[]): number {
  const half = Math.floor(paces.length / 2);
  if (half < 2) return 1;
  return median(paces.slice(-half)) / median(paces.slice(0, half));
}

/** Sentences about what makes the figures doubtful; empty when the machine was quiet. */
export function noiseWarnings(noise: TimingNoise): string[] {
  if (!noise.noisy) return [];
  const signs: string[] = [];
  if ((noise.others ?? 0) > noisyShare)
    signs.push(`other programs took ${percent(noise.others ?? 0)} of the processors`);
  if (noise.spread > noisySpread) signs.push(`inferences scatter by ${percent(noise.spread)} around their median`);
  if (Math.abs(noise.drift - 1) > noisyDrift)
    signs.push(
      `base ran ${percent(Math.abs(noise.drift - 1))} ${noise.drift > 1 ? 'slower' : 'faster'} in the second half`,
    );
  if (noise.margin > 2 * smallestEffect) signs.push(`two sessions of the same file differ by ${percent(noise.margin)}`);
  return [
    `The machine was busy (${signs.join('; ')}): differences below ${percent(noise.margin)} are not told apart; close other programs or give more time (--seconds).`,
  ];
}

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
