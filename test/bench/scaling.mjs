// Cost against graph size: load, simplify + fuse, save for generated graphs of 1k, 10k and 100k nodes. Linear means that
// the time per node stays about the same.
//
//   npm run build && node test/bench/scaling.mjs
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fuse } from '../../dist/passes/fuse/fuse.js';
import { simplify } from '../../dist/passes/simplify/simplify.js';
import { createCompute } from '../../dist/src/engine/compute.js';
import { loadModel } from '../../dist/src/onnx/load.js';
import { saveModel } from '../../dist/src/onnx/save.js';
import { countNodes, runSteps } from '../../dist/src/pass/pipeline.js';
import { manyNodes } from './generate.mjs';

const folder = mkdtempSync(join(tmpdir(), 'mlpack-bench-'));
const context = { compute: createCompute(), activations: undefined, signal: new AbortController().signal, seed: 0 };
try {
  let first;
  for (const count of [1_000, 10_000, 100_000]) {
    const path = join(folder, `${count}.onnx`);
    await manyNodes(path, count);
    const runs = [];
    for (let round = 0; round < 3; round++) {
      const times = [performance.now()];
      const model = await loadModel(path);
      times.push(performance.now());
      await runSteps(model, [simplify(), fuse()], { context });
      times.push(performance.now());
      await saveModel(model, join(folder, 'out.onnx'), { force: true });
      times.push(performance.now());
      runs.push({ load: times[1] - times[0], passes: times[2] - times[1], save: times[3] - times[2], total: times[3] - times[0], left: countNodes(model) });
    }
    const run = runs.sort((a, b) => a.total - b.total)[1];
    const perNode = (1000 * run.total) / count;
    first ??= perNode;
    console.log(
      `${String(count).padStart(7)} nodes (${(statSync(path).size / 1e6).toFixed(1)} MB) → ${run.left}: load ${run.load.toFixed(0)} ms, ` +
        `simplify + fuse ${run.passes.toFixed(0)} ms, save ${run.save.toFixed(0)} ms; ${perNode.toFixed(1)} µs a node (×${(perNode / first).toFixed(2)} of 1k)`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
