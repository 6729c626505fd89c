#!/usr/bin/env node
/**
 * The bars of the mobile target on the shared models: the ORT-format files answer as the ONNX model does, and the operator
 * configs are the official converter's, line by line.
 *
 *   npm run -s build && node test/bench/mobile.mjs [--python <interpreter with onnxruntime 1.30>] [model…]
 *
 * Without --python the configs are not compared, and the table says so. Exit code 1 where a bar does not hold.
 */
import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeArtifact } from '../../dist/src/cli/artifact.js';
import { programRunners } from '../../dist/src/cli/program-runners.js';
import { externalFiles } from '../../dist/src/onnx/external-files.js';
import { loadModel } from '../../dist/src/onnx/load.js';
import { buildBundle } from '../../dist/src/target/bundle.js';
import { checkBundle } from '../../dist/src/target/check.js';
import { mobile } from '../../dist/targets/mobile/index.js';
import { shapesOf, sharedFiles } from './shared-files.mjs';

const { values, positionals } = parseArgs({ options: { python: { type: 'string' } }, allowPositionals: true });
const dir = await mkdtemp(join(tmpdir(), 'mlpack-bench-mobile-'));
let failed = false;
try {
  console.log('| model | files | largest difference | configs | verdicts |');
  console.log('|---|---|---|---|---|');
  for (const { slug, file } of sharedFiles(positionals)) console.log(await row(slug, file));
} finally {
  await rm(dir, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;

async function row(slug, file) {
  const out = join(dir, slug.replaceAll('/', '-'));
  try {
    const name = slug.replace(/[^A-Za-z0-9.]+/g, '-');
    const artifact = await makeArtifact({ name, variant: 'given', file, dataset: undefined, seed: 1, shapes: shapesOf(slug) });
    await buildBundle(mobile, artifact, {}, out);
    const { ok, findings, replays } = await checkBundle(out, { runners: programRunners });
    const worst = Math.max(...replays.map(({ maxAbs }) => maxAbs));
    const configs = values.python === undefined ? 'not compared' : await compareConfigs(out, file);
    failed ||= !ok || !(['equal', 'not compared'].includes(configs) || configs.startsWith('the converter fails'));
    const report = JSON.parse(await readFile(join(out, 'usability.json'), 'utf8'));
    const verdicts = report.providers.map(({ id, verdict }) => `${id} ${verdict}`).join(', ');
    const found = ok ? replays.length : findings.map(({ message }) => message).join(' ');
    return `| ${slug} | ${found} | ${worst.toPrecision(2)} | ${configs} | ${verdicts} |`;
  } catch (error) {
    failed = true;
    return `| ${slug} | ${error.message} | | | |`;
  }
}

/** Runs the official converter and compares the lines of its four configs, comments apart. */
async function compareConfigs(bundle, file) {
  const work = join(bundle, '..', 'official');
  await rm(work, { recursive: true, force: true });
  await mkdir(work);
  await copyFile(file, join(work, 'model.onnx'));
  for (const name of externalFiles(await loadModel(file))) await copyFile(join(dirname(file), name), join(work, name));
  const convert = (...flags) =>
    execFileSync(
      values.python,
      ['-m', 'onnxruntime.tools.convert_onnx_models_to_ort', '--target_platform', 'arm', ...flags, join(work, 'model.onnx')],
      { stdio: 'pipe' },
    );
  try {
    convert();
    convert('--enable_type_reduction');
  } catch (error) {
    return `the converter fails: ${String(error.stderr).trim().split('\n').at(-1)}`;
  }
  const names = (await readdir(work)).filter((name) => name.endsWith('.config'));
  const differing = [];
  for (const name of names) {
    const [a, b] = await Promise.all([work, join(bundle, 'model')].map((place) => lines(join(place, name))));
    if (a !== b) differing.push(name);
  }
  return names.length === 4 && differing.length === 0 ? 'equal' : `differ: ${differing.join(', ')}`;
}

async function lines(path) {
  return (await readFile(path, 'utf8'))
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n');
}
