// What each technique of pruning and compression gives and costs on the shared models: task metric, signal-to-noise ratio, zeros, size
// and download against the original, latency against it (interleaved in one process), seconds.
//
//   npm run bench:pruning -- [model…=all] [--only TEXT] [--rows FILE] [--samples 300] [--seconds 1]    measure; rows are added to FILE
//   npm run bench:pruning -- --rows FILE --write                          the table of docs/pruning.md from what FILE holds
//
// Needs ../shared/models. Made-up data serve nobody here: models without calibration samples of their own (marked *) are fitted to some
// of the samples that they are judged on.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import '../support/ts-loader.mjs';
import { pruneTargets } from '../../dist/passes/prune/targets.js';
import { compressedSizes } from '../../dist/src/cli/compressed-size.js';
import { parseStep } from '../../dist/src/cli/steps.js';
import { openDataset } from '../../dist/src/data/open-dataset.js';
import { createActivations } from '../../dist/src/engine/activations.js';
import { bench, benchSessionExtra } from '../../dist/src/engine/bench.js';
import { compare, toFidelity } from '../../dist/src/engine/compare.js';
import { createCompute } from '../../dist/src/engine/compute.js';
import { evaluate } from '../../dist/src/engine/evaluate.js';
import { createJudge } from '../../dist/src/engine/judge.js';
import { openSession } from '../../dist/src/engine/session.js';
import { loadModel } from '../../dist/src/onnx/load.js';
import { saveModel } from '../../dist/src/onnx/save.js';
import { runSteps } from '../../dist/src/pass/pipeline.js';

const { convertTask } = await import('../support/convert-task.ts');
const { haveSharedModels, sharedModel } = await import('../support/shared-models.ts');

/** Name in the table and steps behind simplify and fuse. */
const techniques = [
  ['as it is', []],
  ['50 % by magnitude', ['prune-weights:score=magnitude']],
  ['50 %, Wanda', ['prune-weights:score=wanda']],
  ['50 %, second order', ['prune-weights:score=sparsegpt']],
  ['80 % by magnitude', ['prune-weights:score=magnitude,sparsity=0.8']],
  ['80 %, second order', ['prune-weights:score=sparsegpt,sparsity=0.8']],
  ['80 %, second order, by sensitivity', ['prune-weights:score=sparsegpt,sparsity=0.8,scope=sensitivity']],
  ['80 %, second order, ERK', ['prune-weights:score=sparsegpt,sparsity=0.8,scope=erk']],
  ['2:4 by magnitude', ['prune-weights:score=magnitude,pattern=2:4']],
  ['2:4, second order', ['prune-weights:score=sparsegpt,pattern=2:4']],
  ['block32, 50 %, second order', ['prune-weights:score=sparsegpt,pattern=block32']],
  ['static int8', ['quantize-static:weights=auto']],
  ['50 %, second order, static int8', ['prune-weights:score=sparsegpt', 'quantize-static:weights=auto']],
  ['clusters of 16 values', ['cluster-weights']],
  ['low rank, 99 %', ['low-rank']],
  ['channels, 30 % of the MACs', ['prune-channels:macs=0.7']],
  ['channels, 30 % of the MACs, repaired', ['prune-channels:macs=0.7,repair=true']],
  ['the same, static int8', ['prune-channels:macs=0.7,repair=true', 'quantize-static:weights=auto']],
];
const all = ['cifar10-resnet20', 'imagenet-mobilenetv1-050', 'mnist-cntk', 'clinc150-bert', 'wine-mlp', 'stories260k-llama', 'supres', 'fastestdet', 'yunet-face', 'gtcrn'];

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', default: '' },
    rows: { type: 'string' },
    samples: { type: 'string', default: '300' },
    seconds: { type: 'string', default: '1' },
    write: { type: 'boolean', default: false },
  },
});
const rows = flags.rows && existsSync(flags.rows) ? JSON.parse(readFileSync(flags.rows, 'utf8')) : [];
if (flags.write) writeDoc();
else await measureAll(positionals.length > 0 ? positionals : all);

async function measureAll(models) {
  if (!haveSharedModels) throw new Error('../shared/models is needed');
  for (const slug of models) await measureModel(slug);
}

