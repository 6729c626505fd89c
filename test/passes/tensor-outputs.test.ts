import { describe, expect, it } from 'vitest';
import { tensorOutputs } from '../../passes/layout/tensor-outputs.ts';
import { simplify } from '../../passes/simplify/simplify.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import type { Model } from '../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { verify } from '../../src/ir/verify.ts';
import type { Step } from '../../src/pass/pass.ts';
import { runSteps } from '../../src/pass/pipeline.ts';
import { TestContext } from '../support/context.ts';
import { countOps } from '../support/count-ops.ts';
import { runOrt } from '../support/ort.ts';

/** As skl2onnx writes a classifier, its labels numbers or texts. */
const classifier = (labels: string, key: string, outputs: string, more = ''): Model =>
  parseModel(`<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 3]>
main (float[N,2] x) => (int64[N] label, seq(map(${key}, float)) probabilities${outputs})
{
  label, raw = ai.onnx.ml.LinearClassifier <coefficients = [1.0, -1.0, 0.5, 2.0, -0.5, 0.25], intercepts = [0.0, 0.1, 0.2], classlabels_ints = [0, 1, 2], multi_class = 1, post_transform = "SOFTMAX"> (x)
  scores = ai.onnx.ml.Normalizer <norm = "L1"> (raw)
  probabilities = ai.onnx.ml.ZipMap <${labels}> (scores)
${more}}`);

const run = async (model: Model, ...steps: Step[]) => (await runSteps(model, steps, { context: new TestContext() }))[0];

const feeds = new Map([['x', tensorFrom('float32', [3, 2], new Float32Array([1, 2, -3, 0.5, 0, 0]))]]);
const probabilities = async (model: Model, name: string): Promise<number[]> => {
  const [got] = await runOrt(model, [feeds]);
  return [...typedArray(got?.get(name) as never, 'float32')];
};

describe('tensor-outputs', () => {
  it('gives the tensor in front of a ZipMap under the name of its maps', async () => {
    const model = classifier('classlabels_int64s = [4, 1, 7]', 'int64', '');
    const trace = await run(model, tensorOutputs());
    expect(trace?.applications).toMatchObject([
      { rule: 'zip-map', detail: '"probabilities" is a tensor; its columns are the classes 4, 1, 7' },
    ]);
    expect(countOps(model)['ZipMap'] ?? countOps(model)['ai.onnx.ml:ZipMap'] ?? 0).toBe(0);
    expect(model.graph.outputs.map(({ name, type }) => [name, type])).toEqual([
      ['label', expect.anything()],
      ['probabilities', { kind: 'tensor', dtype: 'float32', shape: ['N', 3] }],
    ]);
    expect(verify(model)).toEqual([]);
    const scores = classifier('classlabels_int64s = [4, 1, 7]', 'int64', ', float[N,3] scores');
    expect(await probabilities(model, 'probabilities')).toEqual(await probabilities(scores, 'scores'));
    expect((await run(model, tensorOutputs()))?.changed).toBe(false);
  });

  it('leaves scores that are an output themselves, and the names of text classes in their order', async () => {
    const model = classifier('classlabels_strings = ["no", "maybe", "yes"]', 'string', ', float[N,3] scores');
    const trace = await run(model, tensorOutputs());
    expect(trace?.applications[0]?.detail).toContain('no, maybe, yes');
    const simple = cloneModel(model);
    await run(simple, simplify());
    for (const one of [model, simple]) {
      expect(one.graph.outputs.map(({ name }) => name)).toEqual(['label', 'probabilities', 'scores']);
      expect(await probabilities(one, 'probabilities')).toEqual(await probabilities(one, 'scores'));
    }
  });

  it('keeps maps that something else reads', async () => {
    const model = classifier(
      'classlabels_int64s = [0, 1, 2]',
      'int64',
      ', int64 count',
      '  count = SequenceLength (probabilities)\n',
    );
    await run(model, tensorOutputs());
    expect(verify(model)).toEqual([]);
    expect(model.graph.outputs[1]?.type).toMatchObject({ kind: 'tensor', dtype: 'float32' });
    expect([...model.graph.nodes].map(({ op }) => op)).toContain('ZipMap');
  });

  it('leaves a model without maps as it is', async () => {
    const model = parseModel(
      '<ir_version: 8, opset_import: ["" : 17]>\nmain (float[N] x) => (float[N] y)\n{\n  y = Relu (x)\n}',
    );
    expect((await run(model, tensorOutputs()))?.changed).toBe(false);
  });
});
