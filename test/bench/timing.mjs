/**
 * Whether the benchmark can be believed: a planted slowdown of 10 % is called, identical files are not, and the benchmark's
 * own median is that of a bare loop around session.run.
 *
 *   npm run build && node test/bench/timing.mjs [--runs 10] [--seconds 1] [model.onnx …]
 *
 * Twice as many runs with identical files as with a slowdown. Run it on a quiet machine and on a busy one: both count.
 */
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bench, benchSessionExtra } from '../../dist/src/engine/bench.js';
import { syntheticFeeds } from '../../dist/src/engine/feeds.js';
import { loadRuntime } from '../../dist/src/engine/runtime.js';
import { openSession } from '../../dist/src/engine/session.js';
import { median } from '../../dist/src/engine/stats.js';
import { loadModel } from '../../dist/src/onnx/load.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string', default: '10' }, seconds: { type: 'string', default: '1' } },
});
const runs = Number(values.runs);
const timeMs = 1000 * Number(values.seconds);
const models = positionals.length > 0 ? positionals : [fileURLToPath(new URL('../../models/digits/model.onnx', import.meta.url))];

/** The same session, each inference followed by a wait of `share` of the model's pace, which the clock sees. */
function slowed(session, share, pace) {
  return {
    ...facts(session),
    timer(feeds) {
      const time = session.timer(feeds);
      return async ({ count, settleMs }) => {
        await time({ count: 0, settleMs });
        const times = [];
        for (let at = 0; at < count; at++) {
          const start = performance.now();
          await time({ count: 1, settleMs: 0 });
          for (const until = performance.now() + share * pace; performance.now() < until; );
          times.push(performance.now() - start);
        }
        return times;
      };
    },
  };
}
const facts = ({ provider, inputs, outputs, createMs }) => ({ provider, inputs, outputs, createMs });

for (const path of models) {
  const model = await loadModel(path);
  const open = () => openSession(path, { extra: benchSessionExtra });
  const probe = await open();
  const [{ feeds }] = await syntheticFeeds(model, probe, { seed: 0 });
  const pace = Math.min(...(await probe.timer(feeds)({ count: 200, settleMs: 100 })));
  await probe.dispose();
  console.log(`${path}: ${(1000 * pace).toFixed(0)} µs an inference when undisturbed`);
  for (const [what, share, count] of [
    ['slowdown of 10 %', 0.1, runs],
    ['identical files', 0, 2 * runs],
  ]) {
    const calls = {};
    const ratios = [];
    const others = [];
    const started = performance.now();
    for (let run = 0; run < count; run++) {
      const sessions = [await open(), await open(), await open()];
      const [base, other, control] = sessions.map((session, at) => slowed(session, at === 1 ? share : 0, pace));
      const subjects = [
        { name: 'base', session: base },
        { name: 'other', session: other },
      ];
      const { results, noise } = await bench(subjects, feeds, { timeMs, seed: run, control });
      const { call, ratioToBase } = results[1].latency;
      calls[call] = (calls[call] ?? 0) + 1;
      ratios.push(ratioToBase);
      others.push(noise.others ?? 0);
      for (const session of sessions) await session.dispose();
    }
    const sorted = ratios.toSorted((a, b) => a - b).map((ratio) => ratio.toFixed(3));
    const seconds = (performance.now() - started) / 1000 / count;
    console.log(
      `  ${what}, ${count} runs of ${seconds.toFixed(1)} s: ${JSON.stringify(calls)}; ratios ${sorted[0]} … ${sorted[Math.floor(count / 2)]} … ${sorted.at(-1)}; other programs took ${(100 * median(others)).toFixed(0)} % of the processors`,
    );
  }
  await overhead(path, feeds, open);
}

/** The benchmark's p50 against a loop around session.run with the runtime's own session and default options, by turns. */
async function overhead(path, feeds, open) {
  const ort = await loadRuntime();
  const ratios = [];
  for (let pair = 0; pair < 9; pair++) {
    const raw = await ort.InferenceSession.create(path, { logSeverityLevel: 4 });
    const session = await open();
    const input = Object.fromEntries(
      [...feeds].map(([name, tensor]) => [name, new ort.Tensor(tensor.dtype, asArray(tensor), [...tensor.shape])]),
    );
    const loop = async (ms) => {
      const times = [];
      for (const end = performance.now() + ms; performance.now() < end; ) {
        const start = performance.now();
        await raw.run(input);
        times.push(performance.now() - start);
      }
      return median(times);
    };
    await loop(200);
    const bare = [];
    const ours = [];
    for (let turn = 0; turn < 5; turn++) {
      bare.push(await loop(150));
      // Threads of the bare session spin on for 30 ms.
      await new Promise((resolve) => setTimeout(resolve, 50));
      ours.push((await bench([{ name: 'x', session }], feeds, { timeMs: 150 })).results[0].latency.p50);
    }
    ratios.push(median(ours) / median(bare));
    await raw.release();
    await session.dispose();
  }
  const sorted = ratios.toSorted((a, b) => a - b).map((ratio) => ratio.toFixed(3));
  console.log(`  median of the benchmark / of a bare loop, 9 pairs of sessions: ${sorted.join(' ')}`);
}

function asArray(tensor) {
  const kinds = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array, float64: Float64Array };
  return new kinds[tensor.dtype](tensor.bytes().slice().buffer);
}
