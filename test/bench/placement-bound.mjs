// The best that any split between integers and floats can reach on a model: every node in each form that is known for it, as the runtime's own profiler
// times them inside the model, and the sum of the quickest ones, with conversions, changes of layout and what the runtime fuses away for free.
//
//   npm run build && taskset -c 0 node test/bench/placement-bound.mjs [model…=yunet-face fastestdet]      (one processor: one thread)
import '../support/ts-loader.mjs';
import { parseStep } from '../../dist/src/cli/steps.js';
import { openDataset } from '../../dist/src/data/open-dataset.js';
import { createActivations } from '../../dist/src/engine/activations.js';
import { createCompute } from '../../dist/src/engine/compute.js';
import { syntheticFeeds } from '../../dist/src/engine/feeds.js';
import { nodeTimes } from '../../dist/src/engine/node-times.js';
import { openModel } from '../../dist/src/engine/open-model.js';
import { cloneModel } from '../../dist/src/ir/clone.js';
import { loadModel } from '../../dist/src/onnx/load.js';
import { runSteps } from '../../dist/src/pass/pipeline.js';
import { fillInputs, filledChannels } from '../../dist/passes/quantize/static/fill-inputs.js';
import { fitKernels } from '../../dist/passes/quantize/static/kernel-forms.js';

const { convertTask } = await import('../support/convert-task.ts');
const { sharedModel } = await import('../support/shared-models.ts');
const rounds = 5;
const quiet = { applied: () => undefined, skipped: () => undefined };
const profile = { cpu: 'vnni', place: 'pays' };

/** Smallest time of each node over the rounds, in which the models take turns, by the name of the node, in microseconds. */
async function timesOf(models, feeds) {
  const all = models.map(() => new Map());
  const namesOf = ({ graph }) => new Map([...graph.nodes].map((node) => [node.outputs[0]?.name, node.name]));
  for (let round = 0; round < rounds; round++)
    for (const [at, model] of models.entries()) {
      const [least, names] = [all[at], namesOf(model)];
      for (const [output, ms] of await nodeTimes(model, feeds)) {
        const name = names.get(output);
        least.set(name, Math.min(least.get(name) ?? Number.POSITIVE_INFINITY, 1000 * ms));
      }
    }
  return all;
}

/** What decides which kernel is the quicker one. */
function kindOf(node) {
  if (node.op !== 'Conv') return 'all else';
  const [channels, inner, ...window] = node.input(1).shape;
  if (inner <= 3 && node.int('group', 1) === 1) return '3 channels or fewer';
  if (node.int('group', 1) === channels) return 'depthwise';
  return window.every((size) => size === 1) ? '1 × 1' : 'other convolutions';
}

/** Integers everywhere, pictures' channels filled up. */
async function onIntegers(model, context) {
  const integer = cloneModel(model);
  const wide = new Map();
  for (const node of integer.graph.nodes) {
    const channels = node.op === 'Conv' ? filledChannels(node, node.input(1)) : undefined;
    if (channels !== undefined) wide.set(node.name, channels);
  }
  await runSteps(integer, parseStep('quantize-static:place=all,cpu=vnni'), { context });
  fillInputs(new Map([...integer.graph.nodes].flatMap((node) => (wide.has(node.name) ? [[node, wide.get(node.name)]] : []))));
  return integer;
}

for (const slug of process.argv.length > 2 ? process.argv.slice(2) : ['yunet-face', 'fastestdet']) {
  const task = await convertTask(slug);
  const float = await loadModel(sharedModel(slug));
  const session = await openModel(float, {});
  const dataset = await openDataset(task.dir, session.inputs);
  const [{ feeds }] = await syntheticFeeds(float, session, { seed: 0, samples: 1 });
  await session.dispose();
  const context = { compute: createCompute(), activations: createActivations(dataset, { seed: 0 }), signal: new AbortController().signal, seed: 0 };
  await runSteps(float, ['simplify', 'fuse', 'simplify'].flatMap(parseStep), { context });
  for (const [at, node] of [...float.graph.nodes].entries()) node.name = `n${at}`;
  const fitted = cloneModel(float);
  fitKernels(fitted, profile, () => true, quiet);
  const plainIntegers = cloneModel(float);
  await runSteps(plainIntegers, parseStep('quantize-static:place=all,cpu=vnni'), { context });
  const forms = [float, fitted, plainIntegers, await onIntegers(float, context), await onIntegers(fitted, context)];
  const [asItCame, inShape, ...integers] = await timesOf(forms, feeds);
  const inFloat = [asItCame, inShape];
  const kinds = new Map([...float.graph.nodes].map((node) => [node.name, kindOf(node)]));
  const groups = new Map();
  const least = (files, name) => Math.min(...files.map((times) => times.get(name) ?? Number.POSITIVE_INFINITY));
  const shown = (us) => (Number.isFinite(us) ? us : 0);
  const stays = new Set([...fitted.graph.nodes].map(({ name }) => name));
  let unknown = 0;
  for (const [name, kind] of kinds) {
    const own = asItCame.get(name);
    const [float, integer] = [least(inFloat, name), least(integers, name)];
    if (kind !== 'all else' && (own === undefined || !Number.isFinite(integer))) unknown++;
    const group = groups.get(kind) ?? { count: 0, own: 0, float: 0, integer: 0, least: 0 };
    group.count++;
    group.own += own ?? 0;
    group.float += stays.has(name) ? shown(float) : 0;
    group.integer += shown(integer);
    // What stands in one of the files alone was fused or folded into a neighbour elsewhere: it need not take time of its own.
    const everywhere = own !== undefined && Number.isFinite(integer) && stays.has(name);
    group.least += kind === 'all else' && !everywhere ? 0 : shown(Math.min(float, integer));
    groups.set(kind, group);
  }
  const sum = (key) => [...groups.values()].reduce((all, group) => all + group[key], 0);
  console.log(`\n| ${slug} | nodes | float, µs | float in its best shape | integers | quickest |\n| --- | --: | --: | --: | --: | --: |`);
  for (const [kind, { count, own, float, integer, least }] of groups)
    console.log(`| ${kind} | ${count} | ${[own, float, integer, least].map((us) => us.toFixed(0)).join(' | ')} |`);
  console.log(`| together | | ${['own', 'float', 'integer', 'least'].map((key) => sum(key).toFixed(0)).join(' | ')} |`);
  const all = sum('own');
  const convolutions = sum('least') - (groups.get('all else')?.least ?? 0);
  console.log(
    `\nBound: ×${(sum('least') / all).toFixed(2)} of float, conversions free; ×${(convolutions / all).toFixed(2)} if nothing but convolutions took time. ${unknown} convolutions without a time.`,
  );
  await dataset.close();
  await task.remove();
}
