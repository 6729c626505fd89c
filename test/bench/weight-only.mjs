// Weight-only methods on one synthetic linear layer (512 inputs, 256 outputs, blocks of 32, correlated inputs): signal-to-noise
// ratio of the outputs of 2048 rows that nothing was fitted to, in float32 arithmetic, and the time the pass takes.
//
//   npm run build && node test/bench/weight-only.mjs [bits]
import '../support/ts-loader.mjs';
import { quantizeWeights } from '../../dist/passes/quantize/quantize-weights.js';
import { createCompute } from '../../dist/src/engine/compute.js';
import { gramsOf } from '../../dist/src/engine/grams.js';
import { openModel } from '../../dist/src/engine/open-model.js';
import { Graph, Model } from '../../dist/src/ir/graph.js';
import { tensorFrom, typedArray } from '../../dist/src/ir/tensor.js';
import { tensorType } from '../../dist/src/ir/types.js';
import { addErrors, emptyErrorSums, sqnrDb } from '../../dist/src/kernels/error.js';
import { runSteps } from '../../dist/src/pass/pipeline.js';

const { syntheticLayer } = await import('../support/synthetic-layer.ts');
const bits = Number(process.argv[2] ?? 4);
const [k, n] = [512, 256];
const layer = syntheticLayer(k, n);
const rowsOf = (count, seed) => tensorFrom('float32', [count, k], layer.rows(count, seed));

function layerModel() {
  const graph = new Graph('layer');
  const x = graph.addInput('x', tensorType('float32', ['m', k]));
  const w = graph.addInitializer('w', tensorFrom('float32', [k, n], layer.weights));
  const product = graph.append('MatMul', { inputs: [x, w], outputs: ['y'], types: [tensorType('float32', ['m', n])] });
  graph.addOutput(product.output());
  return new Model(graph, 21, 10);
}

const activationsOf = (rows) => ({
  source: 'data',
  samples: 1,
  grams: (model, requests, visit, how) =>
    gramsOf(model, requests, () => [{ feeds: new Map([['x', rows]]), size: 1 }], visit, undefined, how),
});

async function outputs(model, x) {
  const session = await openModel(model);
  try {
    return typedArray((await session.run(new Map([['x', x]]))).get('y'), 'float32');
  } finally {
    await session.dispose();
  }
}

const fresh = rowsOf(2048, 999);
const expected = await outputs(layerModel(), fresh);
const cases = [
  ['no data', undefined, ['rtn', 'clip', 'kquant', 'hqq']],
  ['4096 rows', activationsOf(rowsOf(4096, 5)), ['clip', 'kquant', 'gptq']],
  ['256 rows', activationsOf(rowsOf(256, 5)), ['clip', 'kquant', 'gptq']],
];
let plain;
for (const [data, activations, methods] of cases) {
  for (const method of methods) {
    for (const symmetric of method === 'hqq' ? [false] : [true, false]) {
      const model = layerModel();
      const context = { compute: createCompute(), activations, signal: new AbortController().signal, seed: 0 };
      const started = performance.now();
      await runSteps(model, [quantizeWeights({ bits, method, symmetric, accuracyLevel: 1, realZeros: method === 'hqq' })], { context });
      const ms = performance.now() - started;
      const db = sqnrDb(addErrors(emptyErrorSums(), expected, await outputs(model, fresh)));
      if (method === 'rtn' && !symmetric) plain = db;
      const against = plain === undefined ? '' : `${db >= plain ? '+' : ''}${(db - plain).toFixed(2)} dB to asymmetric rounding`;
      console.log(`${data.padEnd(10)} ${method.padEnd(7)} ${symmetric ? 'symmetric ' : 'asymmetric'} ${db.toFixed(2)} dB  ${`${ms.toFixed(0)} ms`.padStart(8)}  ${against}`);
    }
  }
}
