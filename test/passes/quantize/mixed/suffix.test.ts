import { expect, it } from 'vitest';
import { suffixOf } from '../../../../passes/quantize/mixed/suffix.ts';
import { cutModel } from '../../../../src/ir/cut.ts';
import { inferShapes } from '../../../../src/ir/infer/infer.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';
import { edgeFeeds } from '../../../support/differential.ts';
import { runOrt } from '../../../support/ort.ts';

/** As PyTorch's exporter writes bags of embeddings: a list grows, and what it began with is no tensor. */
const text = `<ir_version: 8, opset_import: ["" : 17]>
m (float[2,3] x) => (float[N,3] y)
<
  float[3,3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}
>
{
  r = Relu (x)
  list = SequenceConstruct (r, r)
  h = MatMul (x, w)
  longer = SequenceInsert (list, h)
  y = ConcatFromSequence <axis = 0> (longer)
}`;

it('makes sequences that are read behind a layer itself, of tensors that can be handed over', async () => {
  const model = parseModel(text);
  inferShapes(model);
  const layer = [...model.graph.nodes].find((node) => node.op === 'MatMul');
  const outputs = [layer?.output()].flatMap((value) => value ?? []);
  const suffix = suffixOf(model, { outputs });
  expect(suffix).toEqual({ outside: ['r'], outputs: ['y'] });
  const part = cutModel(
    model,
    ['h', 'r'].map((name) => ({ name })),
    suffix.outputs,
  );
  const [whole] = await runOrt(model, edgeFeeds(model, 1).slice(0, 1));
  expect(whole?.get('y')?.shape).toEqual([6, 3]);
  const [tail] = await runOrt(part, edgeFeeds(part, 1).slice(0, 1));
  expect(tail?.get('y')?.shape).toEqual([6, 3]);
});
