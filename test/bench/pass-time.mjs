// Wall time of each pass that ONNX Runtime's Python tools have too: whole processes on both sides (start and imports included), the same
// samples as arrays, the same method, interleaved, medians. Jobs marked "more" do more on our side: what `optimize` builds.
//
//   npm run build && node test/bench/pass-time.mjs --python /path/to/python [--models DIR …] [--only static,float16] [--rounds 5]
//     [--floor] (beside: the time of a process that only loads the runtime and runs the float model on the samples)
//     [--keep rows.json] (a long run in parts: what the file holds is not measured again) [--json] [--page] (the table into docs/quantization.md)
//
// The interpreter (or MLPACK_BENCH_PYTHON) needs onnx, onnxruntime and onnxscript. Take it on a quiet machine. Compiled code is kept from run
// to run on both sides (V8's in a cache folder of this bench, Python's beside its modules); one run of each goes first and is shown for ours.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import '../support/ts-loader.mjs';
import { arrayDataset } from './quantization/array-dataset.mjs';
import { makeTheirs, runFloor, runMlpack } from './quantization/processes.mjs';
import { openSubjects } from './quantization/subjects.mjs';
import { writePage } from './quantization/table.mjs';
import { timedJobs } from './quantization/time-jobs.mjs';

const { values: flags } = parseArgs({
  options: {
    python: { type: 'string', default: process.env.MLPACK_BENCH_PYTHON },
    models: { type: 'string', multiple: true },
    only: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    keep: { type: 'string' },
    floor: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    page: { type: 'boolean', default: false },
  },
});
if (!flags.python) {
  process.stderr.write('no Python interpreter named (--python or MLPACK_BENCH_PYTHON): there is nothing to compare with\n');
  process.exit(2);
}
const rows = flags.keep && existsSync(flags.keep) ? JSON.parse(readFileSync(flags.keep, 'utf8')) : [];
const wanted = timedJobs.filter(({ name }) => !flags.only || flags.only.split(',').some((part) => name.startsWith(part)));
const work = await mkdtemp(join(tmpdir(), 'mlpack-bench-'));
// Kept code of this bench alone; and no environment of the caller's that turns the keeping off.
process.env.MLPACK_CACHE = join(work, 'cache');
try {
  for (const subject of await openSubjects(flags.models ?? [])) {
    const arrays = subject.calibrated ? await arrayDataset(subject.feeds, join(work, subject.name)) : undefined;
    for (const job of wanted) {
      if (!job.ops.some((op) => subject.ops.has(op)) || (job.data && !subject.calibrated)) continue;
      if (rows.some((row) => row.model === subject.name && row.job === job.name)) continue;
      rows.push(await timed(subject, job, arrays));
      const { ours, theirs } = rows.at(-1);
      process.stderr.write(`${subject.name} · ${job.name}: ${said(ours)} / ${said(theirs)}\n`);
      if (flags.keep) writeFileSync(flags.keep, `${JSON.stringify(rows, undefined, 1)}\n`);
    }
    if (flags.floor && subject.calibrated) {
      const times = [];
      for (let round = 0; round < Number(flags.rounds); round++) times.push((await runFloor(subject.file, subject.feeds)).wallMs);
      process.stderr.write(`${subject.name} · runtime and float model alone: ${(median(times) / 1000).toFixed(2)} s\n`);
    }
    await subject.close();
  }
} finally {
  await rm(work, { recursive: true, force: true });
}
if (flags.page) writePage('times', tableOf(rows));
process.stdout.write(flags.json ? `${JSON.stringify(rows, undefined, 2)}\n` : tableOf(rows));

/** One job on one model, the sides taking turns. */
async function timed(subject, job, arrays) {
  const data = job.data ? ['--data', arrays ?? subject.dataDir] : [];
  // What calibration has counted before would make the clock lie.
  const before = job.command === 'run' ? ['run', subject.file, ...job.ours] : [job.command, subject.file, ...job.ours];
  const sides = {
    ours: () => runMlpack([...before, ...data, '-o', join(work, 'ours.onnx'), '--force', '--quiet', '--no-cache']),
    theirs: () => makeTheirs(flags.python, subject.file, join(work, 'theirs.onnx'), job.theirs, subject.feeds),
  };
  const row = { model: subject.name, job: job.name, kind: job.kind, arrays: !job.data || arrays !== undefined };
  const taken = { ours: [], theirs: [] };
  for (let round = -1; round < Number(flags.rounds); round++) {
    for (const [side, run] of Object.entries(sides)) {
      if (row[side]?.failed) continue;
      const result = await run();
      if (result.failed) row[side] = { failed: result.failed };
      else if (round < 0) row[side] = { firstMs: result.wallMs };
      else taken[side].push(result);
    }
  }
  for (const side of ['ours', 'theirs'])
    if (!row[side].failed)
      Object.assign(row[side], { wallMs: median(taken[side].map(({ wallMs }) => wallMs)), rssBytes: Math.max(...taken[side].map(({ rssBytes }) => rssBytes ?? 0)) });
  return row;
}

function median(list) {
  const sorted = list.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

function said(side) {
  return side.failed ? `failed (${side.failed})` : `${(side.wallMs / 1000).toFixed(2)} s`;
}

function tableOf(all) {
  const head = ['model', 'job', 'ours, s', 'theirs, s', 'ours / theirs', 'our first run, s', 'RSS, MB'];
  const cells = ({ model, job, kind, arrays, ours, theirs }) => [
    `${model}${arrays ? '' : ' ¹'}`,
    `${job}${kind === 'more' ? ' ²' : ''}`,
    ours.failed ? '–' : (ours.wallMs / 1000).toFixed(2),
    theirs.failed ? '–' : (theirs.wallMs / 1000).toFixed(2),
    ours.failed || theirs.failed ? '–' : (ours.wallMs / theirs.wallMs).toFixed(2),
    ours.failed ? '–' : (ours.firstMs / 1000).toFixed(2),
    [ours, theirs].map((side) => (side.failed ? '–' : (side.rssBytes / 1e6).toFixed(0))).join(' / '),
  ];
  const lines = [head, head.map((_, at) => (at < 2 ? '---' : '---:')), ...all.map(cells)].map((line) => `| ${line.join(' | ')} |`);
  const failures = all.flatMap((row) =>
    ['ours', 'theirs'].filter((side) => row[side].failed).map((side) => `- ${row.model}, ${row.job}, ${side}: ${row[side].failed}`),
  );
  return `${lines.join('\n')}\n${failures.length > 0 ? `\n${failures.join('\n')}\n` : ''}`;
}
