// Peak memory and wall time of quantize-weights and quantize-dynamic on a model with external data: an embedding and a stack of
// MatMuls with random weights; of ONNX Runtime's Python tools too, where an interpreter is named. The memory is told, not limited.
//
//   npm run build && node test/bench/weight-only-large.mjs [gigabytes=3] [--dir /tmp/mlpack-large] [--python /path/to/python]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Graph, Model } from '../../dist/src/ir/graph.js';
import { computedTensor } from '../../dist/src/ir/tensor.js';
import { tensorType } from '../../dist/src/ir/types.js';
import { saveModel } from '../../dist/src/onnx/save.js';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { dir: { type: 'string', default: '/tmp/mlpack-large' }, python: { type: 'string' }, only: { type: 'string' } },
});
const gigabytes = Number(positionals[0] ?? 3);
const [width, wide, vocabulary] = [2048, 8192, 32_000];
const layers = Math.max(1, Math.round((gigabytes * 1e9 - 4 * vocabulary * width) / (8 * width * wide)));
const input = join(flags.dir, `model-${gigabytes}.onnx`);
mkdirSync(flags.dir, { recursive: true });

function randomTensor(rows, columns) {
  return computedTensor('float32', [rows, columns], () => {
    const data = new Float32Array(rows * columns);
    for (let i = 0; i < data.length; i++) data[i] = (Math.random() + Math.random() - 1) * 0.05;
    return new Uint8Array(data.buffer);
  });
}

if (!existsSync(input)) {
  const graph = new Graph('stack');
  const float = (columns) => tensorType('float32', ['n', columns]);
  const ids = graph.addInput('ids', tensorType('int64', ['n']));
  const table = graph.addInitializer('table', randomTensor(vocabulary, width));
  let h = graph.append('Gather', { inputs: [table, ids], types: [float(width)] }).output();
  for (let i = 0; i < layers; i++) {
    const up = graph.addInitializer(`up${i}`, randomTensor(width, wide));
    const down = graph.addInitializer(`down${i}`, randomTensor(wide, width));
    const a = graph.append('MatMul', { inputs: [h, up], types: [float(wide)] }).output();
    const r = graph.append('Relu', { inputs: [a], types: [float(wide)] }).output();
    const d = graph.append('MatMul', { inputs: [r, down], types: [float(width)] }).output();
    h = graph.append('Add', { inputs: [h, d], types: [float(width)] }).output();
  }
  graph.addOutput(h);
  await saveModel(new Model(graph, 17, 8), input, { externalData: 'always' });
}
const size = (path) => statSync(path).size + (existsSync(`${path}.data`) ? statSync(`${path}.data`).size : 0);
console.log(`${(size(input) / 1e9).toFixed(2)} GB, ${layers} blocks of two layers`);

/** Wall seconds, and the most memory that was the process's own (anonymous) and in all, polled from /proc. */
function measure(name, command, args, output) {
  rmSync(output, { force: true });
  rmSync(`${output}.data`, { force: true });
  const run = spawnSync(process.execPath, [fileURLToPath(new URL('watch-memory.mjs', import.meta.url)), command, ...args], {
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  if (run.status !== 0) return console.log(`${name.padEnd(34)} failed: ${run.stderr.trim().split('\n').slice(-3).join(' ')}`);
  const { seconds, anonymous, resident } = JSON.parse(run.stdout.trim().split('\n').at(-1));
  console.log(
    `${name.padEnd(34)} ${seconds.toFixed(1).padStart(6)} s  own memory ${(anonymous / 1e9).toFixed(2)} GB, with mapped files ${(resident / 1e9).toFixed(2)} GB  → ${(size(output) / 1e9).toFixed(2)} GB`,
  );
}

const mlpack = fileURLToPath(new URL('../../dist/bin/mlpack.js', import.meta.url));
const output = join(flags.dir, 'out.onnx');
const ours = {
  'quantize-weights rtn': ['quantize-weights', '--method', 'rtn'],
  'quantize-weights kquant': ['quantize-weights'],
  'quantize-weights rtn 8 bits': ['quantize-weights', '--method', 'rtn', '--bits', '8'],
  'quantize-dynamic': ['quantize-dynamic'],
};
for (const [name, [pass, ...options]] of Object.entries(ours))
  if (!flags.only || flags.only.split(',').includes(name.split(' ').slice(-1)[0]))
    measure(`mlpack ${name}`, process.execPath, [mlpack, pass, input, '-o', output, '--force', '--quiet', ...options], output);
if (flags.python) {
  const weights = `
import sys, onnx
from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer
c = DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=False, accuracy_level=4)
q = MatMulNBitsQuantizer(onnx.load(sys.argv[1]), block_size=32, is_symmetric=False, accuracy_level=4, algo_config=c)
q.process()
q.model.save_model_to_file(sys.argv[2], True)`;
  const dynamic = `
import sys
from onnxruntime.quantization import quantize_dynamic
quantize_dynamic(sys.argv[1], sys.argv[2], use_external_data_format=True, per_channel=True)`;
  measure('python rtn', flags.python, ['-c', weights, input, output], output);
  measure('python quantize_dynamic', flags.python, ['-c', dynamic, input, output], output);
}
rmSync(output, { force: true });
rmSync(`${output}.data`, { force: true });
