import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Tensor } from '../ir/tensor.ts';
import { adaptFeeds } from './compare.ts';
import type { Session, Timer } from './session.ts';
import { median } from './stats.ts';

/** One model to time. */
export interface BenchSubject {
  readonly name: string;
  readonly session: Session;
}

/**
 * A block of inferences of one subject takes about this long: long enough for caches and threads to be warm, short enough
 * for many rounds, so that a slow moment of the machine hits all subjects alike.
 */
const blockMs = 12;
/** Untimed inferences before a block take this long: they pay for the change of subject. */
const settleMs = 4;
/** Threads of the subject before go on spinning for 1 ms (`benchSessionExtra`); until then two subjects share the processors. */
const pauseMs = 2;

/** Times one subject, block by block. */
export class Runner {
  readonly name: string;
  readonly session: Session;
  /** Milliseconds of single inferences, by round. */
  readonly rounds: (readonly number[])[] = [];
  /** Inferences before the first timed block. */
  warmup = 0;
  #blockLength = 1;
  #settleMs = 0;
  readonly #time: Timer;

  constructor({ name, session }: BenchSubject, feeds: ReadonlyMap<string, Tensor>) {
    this.name = name;
    this.session = session;
    this.#time = session.timer(adaptFeeds(feeds, session.inputs));
  }

  /** Runs until the pace no longer improves: the fastest of a window is within 3 % of the one before, twice; or time is up. */
  async warm(budgetMs: number, signal: AbortSignal | undefined): Promise<void> {
    const started = performance.now();
    let before = Number.POSITIVE_INFINITY;
    let window = 1;
    let steady = 0;
    for (;;) {
      signal?.throwIfAborted();
      await setImmediate();
      const times = await this.#time({ count: window, settleMs: 0 });
      this.warmup += window;
      // By the fastest: what else the machine does at this moment must not give one subject shorter blocks than another.
      const pace = Math.min(before, ...times);
      this.#blockLength = Math.max(1, Math.min(2000, Math.round(blockMs / pace)));
      this.#settleMs = pace < settleMs ? settleMs : 0;
      steady = pace > before * 0.97 ? steady + 1 : 0;
      if ((this.warmup >= 4 && steady >= 2) || performance.now() - started > budgetMs) return;
      before = pace;
      window = Math.max(2, Math.min(20, this.#blockLength));
    }
  }

  /** @param alone no other subject ran since the last block, so there is nothing to settle after. */
  async round(alone: boolean): Promise<void> {
    // WebAssembly runs on this thread without ever waiting: a signal needs a turn of the event loop to come through.
    await (alone ? setImmediate() : setTimeout(pauseMs));
    this.rounds.push(await this.#time({ count: this.#blockLength, settleMs: alone ? 0 : this.#settleMs }));
  }

  /** Inferences in a block. */
  get blockLength(): number {
    return this.#blockLength;
  }

  /**
   * Pace by round: what the middle inference of a block took, or the fastest.
   * @param count inferences of each block that count: of many the fastest is faster, so two subjects are compared by as many.
   */
  paces(by: 'median' | 'fastest', count = this.#blockLength): number[] {
    return this.rounds.map((times) => (by === 'median' ? median(times) : Math.min(...times.slice(0, count))));
  }
}
