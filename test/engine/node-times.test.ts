import { expect, it } from 'vitest';
import { nodeTimes } from '../../src/engine/node-times.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';

it('reads the times of a model whose branches have names with quotes', async () => {
  const model = parseModel(`<ir_version: 10, opset_import: ["" : 17]>
g (float[2,4] x, bool c) => (float[2,4] y) {
  p = If <then_branch = yes () => (float[2,4] t) { t = Relu (x) }, else_branch = no () => (float[2,4] e) { e = Neg (x) }> (c)
  y = Add (p, x)
}`);
  for (const graph of model.graphs()) if (graph !== model.graph) for (const node of graph.nodes) node.name = 'say "hi"';
  const feeds = new Map([
    ['x', tensorFrom('float32', [2, 4], new Float32Array(8))],
    ['c', tensorFrom('bool', [], Uint8Array.of(1))],
  ]);
  expect([...(await nodeTimes(model, feeds)).keys()].sort()).toEqual(['p', 'y']);
});
