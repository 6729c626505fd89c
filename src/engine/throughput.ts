import { type ChildProcess, fork } from 'node:child_process';
import { UserError } from '../errors.ts';
import type { Tensor } from '../ir/tensor.ts';
import type { Throughput } from '../report/timing.ts';
import { packTask } from './isolated-wire.ts';
import { programBeside } from './program-beside.ts';
import type { SessionOptions } from './session.ts';
import { median } from './stats.ts';
import type { LoadAnswer, LoadMessage } from './throughput-entry.ts';

export interface ThroughputOptions extends Pick<SessionOptions, 'provider' | 'extra' | 'threads'> {
  /** How many processes run at the same time. */
  readonly concurrency: number;
  /** Measured time, default 1000 ms, after `warmMs` of warming up (default 300). */
  readonly runMs?: number;
  readonly warmMs?: number;
  readonly signal?: AbortSignal;
}

const entry = programBeside(import.meta.url, 'throughput-entry');

/**
 * Inferences per second with several at once. onnxruntime-node computes on the thread that calls it, so a server that wants
 * several at once has several processes (or workers), each with a session of its own; so has this. All warm up, then run
 * at the same time.
 * @throws UserError when a process fails or dies.
 */
export async function throughput(
  model: string,
  feeds: ReadonlyMap<string, Tensor>,
  options: ThroughputOptions,
): Promise<Throughput> {
  const { concurrency, runMs = 1000, warmMs = 300, signal, provider, extra, threads } = options;
  signal?.throwIfAborted();
  const task: LoadMessage = {
    model,
    feeds: packTask(feeds),
    options: {
      ...(provider !== undefined && { provider }),
      ...(extra && { extra }),
      ...(threads !== undefined && { threads }),
    },
    warmMs,
    runMs,
  };
  const workers = Array.from({ length: concurrency }, () => new LoadWorker());
  const stop = (): void => workers.forEach((worker) => worker.kill());
  signal?.addEventListener('abort', stop, { once: true });
  try {
    await Promise.all(workers.map((worker) => worker.ask(task, 'ready')));
    const answers = await Promise.all(workers.map((worker) => worker.ask('go', 'done')));
    signal?.throwIfAborted();
    const rates = answers.map((one) => (one.kind === 'done' ? (1000 * one.times.length) / one.elapsedMs : 0));
    return {
      concurrency,
      inferencesPerSecond: rates.reduce((sum, rate) => sum + rate, 0),
      p50: median(answers.flatMap((one) => (one.kind === 'done' ? one.times : []))),
    };
  } finally {
    signal?.removeEventListener('abort', stop);
    stop();
  }
}

class LoadWorker {
  readonly #child: ChildProcess = fork(entry, [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    execArgv: process.execArgv.filter((flag) => !flag.startsWith('--inspect')),
  });
  /** How it ended, which may be while nobody asks. */
  #end: string | undefined;

  constructor() {
    this.#child.once('close', (code: number | null, by: string | null) => {
      this.#end = by ?? `exit code ${code}`;
    });
    this.#child.once('error', (error) => {
      this.#end = error.message;
    });
  }

  /** Sends a message and waits for the answer of this kind. */
  ask(message: LoadMessage, kind: LoadAnswer['kind']): Promise<LoadAnswer> {
    return new Promise((resolve, reject) => {
      const onMessage = (answer: LoadAnswer): void => {
        if (answer.kind === kind) done(() => resolve(answer));
        else if (answer.kind === 'failed') done(() => reject(new UserError('throughput', answer.why)));
      };
      const onClose = (): void => {
        done(() => reject(new UserError('throughput', `a process that ran the model died (${this.#end}).`)));
      };
      const done = (settle: () => void): void => {
        this.#child.off('message', onMessage);
        this.#child.off('close', onClose);
        settle();
      };
      this.#child.on('message', onMessage);
      this.#child.on('close', onClose);
      // One that is gone already has closed its channel, and will not close again.
      if (this.#end !== undefined) onClose();
      else
        this.#child.send(message, (error) => {
          this.#end ??= error?.message;
          if (error) onClose();
        });
    });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
