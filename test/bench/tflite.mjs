#!/usr/bin/env node
/**
 * The bars of the tflite target on the models of this package and the shared ones: each file runs in LiteRT (the WebAssembly of
 * @litertjs/core) and answers as ONNX Runtime does; transposes are counted.
 *
 *   npm run -s build && node test/bench/tflite.mjs [--python <interpreter with tensorflow>] [--weights float16] [model…]
 *
 * With --python TensorFlow answers, too, in the table on its optimized kernels (XNNPACK); --reference takes its reference kernels, whose rounding of
 * 8-bit products differs (docs/mobile.md). `--file name=model.onnx` adds a model. Differences are shares of each output's largest magnitude.
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
import { openLite } from '../support/litert.mjs';
import { shapesOf, sharedFiles } from './shared-files.mjs';

const { values, positionals } = parseArgs({
  options: {
    python: { type: 'string' },
    reference: { type: 'boolean', default: false },
    weights: { type: 'string', default: 'float32' },
    file: { type: 'string', multiple: true },
  },
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
kind = tf.lite.experimental.OpResolverType
it = tf.lite.Interpreter(model_path=place + '/model.tflite', num_threads=1,
    experimental_op_resolver_type=kind.BUILTIN_REF if 'reference' in sys.argv else kind.AUTO)
it.allocate_tensors()
ins = {d['name']: d['index'] for d in it.get_input_details()}
types = {d['name']: d['dtype'] for d in it.get_input_details()}
outs = {d['name']: d['index'] for d in it.get_output_details()}
for case in m['golden']:
    for t in case['inputs']:
        x = load(t)
        x = x.astype(types[t['name']])
        it.set_tensor(ins[t['name']], np.ascontiguousarray(x.transpose(axes[t['name']]) if t['name'] in axes else x))
    it.invoke()
    for t in case['outputs']:
        want, got = load(t), it.get_tensor(outs[t['name']])
        assert got.shape == want.shape, (got.shape, want.shape)
        worst = max(worst, float(np.abs(got.astype('f8') - want).max() / max(float(np.abs(want).max()), 1e-9)))
print(worst)
`;

const arrays = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array };
const dir = await mkdtemp(join(tmpdir(), 'mlpack-bench-tflite-'));
try {
  await writeFile(join(dir, 'run.py'), script);
  console.log('| model | bytes | operators | transposes | own interpreter | LiteRT | TensorFlow |');
  console.log('|---|---|---|---|---|---|---|');
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
    await buildBundle(tflite, artifact, { weights: values.weights }, out);
    const { ok, findings, replays } = await checkBundle(out, { runners: programRunners });
    const report = JSON.parse(await readFile(join(out, 'conversion.json'), 'utf8'));
    const count = Object.values(report.operators).reduce((sum, n) => sum + n, 0);
    const answer = ok ? `ok, ${replays[0].maxAbs.toPrecision(2)}` : findings[0].message;
    const { length } = await readFile(join(out, 'model.tflite'));
    return `| ${slug} | ${length} | ${count} | ${report.transposes} | ${answer} | ${await litert(out)} | ${tensorflow(out)} |`;
  } catch (error) {
    return `| ${slug} | ${error.message.split('\n')[0]} | | | | | |`;
  }
}

/** Largest difference of LiteRT's outputs as a share of each output's largest magnitude, and absolute. */
async function litert(place) {
  const { golden, programs } = JSON.parse(await readFile(join(place, 'mlpack.json'), 'utf8'));
  const load = async ({ file, dtype }) => {
    const elements = new arrays[dtype](new Uint8Array(await readFile(join(place, file))).buffer);
    return dtype === 'int64' ? Int32Array.from(elements, Number) : elements;
  };
  const run = await openLite(new Uint8Array(await readFile(join(place, 'model.tflite'))));
  let [share, absolute] = [0, 0];
  for (const { inputs, outputs } of golden) {
    const feeds = {};
    for (const input of inputs) {
      const axes = programs[0].axes?.[input.name];
      const plain = await load(input);
      feeds[input.name] = axes
        ? { shape: axes.map((axis) => input.shape[axis]), values: lastOf(plain, input.shape) }
        : { shape: input.shape, values: plain };
    }
    const got = await run(feeds);
    for (const output of outputs) {
      const want = await load(output);
      const { shape, values: own } = got[output.name];
      if (shape.join() !== output.shape.join()) throw new Error(`${output.name}: ${shape} instead of ${output.shape}`);
      const worst = want.reduce((most, value, i) => Math.max(most, Math.abs(value - own[i])), 0);
      const scale = want.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
      share = Math.max(share, worst / scale);
      absolute = Math.max(absolute, worst);
    }
  }
  return `${share.toExponential(1)} (${absolute.toExponential(1)})`;
}

/** Channels last. */
function lastOf(values, [, c, h, w]) {
  const area = h * w;
  return values.map((_, at) => {
    const channel = at % c;
    const pixel = Math.floor(at / c) % area;
    return values[(Math.floor(at / (c * area)) * c + channel) * area + pixel];
  });
}

/** Largest difference as a share of the output's largest magnitude. */
function tensorflow(place) {
  if (values.python === undefined) return 'not run';
  const text = execFileSync(values.python, [join(dir, 'run.py'), place, values.reference ? 'reference' : 'optimized'], { stdio: ['ignore', 'pipe', 'pipe'] });
  return Number(text.toString().trim().split('\n').at(-1)).toExponential(1);
}
