// Simplify + FP16 of a 500 MB model: wall time and peak memory of ours, and of the Python tools on the same machine.
//
//   npm run build && node test/bench/fp16-large.mjs [megabytes=500] [python=/tmp/venv-rival/bin/python]
//
// Python's job is the same: onnxruntime's offline optimizer (level basic), then onnxruntime.transformers.float16. Without
// that Python (pip install onnx onnxruntime) only ours is measured. Both run alternately, three times; medians count.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { linearStack } from './generate.mjs';

const megabytes = Number(process.argv[2] ?? 500);
const python = process.argv[3] ?? '/tmp/venv-rival/bin/python';
const mlpack = fileURLToPath(new URL('../../dist/bin/mlpack.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'mlpack-bench-'));

const rival = `
import sys, resource, onnx, onnxruntime as ort
from onnxruntime.transformers.float16 import convert_float_to_float16
o = ort.SessionOptions()
o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
o.optimized_model_filepath = sys.argv[2] + '.opt'
ort.InferenceSession(sys.argv[1], o, providers=['CPUExecutionProvider'])
m = onnx.load(sys.argv[2] + '.opt')
onnx.save(convert_float_to_float16(m, keep_io_types=True, disable_shape_infer=True), sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
`;

/** Wall seconds and peak RSS of a command, as GNU time counts them (Debian's package `time`). */
function measure(command, args) {
  const log = join(folder, 'time');
  const run = spawnSync('/usr/bin/time', ['-f', '%e %M', '-o', log, command, ...args], { encoding: 'utf8' });
  if (run.error) throw run.error;
  if (run.status !== 0) throw new Error(`${command} failed: ${run.stderr}`);
  const [seconds, kilobytes] = readFileSync(log, 'utf8').trim().split(' ').map(Number);
  return { seconds, rss: kilobytes * 1024 };
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

try {
  const input = join(folder, 'm.onnx');
  await linearStack(input, megabytes);
  const bytes = statSync(input).size;
  console.log(`input ${(bytes / 1e6).toFixed(0)} MB`);
  const script = join(folder, 'rival.py');
  writeFileSync(script, rival);
  const ours = [];
  const theirs = [];
  for (let round = 0; round < 3; round++) {
    ours.push(measure(process.execPath, [mlpack, 'run', input, 'simplify', 'to-fp16', '-o', join(folder, 'ours.onnx'), '--force', '--quiet']));
    if (existsSync(python)) theirs.push(measure(python, [script, input, join(folder, 'theirs.onnx')]));
  }
  const line = (name, runs) =>
    `${name.padEnd(8)} ${median(runs.map((run) => run.seconds)).toFixed(2)} s, peak RSS ${(median(runs.map((run) => run.rss)) / bytes).toFixed(2)} × the file`;
  console.log(line('mlpack', ours));
  if (theirs.length > 0) {
    console.log(line('python', theirs));
    const ratio = median(theirs.map((run) => run.seconds)) / median(ours.map((run) => run.seconds));
    console.log(`mlpack is ${ratio.toFixed(1)} times as fast; files ${statSync(join(folder, 'ours.onnx')).size} and ${statSync(join(folder, 'theirs.onnx')).size} bytes`);
  } else console.log(`no Python at ${python}: only ours was measured`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