async function measureModel(slug) {
  const path = sharedModel(slug);
  const { dir, remove } = await convertTask(slug);
  const folder = await mkdtemp(join(tmpdir(), 'mlpack-pruning-'));
  const base = await openSession(path, { extra: benchSessionExtra });
  const dataset = await openDataset(dir, base.inputs);
  const samples = Math.min(Number(flags.samples), dataset.samples);
  const judge = async (session) => {
    try {
      return await evaluate(session, dataset, { samples, reference: base });
    } catch (error) {
      if (error.code !== 'metric-output') throw error;
      return undefined;
    }
  };
  const before = await judge(base);
  const sizeBefore = await sizesOf(path);
  console.log(`\n### ${slug}${dataset.calibrationSamples > 0 ? '' : ' *'}: ${before ? `${before.metric} ${before.value.toFixed(4)}` : 'no metric'}, ${samples} samples`);
  for (const [name, steps] of techniques) {
    if (!name.includes(flags.only)) continue;
    const started = performance.now();
    const model = await loadModel(path);
    const context = {
      compute: createCompute(),
      activations: createActivations(dataset, { seed: 0 }),
      judge: createJudge(dataset, { seed: 0 }),
      signal: new AbortController().signal,
      seed: 0,
    };
    const all = ['simplify', 'fuse'].concat(steps).flatMap((text) => parseStep(text));
    const traces = await runSteps(model, all, { context });
    const seconds = (performance.now() - started) / 1000;
    const changed = steps.length === 0 || traces.slice(2).some((trace) => trace.changed);
    const file = join(folder, 'model.onnx');
    await saveModel(model, file, { force: true });
    const session = await openSession(file, { extra: benchSessionExtra });
    const after = await judge(session);
    const feeds = dataset.batches({ inputs: base.inputs, samples: Math.min(64, samples) });
    const fidelity = toFidelity(await compare(base, session, feeds));
    const sizes = await sizesOf(file);
    const row = {
      model: slug,
      fittedToJudged: dataset.calibrationSamples === 0,
      technique: name,
      changed,
      metric: before?.metric ?? null,
      base: before?.value ?? null,
      value: after?.value ?? null,
      sqnrDb: fidelity.sqnrDb ?? null,
      zeros: steps.length === 1 && steps[0].startsWith('prune-weights') ? zerosOf(model) : null,
      bytes: sizes.bytes / sizeBefore.bytes,
      brotli: sizes.brotli / sizeBefore.brotli,
      ...(await timed(base, session, dataset)),
      seconds,
    };
    await session.dispose();
    console.log(lineOf(row));
    const at = rows.findIndex((one) => one.model === slug && one.technique === name);
    if (at >= 0) rows[at] = row;
    else rows.push(row);
    if (flags.rows) writeFileSync(flags.rows, JSON.stringify(rows, undefined, 1));
  }
  await base.dispose();
  await dataset.close();
  await remove();
  await rm(folder, { recursive: true });
}

async function sizesOf(file) {
  return { bytes: (await stat(file)).size, ...(await compressedSizes(file, await loadModel(file))) };
}

/** Share of zeros among all weights that can be pruned. */
function zerosOf(model) {
  let [zeros, total] = [0, 0];
  for (const { tensor, elements } of pruneTargets(model, 1024, () => false, () => {})) {
    const bytes = tensor.bytes();
    const floats = new Float32Array(bytes.slice().buffer);
    for (const w of floats) if (w === 0) zeros++;
    total += elements;
  }
  return total === 0 ? null : zeros / total;
}

async function timed(base, session, dataset) {
  for await (const { feeds } of dataset.batches({ inputs: base.inputs, samples: 1, batch: 1 })) {
    const subjects = [base, session].map((one, at) => ({ name: ['base', 'candidate'][at], session: one }));
    const { results } = await bench(subjects, feeds, { timeMs: 1000 * Number(flags.seconds), extendTo: 1 });
    const { ratioToBase, ratioCi } = results[1].latency;
    return { ratio: ratioToBase, ratioCi };
  }
  throw new Error('no samples');
}

function lineOf({ technique, changed, metric, base, value, sqnrDb, zeros, bytes, brotli, ratio, ratioCi, seconds }) {
  const percent = (share) => (share === null ? '' : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`);
  const figure = metric === null ? '–' : changed ? `${value.toFixed(4)} (${signed(value - base)})` : 'nothing to do';
  return `| ${technique} | ${figure} | ${sqnrDb === null ? '–' : sqnrDb.toFixed(1)} | ${zeros === null ? '–' : `${(100 * zeros).toFixed(2)} %`} | ${percent(bytes)} | ${percent(brotli)} | ×${ratio.toFixed(2)} (${ratioCi.map((x) => x.toFixed(2)).join('–')}) | ${seconds.toFixed(1)} |`;
}

function signed(x) {
  return `${x >= 0 ? '+' : '−'}${Math.abs(x).toFixed(Math.abs(x) < 1 ? 3 : 1)}`;
}

function writeDoc() {
  const page = new URL('../../docs/pruning.md', import.meta.url);
  const marker = '<!-- table: written by npm run bench:pruning -- --rows FILE --write -->';
  const parts = all.flatMap((slug) => {
    const own = rows.filter((row) => row.model === slug);
    if (own.length === 0) return [];
    const [{ metric, base, fittedToJudged }] = own;
    const head = `### ${slug}${fittedToJudged ? ' *' : ''}\n\n${metric === null ? 'No labels: decibels judge' : `${metric} ${base.toFixed(4)} in float32`}.\n`;
    const table = ['| | metric | SQNR dB | zeros | size | brotli | latency | seconds |', '|---|---:|---:|---:|---:|---:|---:|---:|'];
    const sorted = techniques.flatMap(([name]) => own.filter((row) => row.technique === name));
    return [`${head}\n${[...table, ...sorted.map(lineOf)].join('\n')}\n`];
  });
  const text = readFileSync(page, 'utf8');
  writeFileSync(page, `${text.slice(0, text.indexOf(marker))}${marker}\n\n${parts.join('\n')}`);
}
