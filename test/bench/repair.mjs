// What each repair gives on trained models under static INT8: task metric and signal-to-noise ratio of the outputs on evaluation samples
// that nothing was fitted to (where the model's folder has calibration data of its own; a * says that it has none).
//
//   npm run build && node test/bench/repair.mjs [model…=all] [--only 'per channel'] [--samples 500]
//
// Needs ../shared/models. Prints a Markdown table; docs/quantization-repair.md holds one.
import { fileURLToPath } from 'node:url';
import '../support/ts-loader.mjs';
import { parseStep } from '../../dist/src/cli/steps.js';
import { openDataset } from '../../dist/src/data/open-dataset.js';
import { createActivations } from '../../dist/src/engine/activations.js';
import { compare, toFidelity } from '../../dist/src/engine/compare.js';
import { createCompute } from '../../dist/src/engine/compute.js';
import { evaluate } from '../../dist/src/engine/evaluate.js';
import { openModel } from '../../dist/src/engine/open-model.js';
import { openSession } from '../../dist/src/engine/session.js';
import { loadModel } from '../../dist/src/onnx/load.js';
import { runSteps } from '../../dist/src/pass/pipeline.js';

const { convertTask } = await import('../support/convert-task.ts');
const { haveSharedModels, sharedModel } = await import('../support/shared-models.ts');
const own = (file) => fileURLToPath(new URL(`../../models/${file}`, import.meta.url));

const tensor = 'quantize-static:perChannel=false';
const channel = 'quantize-static';
/** Name and steps; the first of each group is what the others are held against. */
const variants = [
  ['per tensor', [tensor]],
  ['per tensor, equalize', ['equalize', tensor]],
  ['per tensor, equalize (inactive)', ['equalize:clip=inactive', tensor]],
  ['per tensor, equalize (drop)', ['equalize:clip=drop', tensor]],
  ['per tensor, weights mse', [`${tensor},weights=mse`]],
  ['per tensor, weights weighted', [`${tensor},weights=weighted`]],
  ['per tensor, weights gptq', [`${tensor},weights=gptq`]],
  ['per tensor, bias fast', [`${tensor},correctBias=fast`]],
  ['per tensor, bias full', [`${tensor},correctBias=full`]],
  ['per channel', [channel]],
  ['per channel, weights mse', [`${channel}:weights=mse`]],
  ['per channel, weights weighted', [`${channel}:weights=weighted`]],
  ['per channel, weights gptq', [`${channel}:weights=gptq`]],
  ['per channel, bias fast', [`${channel}:correctBias=fast`]],
  ['per channel, bias full', [`${channel}:correctBias=full`]],
  ['per channel, gptq, bias full', [`${channel}:weights=gptq,correctBias=full`]],
  ['per channel, gptq, bias fast', [`${channel}:weights=gptq,correctBias=fast`]],
  ['per channel, equalize', ['equalize', channel]],
  ['per channel, equalize, gptq', ['equalize', `${channel}:weights=gptq`]],
  ['per channel, smooth-quant folded', ['smooth-quant:insert=false', channel]],
  ['per channel, smooth-quant', ['smooth-quant', channel]],
  ['per channel, smooth-quant, gptq', ['smooth-quant', `${channel}:weights=gptq`]],
];
const args = process.argv.slice(2);
const flag = (name, fallback) => (args.includes(name) ? args.splice(args.indexOf(name), 2)[1] : fallback);
const only = flag('--only', '');
const samples = Number(flag('--samples', 500));
const extra = flag('--variant', '');
const models = args.length > 0 ? args : ['imagenet-mobilenetv1-050', 'cifar10-resnet20', 'mnist-cntk', 'clinc150-bert', 'wine-mlp', 'supres', 'fastestdet', 'digits', 'intents'];
if (!haveSharedModels) throw new Error('../shared/models is needed');

async function source(slug) {
  const path = { digits: 'digits/model.onnx', intents: 'intents/onnx/model.onnx' }[slug];
  if (path) return { path: own(path), dir: own(`${slug}/eval`), remove: async () => {} };
  return { path: sharedModel(slug), ...(await convertTask(slug)) };
}

for (const slug of models) {
  const { path, dir, remove } = await source(slug);
  const base = await openSession(path, { threads: 1 });
  const dataset = await openDataset(dir, base.inputs);
  const count = Math.min(samples, dataset.samples);
  const judged = { samples: count, reference: base };
  const before = await evaluate(base, dataset, judged);
  const mark = dataset.calibrationSamples > 0 ? '' : '*';
  console.log(`\n### ${slug}${mark}: ${before.metric} ${before.value.toFixed(4)} in float32, ${before.samples} samples\n`);
  console.log('| variant | metric | agreement | SQNR dB | did | seconds |\n|---|---:|---:|---:|---|---:|');
  const list = extra ? [[extra, extra.split(' ')]] : variants;
  for (const [name, steps] of list) {
    if (!name.startsWith(only)) continue;
    const model = await loadModel(path);
    const context = {
      compute: createCompute(),
      activations: createActivations(dataset, { seed: 0 }),
      signal: new AbortController().signal,
      seed: 0,
    };
    const started = performance.now();
    const traces = await runSteps(model, [...['simplify', 'fuse'], ...steps].flatMap(parseStep), { context });
    const seconds = (performance.now() - started) / 1000;
    const did = traces.slice(2).map(({ pass, applied }) => (pass === 'quantize-static' ? '' : `${pass} ×${Object.values(applied)[0] ?? 0}`));
    const detail = traces.at(-1).applied;
    for (const rule of ['rounding', 'bias']) if (detail[rule]) did.push(`${rule} ×${detail[rule]}`);
    const session = await openModel(model, { threads: 1 });
    const after = await evaluate(session, dataset, judged);
    const fidelity = toFidelity(await compare(base, session, dataset.batches({ split: 'eval', samples: Math.min(count, 200), seed: 1, inputs: base.inputs })));
    await session.dispose();
    if (process.env.VERBOSE) console.log(JSON.stringify({ detail, skipped: traces.slice(2).flatMap((t) => t.skipped).slice(0, 12) }, undefined, 1));
    console.log(`| ${name} | ${after.value.toFixed(4)} | ${fidelity.agreement?.toFixed(3) ?? '–'} | ${fidelity.sqnrDb?.toFixed(1)} | ${did.filter(Boolean).join(', ')} | ${seconds.toFixed(1)} |`);
  }
  await dataset.close();
  await base.dispose();
  await remove();
}
