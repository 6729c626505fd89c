// Fusion beside ONNX Runtime's own: for every model of the folders the fused operators and the latency of the file as it came,
// of ours (level portable, and level runtime as `fp32-runtime` has it), of ONNX Runtime's level extended, and, where a Python with
// onnxruntime is named, of its `onnxruntime.transformers.optimizer`. Every file is then run by ONNX Runtime with all its optimizations
// on one thread, interleaved; a figure is the median over the rounds of its time over that of the file as it came, below 1 is faster.
//
//   python test/bench/fusion-zoo.py /tmp/zoo            (needs torch, transformers, onnx, onnxscript)
//   npm run bench:fusion -- /tmp/zoo [../shared/models] [--python /path/to/python] [--only REGEXP] [--rounds N] [--steps fp32-runtime] [--keep FOLDER] [--make] [--json OUT]
//
// --keep: what the tools made stays there, and is taken from there when it is newer than the model: make it all (--make) while the machine is
// busy, time it while it is quiet.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { parseStep } from '../../dist/src/cli/steps.js';
import { createCompute } from '../../dist/src/engine/compute.js';
import { syntheticFeeds } from '../../dist/src/engine/feeds.js';
import { openSession } from '../../dist/src/engine/session.js';
import { toNumbers } from '../../dist/src/ir/tensor.js';
import { loadModel } from '../../dist/src/onnx/load.js';
import { saveModel } from '../../dist/src/onnx/save.js';
import { countNodes, runSteps } from '../../dist/src/pass/pipeline.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    python: { type: 'string' },
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '15' },
    steps: { type: 'string', default: 'fp32-runtime' },
    keep: { type: 'string' },
    make: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});
if (positionals.length === 0) {
  console.error('which folder of .onnx files? See the head of test/bench/fusion.mjs.');
  process.exit(2);
}

/** What counts as fused, by what it stands for. */
const kinds = {
  attention: /^(Attention|MultiHeadAttention|GroupQueryAttention)$/,
  norm: /^(Skip)?(Simplified)?LayerNormalization$|^RMSNormalization$|^EmbedLayerNormalization$/,
  skip: /^(Skip(Simplified)?|Embed)LayerNormalization$/,
  activation: /Gelu$|^HardSwish$|^Mish$/,
  rotary: /^RotaryEmbedding$/,
};

async function counts(path) {
  const model = await loadModel(path);
  const found = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, 0]));
  for (const graph of model.graphs()) {
    for (const node of graph.nodes) for (const [kind, ops] of Object.entries(kinds)) if (ops.test(node.op)) found[kind]++;
  }
  return { nodes: countNodes(model), ...found };
}

const rewritten = (steps) => async (path, out) => {
  const model = await loadModel(path);
  const context = { compute: createCompute(), activations: undefined, signal: new AbortController().signal, seed: 0 };
  await runSteps(model, steps.split(' ').flatMap(parseStep), { context });
  await saveModel(model, out, { force: true });
};

async function extended(path, out) {
  const session = await openSession(path, { graphOptimizationLevel: 'extended', optimizedModelFilePath: out });
  await session.dispose();
}

/** The families that the Python optimizer has a class for, by the beginning of the file name. */
const families = { gpt2: 'gpt2', t5: 't5', bart: 'bart', whisper: 'bart', clip: 'clip', vit: 'vit', deit: 'vit', swin: 'swin', conformer: 'conformer', neox: 'gpt_neox', phi: 'phi', qwen3: 'qwen3', unet: 'unet', llama: 'gpt2' };

