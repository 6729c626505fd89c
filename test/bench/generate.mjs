// Generated models for benchmarks, written with mlpack's own IR and codec (from dist/: run `npm run build` first).
import { Graph, Model } from '../../dist/src/ir/graph.js';
import { computedTensor, tensorFrom } from '../../dist/src/ir/tensor.js';
import { tensorType } from '../../dist/src/ir/types.js';
import { saveModel } from '../../dist/src/onnx/save.js';

/** A cheap, seeded, roughly normal weight: enough for formats, not for statistics. */
function weights(count, seed) {
  const data = new Float32Array(count);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = (state / 4294967296 - 0.5) * 0.08;
  }
  return new Uint8Array(data.buffer);
}

/** MatMul + Add + Relu blocks of 2048 × 2048 up to the size asked for, with some dead and foldable nodes around. */
export async function linearStack(path, megabytes) {
  const width = 2048;
  const graph = new Graph('stack');
  let value = graph.addInput('x', tensorType('float32', ['batch', width]));
  const layers = Math.max(1, Math.round((megabytes * 1e6) / (width * width * 4)));
  for (let layer = 0; layer < layers; layer++) {
    const w = graph.addInitializer(`w${layer}`, computedTensor('float32', [width, width], () => weights(width * width, layer)));
    const b = graph.addInitializer(`b${layer}`, tensorFrom('float32', [width], new Float32Array(width)));
    const product = graph.append('MatMul', { name: `matmul${layer}`, inputs: [value, w] }).output();
    const sum = graph.append('Add', { name: `add${layer}`, inputs: [product, b] }).output();
    const same = graph.append('Identity', { name: `identity${layer}`, inputs: [sum] }).output();
    value = graph.append('Relu', { name: `relu${layer}`, inputs: [same] }).output();
  }
  value.name = 'y';
  value.type = tensorType('float32', ['batch', width]);
  graph.addOutput(value);
  await saveModel(new Model(graph, 17, 8), path, { force: true });
}

/** `count` small nodes: chains of elementwise work with identities, shape arithmetic and constants to fold. */
export async function manyNodes(path, count) {
  const graph = new Graph('many');
  const x = graph.addInput('x', tensorType('float32', ['batch', 64]));
  const two = graph.addInitializer('two', tensorFrom('float32', [], Float32Array.of(2)));
  let value = x;
  for (let node = 0; node < count; node += 8) {
    const constant = graph.append('Add', { inputs: [two, two] }).output();
    const scaled = graph.append('Mul', { inputs: [value, constant] }).output();
    const same = graph.append('Identity', { inputs: [scaled] }).output();
    const shape = graph.append('Shape', { inputs: [same] }).output();
    const flat = graph.append('Reshape', { inputs: [same, shape] }).output();
    const relu = graph.append('Relu', { inputs: [flat] }).output();
    graph.append('Neg', { inputs: [relu] });
    value = graph.append('Tanh', { inputs: [relu] }).output();
  }
  value.name = 'y';
  value.type = tensorType('float32', ['batch', 64]);
  graph.addOutput(value);
  await saveModel(new Model(graph, 17, 8), path, { force: true });
}
