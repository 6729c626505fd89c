import { Bench } from 'tinybench';
import { bug } from '../errors.ts';
import { adaptFeeds } from './compare.ts';
import { unpackTask, type WireTensor } from './isolated-wire.ts';
import { openSession, type SessionOptions } from './session.ts';

/** Entry of the child processes that `throughput.ts` starts: opens, warms up, waits for the signal, runs for a while. */

export interface LoadTask {
  readonly model: string;
  readonly feeds: readonly WireTensor[];
  readonly options: SessionOptions;
  readonly warmMs: number;
  readonly runMs: number;
}
export type LoadMessage = LoadTask | 'go';
export type LoadAnswer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly times: readonly number[]; readonly elapsedMs: number }
  | { readonly kind: 'failed'; readonly why: string };

let go: () => void = () => undefined;
const started = new Promise<void>((resolve) => {
  go = resolve;
});

process.on('message', (message: LoadMessage) => {
  if (message === 'go') go();
  else
    work(message).then(
      (answer) => finish(answer),
      (error: unknown) => finish({ kind: 'failed', why: error instanceof Error ? error.message : String(error) }),
    );
});

async function work(task: LoadTask): Promise<LoadAnswer> {
  const session = await openSession(task.model, { ...task.options, label: 'the file' });
  const time = session.timer(adaptFeeds(unpackTask(task.feeds), session.inputs));
  await time({ count: 1, settleMs: task.warmMs });
  process.send?.({ kind: 'ready' } satisfies LoadAnswer);
  await started;
  // Here tinybench drives: its cost of 0.3 µs a call, too much where two models are held against each other (bench-runner.ts),
  // is nothing beside what several processes cost each other.
  const bench = new Bench({ time: task.runMs, iterations: 1, warmup: false, retainSamples: true, throws: true });
  bench.add('inference', async () => {
    await time({ count: 1, settleMs: 0 });
  });
  const start = performance.now();
  const [{ result } = bug('tinybench ran no task')] = await bench.run();
  const elapsedMs = performance.now() - start;
  if (result.state !== 'completed') throw bug(`tinybench ended as ${result.state}`);
  return { kind: 'done', times: result.latency.samples ?? [], elapsedMs };
}

/** Leaves at once: nothing is left to save. */
function finish(answer: LoadAnswer): void {
  process.send?.(answer, () => process.exit(0));
}
