/**
 * Generated C against ONNX Runtime: working memory against its lower bound, outputs, and time on one thread, interleaved.
 *
 *   npm run build && node test/bench/embedded-c.mjs [--cc gcc] [--flags "-O3 -march=native"] [--runs 200] [model.onnx …]
 *
 * Without models: digits, and the convolutional ones of ../shared/models where that folder is there. An 8-bit model is one more file. Time it on a
 * quiet machine.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { makeArtifact } from '../../dist/src/cli/artifact.js';
import { fromGolden } from '../../dist/src/cli/golden.js';
import { openSession } from '../../dist/src/engine/session.js';
import { median } from '../../dist/src/engine/stats.js';
import { buildBundle } from '../../dist/src/target/bundle.js';
import { embeddedC } from '../../dist/targets/embedded-c/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cc: { type: 'string', default: 'gcc' },
    flags: { type: 'string', default: '-O3 -march=native' },
    runs: { type: 'string', default: '200' },
  },
});
const root = fileURLToPath(new URL('../..', import.meta.url));
const usual = [
  'models/digits/model.onnx',
  ...['cifar10-resnet20', 'imagenet-mobilenetv1-050', 'fastestdet', 'yunet-face'].map(
    (name) => `../shared/models/${name}/model.onnx`,
  ),
  '../shared/models/imagenet-mobilenetv1-050/model_qdq.onnx',
].map((path) => join(root, path));
const models = positionals.length > 0 ? positionals : usual.filter((path) => existsSync(path));
const rounds = 5;

for (const file of models) {
  const place = mkdtempSync(join(tmpdir(), 'mlpack-bench-c-'));
  try {
    await measure(file, place);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/**
 * @param {string} file
 * @param {string} place
 */
async function measure(file, place) {
  const { signal } = new AbortController();
  const source = { name: 'model', variant: 'given', file, dataset: undefined, seed: 0, shapes: [] };
  const artifact = await makeArtifact({ ...source, wantsGraph: true, signal });
  const bundle = join(place, 'bundle');
  await buildBundle(embeddedC, artifact, {}, bundle);
  const binary = join(place, 'golden');
  const sources = ['model.c', 'test/golden.c', '-lm', '-o', binary];
  execFileSync(values.cc, ['-std=c99', ...values.flags.split(' '), ...sources], { cwd: bundle });
  const run = () => execFileSync(binary, ['golden', place, values.runs], { cwd: bundle, encoding: 'utf8' });
  const session = await openSession(file, { intraOpNumThreads: 1, label: file });
  const feeds = new Map(artifact.golden[0].inputs.map((input) => [input.name, fromGolden(input)]));
  const times = { c: [], ort: [] };
  let worst = 0;
  for (let round = 0; round < rounds; round++) {
    const ort = [];
    for (let i = 0; i < Number(values.runs); i++) {
      const start = performance.now();
      await session.run(feeds);
      ort.push((performance.now() - start) * 1e3);
    }
    times.ort.push(median(ort));
    const said = run();
    times.c.push(median([...said.matchAll(/ns (\d+)/g)].map((match) => Number(match[1]) / 1e3)));
    for (const [, difference, scale] of said.matchAll(/difference (\S+) of (\S+)/g))
      worst = Math.max(worst, Number(difference) / Number(scale));
  }
  await session.dispose();
  const { arenaBytes, lowerBoundBytes } = JSON.parse(readFileSync(join(bundle, 'memory.json'), 'utf8'));
  const [c, ort] = [median(times.c), median(times.ort)];
  console.log(
    `${basename(dirname(file))}/${basename(file)}: ${arenaBytes} B, ${(arenaBytes / lowerBoundBytes).toFixed(3)} × least; relative difference ${worst.toExponential(1)}; ` +
      `C ${c.toFixed(0)} µs, ONNX Runtime ${ort.toFixed(0)} µs, ratio ${(c / ort).toFixed(2)}`,
  );
}
