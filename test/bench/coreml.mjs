#!/usr/bin/env node
/**
 * The coreml target on the models of this package and the shared ones: which convert, and how far the program, run by the interpreter of this package, is from ONNX
 * Runtime. Differences are shares of each output's largest magnitude.
 *
 *   npm run -s build && node test/bench/coreml.mjs [--precision float16] [--file name=model.onnx] [model…]
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeArtifact } from '../../dist/src/cli/artifact.js';
import { programRunners } from '../../dist/src/cli/program-runners.js';
import { buildBundle } from '../../dist/src/target/bundle.js';
import { checkBundle } from '../../dist/src/target/check.js';
import { coreml } from '../../dist/targets/coreml/index.js';
import { runCoreml } from '../../dist/targets/coreml/run.js';
import { shapesOf, sharedFiles } from './shared-files.mjs';

const { values, positionals } = parseArgs({
  options: { precision: { type: 'string', default: 'float32' }, file: { type: 'string', multiple: true } },
  allowPositionals: true,
});
const dir = await mkdtemp(join(tmpdir(), 'mlpack-bench-coreml-'));
try {
  console.log('| model | bytes | operations | check | difference |');
  console.log('|---|---|---|---|---|');
  const own = (values.file ?? []).map((text) => ({ slug: text.split('=')[0], file: text.split('=')[1] }));
  for (const one of [...(own.length > 0 && positionals.length === 0 ? [] : sharedFiles(positionals)), ...own])
    console.log(await row(one));
} finally {
  await rm(dir, { recursive: true, force: true });
}

async function row({ slug, file }) {
  const out = join(dir, slug);
  try {
    const signal = new AbortController().signal;
    const options = { name: slug, variant: 'given', file, dataset: undefined, seed: 1, shapes: shapesOf(slug) };
    const artifact = await makeArtifact({ ...options, wantsGraph: true, signal });
    await buildBundle(coreml, artifact, { precision: values.precision }, out);
    const { ok, findings, replays } = await checkBundle(out, { runners: programRunners });
    const report = JSON.parse(await readFile(join(out, 'conversion.json'), 'utf8'));
    const count = Object.values(report.operations).reduce((sum, n) => sum + n, 0);
    const answer = ok ? `ok, ${replays[0].maxAbs.toPrecision(2)}` : findings[0].message;
    return `| ${slug} | ${report.weightBytes} | ${count} | ${answer} | ${await difference(out)} |`;
  } catch (error) {
    return `| ${slug} | ${error.message.split('\n')[0]} | | | |`;
  }
}

async function difference(place) {
  const { golden } = JSON.parse(await readFile(join(place, 'mlpack.json'), 'utf8'));
  const data = join(place, 'model.mlpackage/Data/com.apple.CoreML');
  const [model, weights] = await Promise.all(
    ['model.mlmodel', 'weights/weight.bin'].map(async (name) => new Uint8Array(await readFile(join(data, name)))),
  );
  const run = runCoreml(model, weights);
  const load = async (tensor) => ({ ...tensor, bytes: new Uint8Array(await readFile(join(place, tensor.file))) });
  let share = 0;
  for (const { inputs, outputs } of golden) {
    const got = run(await Promise.all(inputs.map(load)));
    for (const output of outputs.filter(({ dtype }) => dtype === 'float32')) {
      const want = new Float32Array((await load(output)).bytes.buffer);
      const own = new Float32Array(got.find(({ name }) => name === output.name).bytes.slice().buffer);
      const worst = want.reduce((most, value, i) => Math.max(most, Math.abs(value - own[i])), 0);
      share = Math.max(share, worst / want.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9));
    }
  }
  return share.toExponential(1);
}
