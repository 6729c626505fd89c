// Half precision on trained models: fidelity of the outputs and size, as converted by default and with --min-sqnr 60 (which layers it keeps
// in float32, and what that costs). On the model's data where it has a folder of it, else on made-up inputs (marked *).
//
//   npm run build && node test/bench/fp16-fidelity.mjs [model…=all] [--min 60]
import { fileURLToPath } from 'node:url';
import '../support/ts-loader.mjs';
import { parseStep } from '../../dist/src/cli/steps.js';
import { openDataset } from '../../dist/src/data/open-dataset.js';
import { createActivations, createSyntheticActivations } from '../../dist/src/engine/activations.js';
import { createCompute } from '../../dist/src/engine/compute.js';
import { openSession } from '../../dist/src/engine/session.js';
import { cloneModel } from '../../dist/src/ir/clone.js';
import { encodeModel } from '../../dist/src/onnx/encode.js';
import { loadModel } from '../../dist/src/onnx/load.js';
import { runSteps } from '../../dist/src/pass/pipeline.js';

const { convertTask } = await import('../support/convert-task.ts');
const { haveSharedModels, sharedModel } = await import('../support/shared-models.ts');
const own = (file) => fileURLToPath(new URL(`../../models/${file}`, import.meta.url));
const args = process.argv.slice(2);
const flag = (name, fallback) => (args.includes(name) ? args.splice(args.indexOf(name), 2)[1] : fallback);
const min = flag('--min', '60');
if (!haveSharedModels) throw new Error('../shared/models is needed');
const all = ['cifar10-resnet20', 'clinc150-bert', 'fastestdet', 'gtcrn', 'imagenet-mobilenetv1-050', 'mnist-cntk', 'silero-vad', 'stories260k-llama', 'supres', 'wine-mlp', 'yunet-face', 'digits', 'intents'];

async function source(slug) {
  const path = { digits: 'digits/model.onnx', intents: 'intents/onnx/model.onnx' }[slug];
  if (path) return { path: own(path), dir: own(`${slug}/eval`), remove: async () => {} };
  const task = await convertTask(slug).catch(() => ({ remove: async () => {} }));
  return { path: sharedModel(slug), ...task };
}

console.log(`| model | float16: dB, size | --min-sqnr ${min}: dB, size, kept, seconds | --min-sqnr ${min}, by operator |\n|---|---|---|---|`);
for (const slug of args.length > 0 ? args : all) {
  const { path, dir, remove } = await source(slug);
  const session = await openSession(path, { threads: 1 });
  const dataset = dir && (await openDataset(dir, session.inputs));
  await session.dispose();
  const activations = dataset ? createActivations(dataset, { seed: 0, samples: 8 }) : createSyntheticActivations({ seed: 0 });
  const context = { compute: createCompute(), activations, signal: new AbortController().signal, seed: 0 };
  const float = await loadModel(path);
  await runSteps(float, ['simplify', 'fuse'].flatMap(parseStep), { context });
  const bytes = encodeModel(float).length;
  const cells = [];
  for (const step of ['to-fp16', `to-fp16:minSqnr=${min}`]) {
    const model = cloneModel(float);
    const started = performance.now();
    const [trace] = await runSteps(model, parseStep(step), { context });
    const seconds = (performance.now() - started) / 1000;
    const db = Math.min(...(await activations.layers.sqnr(float, model, 8)).values());
    const kept = trace.skipped.filter(({ rule }) => rule === 'fidelity');
    const text = `${db.toFixed(1)} dB, ${((100 * encodeModel(model).length) / bytes).toFixed(0)} %`;
    cells.push(step === 'to-fp16' ? text : `${text}, ${kept.length} of ${kept.length + (trace.applied.half ?? 0)}, ${seconds.toFixed(1)} s`);
    if (step !== 'to-fp16') {
      const ops = {};
      for (const { node } of kept) ops[node.split(' ')[0]] = (ops[node.split(' ')[0]] ?? 0) + 1;
      cells.push(Object.entries(ops).map(([op, count]) => `${op} ×${count}`).join(', ') || '–');
      if (process.env.VERBOSE) for (const { node, why } of kept) console.error(node, why);
    }
  }
  console.log(`| ${slug}${dataset ? '' : '*'} | ${cells.join(' | ')} |`);
  await dataset?.close();
  await remove();
}
