// Perplexity of the shared language model with 4-bit weights, ours and those of ONNX Runtime's Python tools, judged by the same code
// on the same tokens. Methods that fit the weights to data see half of the texts and are judged on the other half, and the other way
// round, so that every text is judged by weights that were not fitted to it.
//
//   npm run build && node test/bench/weight-only-lm.mjs [--python /path/to/python] [--bits 4] [--block 32] [--only gptq,kquant] [--file other.onnx …]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import '../support/ts-loader.mjs';
import { quantizeWeights } from '../../dist/passes/quantize/quantize-weights.js';
import { fuse } from '../../dist/passes/fuse/fuse.js';
import { simplify } from '../../dist/passes/simplify/simplify.js';
import { createCompute } from '../../dist/src/engine/compute.js';
import { gramsOf } from '../../dist/src/engine/grams.js';
import { openModel } from '../../dist/src/engine/open-model.js';
import { openSession } from '../../dist/src/engine/session.js';
import { requiredInputs } from '../../dist/src/engine/feed-shapes.js';
import { openNpy } from '../../dist/src/data/npy.js';
import { tensorFrom, typedArray } from '../../dist/src/ir/tensor.js';
import { loadModel } from '../../dist/src/onnx/load.js';
import { encodeModel } from '../../dist/src/onnx/encode.js';
import { runSteps } from '../../dist/src/pass/pipeline.js';

const { sharedModel, sharedDir } = await import('../support/shared-models.ts');
const { values: flags } = parseArgs({
  options: {
    python: { type: 'string', default: process.env.MLPACK_BENCH_PYTHON },
    bits: { type: 'string', default: '4' },
    block: { type: 'string', default: '32' },
    only: { type: 'string' },
    file: { type: 'string', multiple: true, default: [] },
  },
});
const [bits, block] = [Number(flags.bits), Number(flags.block)];
const file = sharedModel('stories260k-llama', 'model.onnx');
const ids = await openNpy(join(sharedDir('stories260k-llama'), 'ids.npy'));
const [texts, length] = ids.shape;
const tokens = typedArray(await ids.rows(0, texts), 'int32');
await ids.close();
const inputs = requiredInputs(await loadModel(file)).map(({ name }) => name);

function feedsOf(text) {
  const own = [...tokens.subarray(text * length, (text + 1) * length)].filter((id) => id !== 0);
  const int64 = (values) => tensorFrom('int64', [1, values.length], BigInt64Array.from(values, BigInt));
  const feeds = new Map([
    ['input_ids', int64(own)],
    ['attention_mask', int64(own.map(() => 1))],
    ['position_ids', int64(own.map((_, i) => i))],
  ]);
  for (const name of inputs)
    if (!feeds.has(name)) feeds.set(name, tensorFrom('float32', [1, 4, 0, 8], new Float32Array(0)));
  return { own, feeds };
}

async function lossOf(session, chosen) {
  let [sum, count] = [0, 0];
  for (const text of chosen) {
    const { own, feeds } = feedsOf(text);
    const logits = typedArray((await session.run(feeds, ['logits'])).get('logits'), 'float32');
    const classes = logits.length / own.length;
    for (let i = 0; i + 1 < own.length; i++) {
      const row = logits.subarray(i * classes, (i + 1) * classes);
      let max = Number.NEGATIVE_INFINITY;
      for (const x of row) max = Math.max(max, x);
      let total = 0;
      for (const x of row) total += Math.exp(x - max);
      sum += Math.log(total) + max - row[own[i + 1]];
      count++;
    }
  }
  return { sum, count };
}

const all = Array.from({ length: texts }, (_, i) => i);
const halves = [all.filter((i) => i % 2 === 0), all.filter((i) => i % 2 === 1)];
const perplexity = (losses) =>
  Math.exp(losses.reduce((a, { sum }) => a + sum, 0) / losses.reduce((a, { count }) => a + count, 0));

async function judged(model, chosen) {
  const session = typeof model === 'string' ? await openSession(model) : await openModel(model);
  try {
    return await lossOf(session, chosen);
  } finally {
    await session.dispose();
  }
}

async function ours(options, fit) {
  const model = await loadModel(file);
  const activations = fit && {
    source: 'data',
    samples: fit.length,
    grams: (m, requests, visit, how) =>
      gramsOf(m, requests, () => fit.map((text) => ({ feeds: feedsOf(text).feeds, size: 1 })), visit, undefined, how),
  };
  const context = { compute: createCompute(), activations, signal: new AbortController().signal, seed: 0 };
  await runSteps(model, [simplify(), fuse(), quantizeWeights({ bits, block, ...options })], { context });
  return model;
}

const base = perplexity([await judged(file, all)]);
console.log(`float32${' '.repeat(33)} perplexity ${base.toFixed(4)}`);
const show = (name, value, bytes) =>
  console.log(`${name.padEnd(40)} perplexity ${value.toFixed(4)}  ${value > base ? '+' : ''}${(value - base).toFixed(4)}  ${(bytes / 1e6).toFixed(3)} MB`);

for (const extra of flags.file) show(extra, perplexity([await judged(extra, all)]), readFileSync(extra).length);
const dir = mkdtempSync(join(tmpdir(), 'mlpack-lm-'));
for (const method of flags.python ? ['rtn', 'k_quant', 'hqq'] : []) {
  const out = join(dir, `${method}.onnx`);
  const script = new URL('quantization/rivals/weights.py', import.meta.url).pathname;
  const run = spawnSync(flags.python, [script, file, out, dir, `method=${method}`], { encoding: 'utf8' });
  if (run.status !== 0) console.log(`python ${method}: ${run.stderr.trim().split('\n').at(-1)}`);
  else show(`onnxruntime ${method}, asymmetric`, perplexity([await judged(out, all)]), readFileSync(out).length);
}
rmSync(dir, { recursive: true });

const methods = [
  ['rtn', false],
  ['clip', false],
  ['kquant', false],
  ['hqq', false],
  ['clip', true],
  ['kquant', true],
  ['awq', true],
  ['gptq', true],
].filter(([method]) => !flags.only || flags.only.split(',').includes(method));
for (const [method, data] of methods) {
  for (const symmetric of method === 'hqq' ? [false] : [true, false]) {
    for (const embeddings of ['float', 8]) {
      if (embeddings === 8 && symmetric) continue;
      const options = { method, symmetric, embeddings };
      const name = `${method}${data ? ' with data' : ''}, ${symmetric ? 'symmetric' : 'asymmetric'}${embeddings === 8 ? ', tied embeddings' : ''}`;
      if (!data) {
        const model = await ours(options);
        show(name, perplexity([await judged(model, all)]), encodeModel(model).length);
        continue;
      }
      const folds = [];
      let bytes = 0;
      for (const [at, fit] of halves.entries()) {
        const model = await ours(options, fit);
        bytes = encodeModel(model).length;
        folds.push(await judged(model, halves[1 - at]));
      }
      show(name, perplexity(folds), bytes);
    }
  }
}
