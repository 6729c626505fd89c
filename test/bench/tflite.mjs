#!/usr/bin/env node
/**
 * The bars of the tflite target on the models of this package and the shared ones: each file runs in an independent
 * interpreter (TensorFlow) and answers as ONNX Runtime does; transposes are counted.
 *
 *   npm run -s build && node test/bench/tflite.mjs --python <interpreter with tensorflow> [model…]
 *
 * Without --python only mlpack's own interpreter answers, and the table says so. `--file name=model.onnx` adds a model.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeArtifact } from '../../dist/src/cli/artifact.js';
import { programRunners } from '../../dist/src/cli/program-runners.js';
import { buildBundle } from '../../dist/src/target/bundle.js';
import { checkBundle } from '../../dist/src/target/check.js';
import { tflite } from '../../dist/targets/tflite/index.js';
import { shapesOf, sharedFiles } from './shared-files.mjs';

const { values, positionals } = parseArgs({
  options: { python: { type: 'string' }, file: { type: 'string', multiple: true } },
  allowPositionals: true,
});
const script = `
import os, sys, json
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import numpy as np, tensorflow as tf
place = sys.argv[1]
m = json.load(open(place + '/mlpack.json'))
axes = m['programs'][0].get('axes', {})
load = lambda t: np.fromfile(place + '/' + t['file'], dtype=t['dtype']).reshape(t['shape'])
worst = 0
it = tf.lite.Interpreter(model_path=place + '/model.tflite', num_threads=1)
it.allocate_tensors()
ins = {d['name']: d['index'] for d in it.get_input_details()}
outs = {d['name']: d['index'] for d in it.get_output_details()}
for case in m['golden']:
    for t in case['inputs']:
        x = load(t)
        it.set_tensor(ins[t['name']], np.ascontiguousarray(x.transpose(axes[t['name']]) if t['name'] in axes else x))
    it.invoke()
    for t in case['outputs']:
        want, got = load(t), it.get_tensor(outs[t['name']])
        assert got.shape == want.shape, (got.shape, want.shape)
        worst = max(worst, float(np.abs(got.astype('f8') - want).max() / max(float(np.abs(want).max()), 1e-9)))
print(worst)
`;

const dir = await mkdtemp(join(tmpdir(), 'mlpack-bench-tflite-'));
try {
  await writeFile(join(dir, 'run.py'), script);
  console.log('| model | bytes | operators | transposes | own interpreter | TensorFlow |');
  console.log('|---|---|---|---|---|---|');
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
    await buildBundle(tflite, artifact, {}, out);
    const { ok, findings, replays } = await checkBundle(out, { runners: programRunners });
    const report = JSON.parse(await readFile(join(out, 'conversion.json'), 'utf8'));
    const count = Object.values(report.operators).reduce((sum, n) => sum + n, 0);
    const answer = ok ? `ok, ${replays[0].maxAbs.toPrecision(2)}` : findings[0].message;
    const { length } = await readFile(join(out, 'model.tflite'));
    return `| ${slug} | ${length} | ${count} | ${report.transposes} | ${answer} | ${tensorflow(out)} |`;
  } catch (error) {
    return `| ${slug} | ${error.message} | | | | |`;
  }
}

/** Largest difference as a share of the output's largest magnitude. */
function tensorflow(place) {
  if (values.python === undefined) return 'not run';
  const text = execFileSync(values.python, [join(dir, 'run.py'), place], { stdio: ['ignore', 'pipe', 'pipe'] });
  return Number(text.toString().trim().split('\n').at(-1)).toExponential(1);
}
