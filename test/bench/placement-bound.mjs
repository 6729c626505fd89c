// The best that any split between integers and floats can reach on a model: its convolutions node by node in float and on integers, as the
// runtime's own profiler times them, and the sum of the quicker ones with every conversion for free.
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

const { convertTask } = await import('../support/convert-task.ts');
const { sharedModel } = await import('../support/shared-models.ts');
const rounds = 5;

/** Smallest time of each node over the rounds, by the name of the node, in microseconds. */
async function timesOf(model, feeds) {
  const names = new Map([...model.graph.nodes].map((node) => [node.outputs[0]?.name, node.name]));
  const least = new Map();
  for (let round = 0; round < rounds; round++)
    for (const [output, ms] of await nodeTimes(model, feeds)) {
      const name = names.get(output);
      least.set(name, Math.min(least.get(name) ?? Number.POSITIVE_INFINITY, 1000 * ms));
    }
  return least;
}

/** What decides which kernel is the quicker one. */
function kindOf(conv) {
  const [channels, inner, ...window] = conv.input(1).shape;
  if (inner <= 3 && conv.int('group', 1) === 1) return 'of 3 channels or fewer';
  if (conv.int('group', 1) === channels) return 'depthwise';
  return window.every((size) => size === 1) ? '1 × 1' : 'others';
}

for (const slug of process.argv.length > 2 ? process.argv.slice(2) : ['yunet-face', 'fastestdet']) {
  const task = await convertTask(slug);
  const path = sharedModel(slug);
  const float = await loadModel(path);
  const session = await openModel(float, {});
  const dataset = await openDataset(task.dir, session.inputs);
  const [{ feeds }] = await syntheticFeeds(float, session, { seed: 0, samples: 1 });
  await session.dispose();
  const context = { compute: createCompute(), activations: createActivations(dataset, { seed: 0 }), signal: new AbortController().signal, seed: 0 };
  await runSteps(float, ['simplify', 'fuse', 'simplify'].flatMap(parseStep), { context });
  for (const [at, node] of [...float.graph.nodes].entries()) node.name = `n${at}`;
  const integer = cloneModel(float);
  await runSteps(integer, parseStep('quantize-static:place=all,cpu=vnni'), { context });
  const [inFloat, onIntegers] = [await timesOf(float, feeds), await timesOf(integer, feeds)];
  const groups = new Map();
  let [total, best, convolutions, unknown] = [0, 0, 0, 0];
  for (const us of inFloat.values()) total += us;
  for (const node of float.graph.nodes) {
    if (node.op !== 'Conv') continue;
    const [own, other] = [inFloat.get(node.name), onIntegers.get(node.name)];
    if (own === undefined || other === undefined) {
      unknown++;
      continue;
    }
    const group = groups.get(kindOf(node)) ?? { count: 0, own: 0, other: 0, least: 0 };
    group.count++;
    group.own += own;
    group.other += other;
    group.least += Math.min(own, other);
    groups.set(kindOf(node), group);
    convolutions += own;
    best += Math.min(own, other);
  }
  const rest = total - convolutions;
  console.log(`\n| ${slug} | nodes | float, µs | integers, µs | quicker of both, µs |\n| --- | --: | --: | --: | --: |`);
  for (const [kind, { count, own, other, least }] of groups) console.log(`| ${kind} | ${count} | ${own.toFixed(0)} | ${other.toFixed(0)} | ${least.toFixed(0)} |`);
  console.log(`| all else | | ${rest.toFixed(0)} | | ${rest.toFixed(0)} |\n| together | | ${total.toFixed(0)} | | ${(best + rest).toFixed(0)} |`);
  console.log(`\nBound: ×${((best + rest) / total).toFixed(2)} of float, conversions free; ×${(best / total).toFixed(2)} if all else took no time. ${unknown} convolutions without a time.`);
  await dataset.close();
  await task.remove();
}
