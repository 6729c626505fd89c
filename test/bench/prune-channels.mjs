// Structured pruning of a shared model: task metric, multiply-accumulates and latency (interleaved with the model as it came) of the same cut
// without and with repair.
//
//   npm run build && node test/bench/prune-channels.mjs [model=cifar10-resnet20] [--macs 0.7] [--seconds 3] [--samples 1000] [--only TEXT]
//
// Needs ../shared/models. Prints a Markdown table; docs/structured-pruning.md holds one. Latency wants a quiet machine.
import '../support/ts-loader.mjs';
import { parseStep } from '../../dist/src/cli/steps.js';
import { openDataset } from '../../dist/src/data/open-dataset.js';
import { createActivations } from '../../dist/src/engine/activations.js';
import { createCompute } from '../../dist/src/engine/compute.js';
import { createJudge } from '../../dist/src/engine/judge.js';
import { evaluate } from '../../dist/src/engine/evaluate.js';
import { openModel } from '../../dist/src/engine/open-model.js';
import { median } from '../../dist/src/engine/stats.js';
import { inferShapes } from '../../dist/src/ir/infer/infer.js';
import { countMacs } from '../../dist/src/ir/macs.js';
import { loadModel } from '../../dist/src/onnx/load.js';
import { runSteps } from '../../dist/src/pass/pipeline.js';

const { convertTask } = await import('../support/convert-task.ts');
const { haveSharedModels, sharedModel } = await import('../support/shared-models.ts');
if (!haveSharedModels) throw new Error('../shared/models is needed');

const args = process.argv.slice(2);
const flag = (name, fallback) => (args.includes(name) ? args.splice(args.indexOf(name), 2)[1] : fallback);
const macs = Number(flag('--macs', 0.7));
const seconds = Number(flag('--seconds', 3));
const samples = Number(flag('--samples', 1000));
const only = flag('--only', '');
const [slug = 'cifar10-resnet20'] = args;

const task = await convertTask(slug);
const dataset = await openDataset(task.dir);
const signal = new AbortController().signal;

async function build(steps) {
  const model = await loadModel(sharedModel(slug));
  const context = {
    compute: createCompute(),
    activations: createActivations(dataset, { seed: 0 }),
    judge: createJudge(dataset, { seed: 0 }),
    signal,
    seed: 0,
  };
  const started = performance.now();
  await runSteps(model, ['simplify', 'fuse', ...steps].flatMap(parseStep), { context });
  return { model, took: performance.now() - started };
}

const cut = (round, more = '') => `prune-channels:macs=${macs},round=${round}${more}`;
const variants = [['as it came, simplified and fused', []]];
for (const round of [8, 16]) {
  variants.push([`cut, multiples of ${round}`, [cut(round)]]);
  variants.push([`cut and repaired (bias), multiples of ${round}`, [cut(round, ',repair=true,repairBy=bias')]]);
  variants.push([`cut and repaired (statistics), multiples of ${round}`, [cut(round, ',repair=true,repairBy=statistics')]]);
  variants.push([`cut and repaired, multiples of ${round}`, [cut(round, ',repair=true')]]);
}

// Blocks and channels as far as a drop allows; the same blocks as cut show what repair is worth.
variants.push(['two residual blocks gone, as cut', ['drop-layers:unit=sublayer,count=2']]);
variants.push(['two residual blocks gone, repaired', ['drop-layers:unit=sublayer,count=2,repair=true']]);
variants.push([`prune-search, ${macs} of the multiply-accumulates`, [`prune-search:macs=${macs}`]]);
for (const drop of [0.01, 0.02]) variants.push([`prune-search, a drop of ${drop} allowed`, [`prune-search:maxDrop=${drop}`]]);

const chosen = variants.filter(([name], at) => at === 0 || name.includes(only));
const rows = [];
for (const [name, steps] of chosen) {
  const { model, took } = await build(steps);
  const session = await openModel(model);
  const { metric, value } = await evaluate(session, dataset, { samples });
  let feeds;
  for await (const batch of dataset.batches({ inputs: session.inputs, samples: 1, batch: 1 })) feeds = batch.feeds;
  rows.push({ name, metric, value, took, session, feeds, times: [], macs: countMacs(model, inferShapes(model, { write: false })).total });
}
const end = performance.now() + seconds * 1000 * rows.length;
const timers = rows.map(({ session, feeds }) => session.timer(feeds));
while (performance.now() < end) for (const [index, row] of rows.entries()) row.times.push(...(await timers[index]({ count: 20, settleMs: 0 })));
const [base] = rows;
console.log(`| ${slug} | ${base.metric} | drop | MACs | latency × base | pass took |\n|---|---|---|---|---|---|`);
for (const row of rows) {
  const ratio = median(row.times.map((time, at) => time / base.times[at]));
  console.log(
    `| ${row.name} | ${row.value.toFixed(3)} | ${(base.value - row.value).toFixed(3)} | ${((100 * row.macs) / base.macs).toFixed(1)} % | ${ratio.toFixed(2)} | ${(row.took / 1000).toFixed(1)} s |`,
  );
  await row.session.dispose();
}
await dataset.close();
await task.remove();
