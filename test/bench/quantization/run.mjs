import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { bench, benchSessionExtra } from '../../../dist/src/engine/bench.js';
import { compare } from '../../../dist/src/engine/compare.js';
import { evaluate } from '../../../dist/src/engine/evaluate.js';
import { syntheticFeeds } from '../../../dist/src/engine/feeds.js';
import { probe } from '../../../dist/src/engine/isolated.js';
import { openSession } from '../../../dist/src/engine/session.js';
import { UserError } from '../../../dist/src/errors.js';
import { externalFiles } from '../../../dist/src/onnx/external-files.js';
import { loadModel } from '../../../dist/src/onnx/load.js';
import { makeOurs, makeTheirs } from './processes.mjs';

/** Samples that decibels are taken on. */
const comparedSamples = 64;

/** Every job on every model; each row goes to `done` when it is measured. */
export async function runJobs(jobs, subjects, { done, ...options }) {
  for (const job of jobs) {
    for (const subject of subjects) {
      const why = job.skip?.(subject);
      process.stderr.write(`${job.format} · ${subject.name}${why ? `: left out, ${why}` : ''}\n`);
      if (!why) await done(await runJob(job, subject, options));
    }
  }
}

async function runJob(job, subject, { python, seconds }) {
  const dir = await mkdtemp(join(tmpdir(), 'mlpack-bench-'));
  const base = await openSession(subject.file);
  try {
    const judge = await judgeOf(subject, base);
    const made = [];
    for (const [side, list] of Object.entries({ ours: job.ours, theirs: python ? job.theirs : [] })) {
      for (const [at, one] of list.entries()) {
        const file = join(dir, `${side}-${at}.onnx`);
        const result =
          side === 'ours'
            ? await makeOurs(subject.file, file, one, subject.dataDir)
            : await makeTheirs(python, subject.file, file, one, subject.feeds);
        // A tool that found nothing to do has no part in the comparison: its copy would win on the metric.
        if (!result.failed && (await bytesOf(file)) > 0.97 * (await bytesOf(subject.file))) result.failed = 'left the weights as they were';
        made.push({ side, file, name: one.name, ...result, ...(result.failed ? {} : await judge.file(file)) });
      }
    }
    const best = (side) =>
      made
        .filter((one) => one.side === side)
        .sort((a, b) => (b.rank ?? Number.NEGATIVE_INFINITY) - (a.rank ?? Number.NEGATIVE_INFINITY) || (b.sqnrDb ?? 0) - (a.sqnrDb ?? 0))[0];
    const [ours, theirs] = [best('ours'), best('theirs')];
    const ratios = await latencies(subject, judge.feeds, [ours, theirs].filter((one) => one && !one.failed), seconds, job.session);
    const shown = (one) => one && { ...plain(one), ratio: ratios.get(one.file) };
    return {
      model: subject.name,
      format: job.format,
      metric: judge.metric,
      base: judge.base,
      baseBytes: await bytesOf(subject.file),
      ours: shown(ours),
      theirs: shown(theirs),
      all: made.map((one) => ({ side: one.side, ...plain(one) })),
    };
  } finally {
    await base.dispose();
    await rm(dir, { recursive: true });
  }
}

const plain = ({ name, failed, value, sqnrDb, bytes, wallMs, rssBytes }) => ({ name, failed, value, sqnrDb, bytes, wallMs, rssBytes });

/** How files of one model are judged: by the task metric of its data, else by decibels alone. */
async function judgeOf({ dataset, file: baseFile }, base) {
  const synthetic = dataset ? undefined : await syntheticFeeds(await loadModel(baseFile), base, { seed: 0, count: 4 });
  const batches = () => synthetic ?? dataset.batches({ inputs: base.inputs, samples: comparedSamples });
  const task = dataset && (await judgeable(base, dataset)) ? dataset : undefined;
  const before = task && (await evaluate(base, task, { reference: base }));
  let feeds;
  for await (const batch of synthetic ?? dataset.batches({ inputs: base.inputs, samples: 1, batch: 1 })) feeds ??= batch.feeds;
  return {
    feeds,
    metric: before?.metric ?? 'SQNR, dB',
    base: before?.value,
    async file(path) {
      const loads = await probe(path, feeds);
      if (!loads.ok) return { failed: loads.why };
      const session = await openSession(path);
      try {
        const { outputs } = await compare(base, session, batches());
        const sqnrDb = Math.min(...outputs.map((output) => output.sqnrDb));
        const after = task && (await evaluate(session, task, { reference: base }));
        const rank = after ? (after.higherIsBetter ? after.value : -after.value) : sqnrDb;
        return { value: after ? after.value : sqnrDb, rank, sqnrDb, bytes: await bytesOf(path) };
      } catch (error) {
        return { failed: error.message };
      } finally {
        await session.dispose();
      }
    },
  };
}

/** Whether the data has a metric that fits the model's outputs: some data holds inputs alone. */
async function judgeable(base, dataset) {
  try {
    await evaluate(base, dataset, { reference: base, samples: 1 });
    return true;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`  judged by decibels: ${error.message}\n`);
    return false;
  }
}

/** Median latencies as ratios to the float model's, all interleaved. */
async function latencies({ file }, feeds, sides, seconds, extra = {}) {
  const files = [file, ...sides.map((side) => side.file)];
  const sessions = [];
  try {
    for (const path of files) sessions.push(await openSession(path, { extra: { ...benchSessionExtra, ...extra } }));
    const { results } = await bench(
      sessions.map((session, at) => ({ name: files[at], session })),
      feeds,
      { timeMs: seconds * 1000 },
    );
    return new Map(results.map(({ name, latency }) => [name, latency.ratioToBase]));
  } finally {
    for (const session of sessions) await session.dispose();
  }
}

/** External data included. */
async function bytesOf(file) {
  let bytes = (await stat(file)).size;
  for (const name of externalFiles(await loadModel(file))) bytes += (await stat(join(dirname(file), name))).size;
  return bytes;
}
