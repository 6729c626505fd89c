import { setImmediate } from 'node:timers/promises';
import { Bench } from 'tinybench';
import { shuffled } from '../data/shuffle.ts';
import { bug } from '../errors.ts';
import type { Tensor } from '../ir/tensor.ts';
import { quantile } from '../kernels/bootstrap.ts';
import { randomNumbers } from '../kernels/random.ts';
import type { Latency } from '../report/report.ts';
import { adaptFeeds } from './compare.ts';
import type { Session } from './session.ts';
import { median, pairedRatio, relativeMad, sorted } from './stats.ts';

/**
 * Sessions that are timed side by side are opened with these: threads of one session must not go on spinning while
 * another one runs.
 */
export const benchSessionExtra: Readonly<Record<string, string>> = { 'session.force_spinning_stop': '1' };

/** One model to time. */
export interface BenchSubject {
  readonly name: string;
  readonly session: Session;
}

export interface BenchOptions {
  /** Wall time for each subject's timed runs, default 2000 ms. Slow models run at least `minRounds` rounds. */
  readonly timeMs?: number;
  readonly minRounds?: number;
  readonly maxRounds?: number;
  /** Order of the subjects within rounds, and the bootstrap. */
  readonly seed?: number;
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
  /** Sentences about what makes the figures doubtful; empty when the machine was quiet. */
  readonly warnings: readonly string[];
}

/** A block of inferences of one subject takes about this long, so that caches are warm and rounds are many. */
const blockMs = 10;
/** Blocks of at least this many inferences leave their first one out: it pays for the change of subject. */
const settleFrom = 4;
/** Above this spread the medians of two runs of the same file differ visibly. */
const noisySpread = 0.1;

class Runner {
  readonly subject: BenchSubject;
  readonly rounds: number[][] = [];
  warmup = 0;
  #blockLength = 1;
  readonly #infer: () => Promise<void>;

  constructor(subject: BenchSubject, feeds: ReadonlyMap<string, Tensor>) {
    this.subject = subject;
    this.#infer = subject.session.bind(adaptFeeds(feeds, subject.session.inputs));
  }

  /** Runs until the pace no longer improves: the median of a window is within 3 % of the one before, or time is up. */
  async warm(budgetMs: number, signal: AbortSignal | undefined): Promise<void> {
    const started = performance.now();
    let before = Number.POSITIVE_INFINITY;
    let window = 1;
    for (;;) {
      signal?.throwIfAborted();
      const times = await this.#time(window);
      const pace = median(times);
      this.warmup += window;
      // By the fastest: what else the machine does at this moment must not give one subject shorter blocks than another.
      this.#blockLength = Math.max(1, Math.min(100, Math.round(blockMs / Math.min(...times))));
      const settled = this.warmup >= 4 && pace > before * 0.97;
      if (settled || performance.now() - started > budgetMs) return;
      before = pace;
      window = Math.max(2, Math.min(20, this.#blockLength));
    }
  }

  async round(): Promise<void> {
    // WebAssembly runs on this thread without ever waiting: a signal needs a turn of the event loop to come through.
    await setImmediate();
    if (this.#blockLength >= settleFrom) await this.#infer();
    this.rounds.push(await this.#time(this.#blockLength));
  }

  /** Times single inferences, `count` in a row; tinybench holds the clock, rounds and order across subjects are ours. */
  async #time(count: number): Promise<number[]> {
    const timer = new Bench({ warmup: false, time: 0, iterations: count, retainSamples: true, throws: true });
    timer.add(this.subject.name, this.#infer, { async: true });
    const [task] = await timer.run();
    if (task?.result.state !== 'completed') return bug(`tinybench ended in state ${task?.result.state}`);
    return [...(task.result.latency.samples ?? [])];
  }
}

/**
 * Times the subjects side by side in this process: rounds in which each runs a short block, in random order, so that
 * what slows the machine for a while slows all alike.
 * @param feeds inputs of the base model; cast where another subject takes other types.
 * @throws UserError when a subject cannot run on the inputs.
 */
export async function bench(
  subjects: readonly BenchSubject[],
  feeds: ReadonlyMap<string, Tensor>,
  options: BenchOptions = {},
): Promise<BenchReport> {
  const { timeMs = 2000, minRounds = 9, maxRounds = 1000, seed = 0, signal } = options;
  const runners = subjects.map((subject) => new Runner(subject, feeds));
  const base = runners[0] ?? bug('nothing to time');
  for (const runner of runners) await runner.warm(timeMs / 4, signal);
  const random = randomNumbers(seed);
  const budget = timeMs * runners.length;
  const started = performance.now();
  for (let round = 0; round < maxRounds; round++) {
    const elapsed = performance.now() - started;
    if (round >= minRounds && elapsed > budget) break;
    options.onProgress?.(Math.min(1, Math.min(elapsed / budget, round < minRounds ? round / minRounds : 1)));
    for (const runner of shuffled(runners, Math.floor(random() * 2 ** 32))) {
      signal?.throwIfAborted();
      await runner.round();
    }
  }
  options.onProgress?.(1);
  const results = runners.map((runner) => summarize(runner, base, seed));
  return { results, warnings: warningsFor(results) };
}

function summarize(runner: Runner, base: Runner, seed: number): BenchResult {
  const samples = sorted(runner.rounds.flat());
  // Paired by round and reduced to each round's median, so that every moment of the benchmark weighs the same.
  const { ratio, interval } = pairedRatio(runner.rounds.map(median), base.rounds.map(median), { seed });
  return {
    name: runner.subject.name,
    latency: {
      p50: quantile(samples, 0.5),
      p90: quantile(samples, 0.9),
      p99: quantile(samples, 0.99),
      samples: samples.length,
      ratioToBase: ratio,
      ratioCi: interval,
    },
    rounds: runner.rounds,
    warmup: runner.warmup,
    spread: relativeMad([...samples]),
    sessionMs: runner.subject.session.createMs,
  };
}

function warningsFor(results: readonly BenchResult[]): string[] {
  return results
    .filter((result) => result.spread > noisySpread)
    .map(
      (result) =>
        `Timings of "${result.name}" scatter by ${(result.spread * 100).toFixed(0)} % around their median: the machine is busy; close other programs or give the benchmark more time.`,
    );
}
