// One tool on one file, for ../node-counts.mjs: tool.mjs TOOL SOURCE OUT [FOLDER WITH onnxsim]. Prints `ms N`: from reading the
// file to having written the result, after the same work on a small model.
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { fuse } from '../../../dist/passes/fuse/fuse.js';
import { simplify } from '../../../dist/passes/simplify/simplify.js';
import { createCompute } from '../../../dist/src/engine/compute.js';
import { openSession } from '../../../dist/src/engine/session.js';
import { loadModel } from '../../../dist/src/onnx/load.js';
import { saveModel } from '../../../dist/src/onnx/save.js';
import { runSteps } from '../../../dist/src/pass/pipeline.js';

const [tool, source, out, folder] = process.argv.slice(2);

async function ours(path, to, steps) {
  const model = await loadModel(path);
  const context = { compute: createCompute(), activations: undefined, signal: new AbortController().signal, seed: 0 };
  await runSteps(model, steps, { context });
  await saveModel(model, to, { force: true });
}

async function runtime(path, to, graphOptimizationLevel) {
  const session = await openSession(path, { graphOptimizationLevel, optimizedModelFilePath: to });
  await session.dispose();
}

async function onnxsim(path, to) {
  // Node resolves a bare name from this file; the folder is the user's.
  const library = await import(pathToFileURL(resolve(folder, 'node_modules/onnxsim/index.mjs')).href);
  writeFileSync(to, (await library.simplify(readFileSync(path))).model);
}

const run = {
  simplify: (path, to) => ours(path, to, [simplify()]),
  fuse: (path, to) => ours(path, to, [simplify(), fuse()]),
  basic: (path, to) => runtime(path, to, 'basic'),
  extended: (path, to) => runtime(path, to, 'extended'),
  onnxsim,
}[tool];

await run(new URL('../../../models/digits/model.onnx', import.meta.url).pathname, out);
const start = performance.now();
await run(source, out);
process.stdout.write(`ms ${performance.now() - start}\n`);
process.exit(0);
