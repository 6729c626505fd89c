import { expect, it } from 'vitest';
import { quantizeDynamic } from '../../../passes/quantize/quantize-dynamic.ts';
import { quantizeWeights } from '../../../passes/quantize/quantize-weights.ts';
import { topologicalOrder } from '../../../src/ir/sort.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { TestContext } from '../../support/context.ts';

/** A branch that reads the weights stands before the node that is looked at first. */
const text = (op: string, x: string, w: string, y: string): string => `<ir_version: 10, opset_import: ["" : 21]>
g (float[${x}] x, bool c) => (float[${y}] y) <float[${w}] w = random(1)>
{
  p = If <then_branch = yes () => (float[${y}] t) { t = ${op} (x, w) }, else_branch = no () => (float[${y}] e) { e = ${op} (x, w) }> (c)
  q = ${op} (x, w)
  y = Add (p, q)
}`;

it.each([
  [
    'quantize-weights',
    () => quantizeWeights.run,
    quantizeWeights({ format: 'qdq' }),
    'MatMul',
    '2,64',
    '64,48',
    '2,48',
  ],
  ['quantize-dynamic', () => quantizeDynamic.run, quantizeDynamic({}), 'Conv', '1,32,3,3', '32,32,3,3', '1,32,1,1'],
])('%s puts what branches read before them', async (_, run, { options }, op, x, w, y) => {
  const model = parseModel(text(op, x, w, y));
  await run()(model, options as never, new TestContext());
  const nodes = [...model.graph.nodes];
  expect(nodes.length).toBeGreaterThan(3);
  expect(topologicalOrder(model.graph)).toEqual(nodes);
});
