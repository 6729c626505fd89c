import { availableParallelism } from 'node:os';
import { openSession } from '../engine/session.ts';
import { throughput } from '../engine/throughput.ts';
import { tensorFromBytes } from '../ir/tensor.ts';
import type { GoldenCase } from '../target/target.ts';
import { fromGolden } from './golden.ts';

/** Milliseconds in which sizes are tried; a model of which a single run takes longer is tried at few sizes. */
const budgetMs = 3000;
const largest = 64;

/**
 * Rows per run that answer most rows per second on one thread: 1, 2, 4 … are timed, the smallest within 5 % of the best is taken.
 * Undefined where nothing was recorded to time it with, or the model does not take several rows.
 */
export async function bestBatch(file: string, golden: readonly GoldenCase[]): Promise<number | undefined> {
  const [first] = golden;
  if (!takesRows(first)) return undefined;
  const session = await openSession(file, { label: 'batch sizes', threads: 1 });
  const rates: { rows: number; rate: number }[] = [];
  try {
    const begun = performance.now();
    for (let rows = 1; rows <= largest && performance.now() - begun < budgetMs; rows *= 2) {
      const feeds = new Map(first.inputs.map((input) => [input.name, repeated(fromGolden(input), rows)]));
      let fastest = Number.POSITIVE_INFINITY;
      for (let turn = 0; turn < 6; turn++) {
        const at = performance.now();
        await session.run(feeds);
        if (turn > 0) fastest = Math.min(fastest, performance.now() - at);
      }
      rates.push({ rows, rate: rows / fastest });
    }
  } finally {
    await session.dispose();
  }
  const best = Math.max(...rates.map(({ rate }) => rate));
  return rates.find(({ rate }) => rate >= 0.95 * best)?.rows;
}

/** A recorded case of one row, of which several can be made. */
function takesRows(first: GoldenCase | undefined): first is GoldenCase {
  return first?.inputs.every(({ dtype, shape }) => dtype !== 'string' && shape[0] === 1) === true;
}

/** What one session with all threads has to gain over a session for each thread, which takes more memory and is otherwise the better server. */
const gainOfThreads = 1.05;

/**
 * A session for each CPU, or one with as many threads: whichever answers more rows per second, both timed in processes of their own.
 * Undefined where this machine has fewer CPUs, or nothing was recorded to time it with.
 */
export async function bestSplit(
  file: string,
  golden: readonly GoldenCase[],
  { rows, cpus, signal }: { readonly rows: number; readonly cpus: number; readonly signal: AbortSignal },
): Promise<{ readonly instances: number; readonly threads: number } | undefined> {
  const [first] = golden;
  if (availableParallelism() < cpus || first === undefined) return undefined;
  if (rows > 1 && !takesRows(first)) return undefined;
  const feeds = new Map(
    first.inputs.map((input) => [input.name, rows > 1 ? repeated(fromGolden(input), rows) : fromGolden(input)]),
  );
  const rate = async (instances: number, threads: number): Promise<number> =>
    (await throughput(file, feeds, { concurrency: instances, threads, runMs: 500, signal })).inferencesPerSecond;
  const [many, one] = [await rate(cpus, 1), await rate(1, cpus)];
  return one > gainOfThreads * many ? { instances: 1, threads: cpus } : { instances: cpus, threads: 1 };
}

/** The one row of a tensor, `rows` times. */
function repeated(tensor: ReturnType<typeof fromGolden>, rows: number): ReturnType<typeof fromGolden> {
  const one = tensor.bytes();
  const whole = new Uint8Array(one.length * rows);
  for (let row = 0; row < rows; row++) whole.set(one, row * one.length);
  return tensorFromBytes(tensor.dtype, [rows, ...tensor.shape.slice(1)], whole);
}
