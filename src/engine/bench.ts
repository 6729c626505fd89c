import { shuffled } from '../data/shuffle.ts';
import { bug } from '../errors.ts';
import type { Tensor } from '../ir/tensor.ts';
import { quantile } from '../kernels/bootstrap.ts';
import { randomNumbers } from '../kernels/random.ts';
import type { Latency } from '../report/report.ts';
import type { TimingNoise } from '../report/timing.ts';
import { type BenchSubject, Runner } from './bench-runner.ts';
import { judgeNoise, LoadMeter, noiseWarnings, paceOf } from './noise.ts';
import type { Session } from './session.ts';
import { callOf, pairedRatio, relativeMad, sorted } from './stats.ts';

/**
 * Native sessions that are timed side by side are opened with these. By default threads go on spinning for about 30 ms after
 * a run, and would take the processor from the next subject; after 1 ms they wait. In a loop of inferences the pace is the
 * same as by default (measured: 0.910 ms against 0.916 ms); `session.force_spinning_stop` instead makes small models up to
 * 70 % slower than they are in use.
 */
export const benchSessionExtra: Readonly<Record<string, string>> = { 'session.intra_op.spin_duration_us': '1000' };

export interface BenchOptions {
  /** Wall time for each subject's blocks, default 2000 ms. Slow models run at least `minRounds` rounds. */
  readonly timeMs?: number;
  /** Measuring goes on up to this multiple of the time while an interval is wider than `wantedHalfWidth`; default 3. */
  readonly extendTo?: number;
  readonly minRounds?: number;
  readonly maxRounds?: number;
  /** Order of the subjects within rounds, and the bootstrap. */
  readonly seed?: number;
  /** A second session of the first subject's file: what it differs by is the error of the method here. */
  readonly control?: Session;
  /** False where other processes do the work (a browser): their load is then not taken for noise. */
  readonly ownProcess?: boolean;
  readonly signal?: AbortSignal;
  /** Share of the work done, 0 to 1. */
  readonly onProgress?: (done: number) => void;
}

export interface BenchResult {
  readonly name: string;
  readonly latency: Latency;
  /** Every timed inference, milliseconds, by round. */
  readonly rounds: readonly (readonly number[])[];
  /** Inferences before the first timed one. */
  readonly warmup: number;
  /** Median absolute deviation / median of the timed inferences. */
  readonly spread: number;
  readonly sessionMs: number;
}

export interface BenchReport {
  /** In the order of the subjects; the first is the base of all ratios. */
  readonly results: readonly BenchResult[];
  readonly noise: TimingNoise;
  /** Sentences about what makes the figures doubtful; empty when the machine was quiet. */
  readonly warnings: readonly string[];
}

/** Half of an interval of the ratio: with this a slowdown of 10 % is told from none, and one of 5 % mostly. */
const wantedHalfWidth = 0.03;

/**
 * Times the subjects side by side in this process: rounds in which each runs a short block, in random order, so that
 * what slows the machine for a while slows all alike. When time is over and intervals are still wide, it goes on within
 * bounds; the width decides, never the result.
 * @param feeds inputs of the base model; cast where another subject takes other types.
 * @throws UserError when a subject cannot run on the inputs.
 */
export async function bench(
  subjects: readonly BenchSubject[],
  feeds: ReadonlyMap<string, Tensor>,
  options: BenchOptions = {},
): Promise<BenchReport> {
  const { timeMs = 2000, extendTo = 3, minRounds = 9, maxRounds = 2000, seed = 0, control, signal } = options;
  const runners = subjects.map((subject) => new Runner(subject, feeds));
  const base = runners[0] ?? bug('nothing to time');
  const twin = control && new Runner({ name: base.name, session: control }, feeds);
  const all = twin ? [...runners, twin] : runners;
  for (const runner of all) await runner.warm(timeMs / 4, signal);
  const random = randomNumbers(seed);
  const budget = timeMs * all.length;
  const meter = new LoadMeter();
  const started = performance.now();
  let extended = false;
  for (let round = 0; round < maxRounds; round++) {
    const elapsed = performance.now() - started;
    if (round >= minRounds && elapsed > budget) {
      if (elapsed > budget * extendTo || !tooWide(runners, base, seed)) break;
      extended = true;
    }
    options.onProgress?.(Math.min(1, elapsed / budget, Math.max(round / minRounds, 0)));
    for (const runner of shuffled(all, Math.floor(random() * 2 ** 32))) {
      signal?.throwIfAborted();
      await runner.round(all.length === 1);
    }
  }
  options.onProgress?.(1);
  const others = options.ownProcess === false ? undefined : meter.others();
  const noise = judgeNoise({ runners: all, control: twin && ratioOf(twin, base, all, seed), others, extended });
  const results = runners.map((runner) => summarize(runner, base, all, noise, seed));
  return { results, noise, warnings: noiseWarnings(noise) };
}

/** Few resamples suffice to see whether more rounds are needed. */
function tooWide(runners: readonly Runner[], base: Runner, seed: number): boolean {
  const by = paceOf(runners);
  return runners.some((runner) => {
    if (runner === base) return false;
    const { interval } = pairs(runner, base, by, { seed, resamples: 200 });
    return (interval[1] - interval[0]) / 2 > wantedHalfWidth * Math.max(1, interval[0]);
  });
}

/** Paired by round: each round weighs the same, and what slowed one subject slowed the other too. */
function ratioOf(
  runner: Runner,
  base: Runner,
  all: readonly Runner[],
  seed: number,
): NonNullable<TimingNoise['control']> {
  const { ratio, interval } = pairs(runner, base, paceOf(all), { seed });
  return { ratio, ci: interval };
}

function pairs(
  runner: Runner,
  base: Runner,
  by: 'median' | 'fastest',
  options: { readonly seed: number; readonly resamples?: number },
): ReturnType<typeof pairedRatio> {
  const count = Math.min(runner.blockLength, base.blockLength);
  return pairedRatio(runner.paces(by, count), base.paces(by, count), options);
}

/** Even steps from the fastest to the slowest inference. */
const quantileSteps = 40;

function summarize(
  runner: Runner,
  base: Runner,
  all: readonly Runner[],
  noise: TimingNoise,
  seed: number,
): BenchResult {
  const samples = sorted(runner.rounds.flat());
  const { ratio, ci } = ratioOf(runner, base, all, seed);
  return {
    name: runner.name,
    latency: {
      p50: quantile(samples, 0.5),
      p90: quantile(samples, 0.9),
      p95: quantile(samples, 0.95),
      p99: quantile(samples, 0.99),
      samples: samples.length,
      distribution: Array.from({ length: quantileSteps + 1 }, (_, at) => quantile(samples, at / quantileSteps)),
      ratioToBase: ratio,
      ratioCi: ci,
      ...(runner !== base && { call: callOf(ratio, ci, noise.margin) }),
    },
    rounds: runner.rounds,
    warmup: runner.warmup,
    spread: relativeMad([...samples]),
    sessionMs: runner.session.createMs,
  };
}
