/** What ONNX Runtime sessions answer when nothing else is to be done: the mark that a server is held against. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/** Inputs that take turns, rows of all runs together: as many as a server has in memory with the 32 connections of the bench. */
const fresh = 32;

/**
 * @param options.inputs 'same': one input again and again, which stays in the caches; 'new': so many take turns, as a server is never asked the same bytes
 *   in the same memory twice in a row. Measured with MobileNet (307 kB a row, 1 MB of second-level cache): 1.67 and 1.73 ms a run
 * @returns { perSecond, perCpuSecond, p50 }: rows a second of all sessions, rows for each second of CPU, milliseconds of one run
 */
export async function alone({ dir, manifest, workers, threads, rows, seconds, inputs = 'same' }) {
  const gate = new SharedArrayBuffer(4);
  const parts = await Promise.all(
    Array.from({ length: workers }, () => {
      const worker = new Worker(new URL(import.meta.url), {
        workerData: { dir, manifest, workers, threads, rows, seconds, inputs, gate },
      });
      return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    }),
  );
  const perSecond = parts.reduce((sum, one) => sum + one.perSecond, 0);
  // All threads are in the CPU time of the process, which each of them measures over its own loop.
  return { perSecond, perCpuSecond: (perSecond * seconds) / parts[0].cpu, p50: parts[0].p50 };
}

async function measure() {
  const { dir, manifest, workers, threads, rows, seconds, inputs, gate } = workerData;
  const ort = await import('onnxruntime-node');
  const { InferenceSession, Tensor } = ort.default ?? ort;
  // As the server opens its own.
  const options = { intraOpNumThreads: threads, interOpNumThreads: 1 };
  const session = await InferenceSession.create(join(dir, manifest.model.files[0].path), options);
  const stores = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array };
  const feedsOf = () =>
    Object.fromEntries(
      manifest.golden[0].inputs.map(({ name, dtype, shape, file }) => {
        const one = readFileSync(join(dir, file));
        const whole = new Uint8Array(one.length * rows);
        for (let row = 0; row < rows; row++) whole.set(one, row * one.length);
        return [name, new Tensor(dtype, new stores[dtype](whole.buffer), [shape[0] * rows, ...shape.slice(1)])];
      }),
    );
  const feeds = Array.from({ length: inputs === 'new' ? Math.ceil(fresh / rows) : 1 }, feedsOf);
  for (let i = 0; i < 5; i++) await session.run(feeds[i % feeds.length]);
  const open = new Int32Array(gate);
  Atomics.add(open, 0, 1);
  while (Atomics.load(open, 0) < workers) await new Promise((resolve) => setTimeout(resolve, 1));
  const times = [];
  const cpu = process.cpuUsage();
  const begun = performance.now();
  while (performance.now() - begun < seconds * 1000) {
    const at = performance.now();
    await session.run(feeds[times.length % feeds.length]);
    times.push(performance.now() - at);
  }
  const perSecond = (times.length * rows * 1000) / (performance.now() - begun);
  const { user, system } = process.cpuUsage(cpu);
  // A thread that ends with an open session takes the process with it now and then.
  await session.release();
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port between threads has no origin
  parentPort.postMessage({ perSecond, cpu: (user + system) / 1e6, p50: times.sort((a, b) => a - b)[times.length >> 1] });
}

if (!isMainThread) await measure();
else if (process.argv[1] === import.meta.filename) process.stdout.write(JSON.stringify(await alone(JSON.parse(process.argv[2]))));
