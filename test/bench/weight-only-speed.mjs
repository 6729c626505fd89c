// Wall time and peak memory of quantize-weights on one large linear layer with random weights and inputs.
//
//   npm run build && node test/bench/weight-only-speed.mjs [K] [N] [rows] [method …]
import '../support/ts-loader.mjs';
import { quantizeWeights } from '../../dist/passes/quantize/quantize-weights.js';
import { createCompute } from '../../dist/src/engine/compute.js';
import { gramsOf } from '../../dist/src/engine/grams.js';
import { Graph, Model } from '../../dist/src/ir/graph.js';
import { tensorFrom } from '../../dist/src/ir/tensor.js';
import { tensorType } from '../../dist/src/ir/types.js';
import { runSteps } from '../../dist/src/pass/pipeline.js';

const [k = 4096, n = 4096, count = 8192] = process.argv.slice(2, 5).map(Number);
const methods = process.argv.slice(5);
const normals = (length, scale) => {
  const data = new Float32Array(length);
  for (let i = 0; i < length; i++) data[i] = scale * (Math.random() + Math.random() + Math.random() - 1.5);
  return data;
};
const weights = normals(k * n, 0.05);
const batches = Array.from({ length: Math.ceil(count / 512) }, () => tensorFrom('float32', [512, k], normals(512 * k, 1)));

function layerModel() {
  const graph = new Graph('layer');
  const x = graph.addInput('x', tensorType('float32', ['m', k]));
  const w = graph.addInitializer('w', tensorFrom('float32', [k, n], weights));
  const product = graph.append('MatMul', { inputs: [x, w], outputs: ['y'], types: [tensorType('float32', ['m', n])] });
  graph.addOutput(product.output());
  return new Model(graph, 21, 10);
}

const activations = {
  source: 'data',
  samples: batches.length,
  grams: (model, requests, visit, how) =>
    gramsOf(model, requests, () => batches.map((x) => ({ feeds: new Map([['x', x]]), size: 1 })), visit, undefined, how),
};
for (const method of methods.length > 0 ? methods : ['rtn', 'clip', 'kquant', 'gptq']) {
  const context = { compute: createCompute(), activations, signal: new AbortController().signal, seed: 0 };
  const started = performance.now();
  const [trace] = await runSteps(layerModel(), [quantizeWeights({ method, symmetric: false })], { context });
  const seconds = (performance.now() - started) / 1e3;
  const rate = (k * n) / seconds / 1e6;
  console.log(
    `${method.padEnd(7)} ${k}×${n} ${seconds.toFixed(2)} s, ${rate.toFixed(1)} million weights a second, peak ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB; ${trace.applications[0]?.detail}`,
  );
}