function python(path, out, name) {
  const family = Object.entries(families).find(([start]) => name.startsWith(start))?.[1] ?? 'bert';
  const script = `
import sys, logging
logging.disable(logging.CRITICAL)
from onnxruntime.transformers.optimizer import optimize_model
m = optimize_model(sys.argv[1], model_type=sys.argv[3], num_heads=4, hidden_size=128, opt_level=0)
m.save_model_to_file(sys.argv[2])`;
  execFileSync(values.python, ['-c', script, path, out, family], { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Milliseconds of a block between two changes of the file. */
const blockMs = 20;

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

function worst(expected, actual) {
  let largest = 0;
  for (const [name, tensor] of expected) {
    const [a, b] = [toNumbers(tensor), toNumbers(actual.get(name))];
    const scale = Math.max(1, a.reduce((top, x) => Math.max(top, Math.abs(x)), 0));
    for (const [at, x] of a.entries()) largest = Math.max(largest, Math.abs(x - b[at]) / scale);
  }
  return largest;
}

const makers = { portable: rewritten('fp32'), ours: rewritten(values.steps), extended, ...(values.python && { python }) };
const tools = Object.keys(makers);
const scratch = mkdtempSync(join(tmpdir(), 'mlpack-fusion-'));
const rows = [];

function* models(path) {
  if (path.endsWith('.onnx')) yield path;
  else if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) if (name !== 'node_modules') yield* models(join(path, name));
}

/** The files of all tools: ONNX Runtime writes relative paths to external data that are no longer right, so weights are taken into the file before. */
async function make(source, name) {
  const folder = join(values.keep ?? scratch, name.replaceAll('/', '_'));
  mkdirSync(folder, { recursive: true });
  const stale = (path) => !existsSync(path) || statSync(path).mtimeMs < statSync(source).mtimeMs;
  const base = join(folder, 'base.onnx');
  if (stale(base)) await saveModel(await loadModel(source), base, { force: true, externalData: 'never' });
  const variants = { base };
  const notes = [];
  for (const [tool, run] of Object.entries(makers)) {
    const out = join(folder, `${tool}.onnx`);
    try {
      if (stale(out)) await run(base, out, name);
      variants[tool] = out;
    } catch (error) {
      notes.push(`${tool}: ${String(error.stderr ?? error.message).trim().split('\n').at(-1).slice(0, 90)}`);
    }
  }
  return { variants, notes };
}

async function time(variants, row) {
  const sessions = {};
  for (const [name, path] of Object.entries(variants)) {
    try {
      sessions[name] = await openSession(path, { threads: 1 });
    } catch (error) {
      row.notes.push(`${name} does not load: ${error.message.slice(0, 90)}`);
    }
  }
  const plain = await openSession(variants.base, { threads: 1, graphOptimizationLevel: 'disabled' });
  const [{ feeds }] = await syntheticFeeds(await loadModel(variants.base), plain, { seed: 5, count: 1 });
  const expected = await plain.run(feeds);
  await plain.dispose();
  const timers = {};
  for (const [name, session] of Object.entries(sessions)) {
    try {
      if (name !== 'base') {
        const bare = await openSession(variants[name], { threads: 1, graphOptimizationLevel: 'disabled' });
        row[`${name}Error`] = worst(expected, await bare.run(feeds));
        await bare.dispose();
      }
      timers[name] = session.timer(feeds);
      await timers[name]({ count: 1, settleMs: 20 });
      row[name] = { ...(await counts(variants[name])), times: [] };
    } catch (error) {
      delete timers[name];
      row.notes.push(`${name} does not run: ${error.message.slice(0, 120)}`);
    }
  }
  const rounds = Number(values.rounds);
  const once = median(await timers.base({ count: 3, settleMs: 20 }));
  const count = Math.max(3, Math.min(200, Math.round(blockMs / once)));
  for (let round = 0; round < rounds; round++) {
    for (const [name, timer] of Object.entries(timers)) row[name].times.push(median(await timer({ count, settleMs: 0 })));
  }
  for (const session of Object.values(sessions)) await session.dispose();
  for (const name of Object.keys(timers)) row[name].ratio = median(row[name].times.map((ms, at) => ms / row.base.times[at]));
}

try {
  for (const root of positionals) {
    for (const source of models(root)) {
      const name = (relative(root, source) || basename(source)).replace(/(\/onnx)?\/model\.onnx$|\.onnx$/, '');
      if (!new RegExp(values.only).test(name)) continue;
      const { variants, notes } = await make(source, name);
      const row = { model: name, notes };
      if (values.make) {
        if (notes.length > 0) console.log(name, notes.join('; '));
        continue;
      }
      try {
        await time(variants, row);
      } catch (error) {
        notes.push(`does not run: ${error.message.slice(0, 120)}`);
      }
      rows.push(row);
      print(row);
    }
  }
  if (rows.length > 0) summary();
  if (values.json) writeFileSync(values.json, JSON.stringify(rows, null, 1));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function print(row) {
  const cell = (name) => {
    const found = row[name];
    if (!found) return 'none'.padEnd(34);
    const ops = Object.keys(kinds).map((kind) => String(found[kind]).padStart(2)).join(' ');
    const error = row[`${name}Error`];
    return `${String(found.nodes).padStart(5)} |${ops} | ×${found.ratio.toFixed(3)}${error > 1e-4 ? ` off by ${error.toExponential(0)}` : ''}`.padEnd(34);
  };
  if (rows.length === 1) console.log(`${'model'.padEnd(26)} nodes | ${Object.keys(kinds).join(' ')} | latency: base, ours (portable, runtime), ORT extended${values.python ? ', ORT transformers.optimizer' : ''}`);
  console.log(`${row.model.padEnd(26)}${['base', ...tools].map(cell).join('  ')}  ${row.notes.join('; ')}`);
}

/** Geometric means, and where another fuses more or is faster by more than 2 %. */
function summary() {
  const mean = (list) => Math.exp(list.reduce((sum, x) => sum + Math.log(x), 0) / list.length);
  for (const name of tools) {
    const own = rows.filter((row) => row[name]?.ratio);
    if (own.length > 0) console.log(`${name}: ×${mean(own.map((row) => row[name].ratio)).toFixed(3)} of base over ${own.length} models`);
  }
  for (const name of tools.filter((tool) => tool !== 'ours')) {
    const both = rows.filter((row) => row[name]?.ratio && row.ours?.ratio);
    if (both.length > 0) console.log(`ours over ${name}, where both run: ×${mean(both.map((row) => row.ours.ratio / row[name].ratio)).toFixed(3)} over ${both.length} models`);
    for (const kind of name === 'portable' ? [] : Object.keys(kinds)) {
      const more = both.filter((row) => row[name][kind] > row.ours[kind] && !(kind === 'norm' && row[name].skip <= row.ours.skip));
      if (more.length > 0) console.log(`  ${name} has more ${kind} in ${more.map((row) => `${row.model} (${row[name][kind]} to ${row.ours[kind]})`).join(', ')}`);
    }
    const slower = both.filter((row) => row.ours.ratio > 1.02 * row[name].ratio);
    if (slower.length > 0) console.log(`  ${name} is faster by more than 2 % on ${slower.map((row) => `${row.model} (×${(row.ours.ratio / row[name].ratio).toFixed(2)})`).join(', ')}`);
  }
}
