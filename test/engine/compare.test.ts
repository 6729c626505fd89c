import { describe, expect, test } from 'vitest';
import { createSyntheticActivations } from '../../src/engine/activations.ts';
import { compare, type FeedBatch, toFidelity } from '../../src/engine/compare.ts';
import { compareLayers } from '../../src/engine/compare-layers.ts';
import { syntheticFeeds } from '../../src/engine/feeds.ts';
import { openModel } from '../../src/engine/open-model.ts';
import { openSession } from '../../src/engine/session.ts';
import type { DType } from '../../src/ir/dtype.ts';
import { Graph, Model } from '../../src/ir/graph.ts';
import { type ArrayDType, tensorFrom, tensorOf } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { tensorType } from '../../src/ir/types.ts';
import type { Tolerance } from '../../src/kernels/error.ts';
import { loadModel } from '../../src/onnx/load.ts';
import { haveSharedModels, sharedModel, sharedModelFiles } from '../support/shared-models.ts';

/** hidden = x · factor, y = hidden + shift, y a graph output. */
function affine(factor: readonly number[], shift: readonly number[], dtype: DType = 'float32'): Model {
  const graph = new Graph('g');
  const type = tensorType(dtype, ['n', factor.length]);
  const x = graph.addInput('x', type);
  const constant = (name: string, values: readonly number[]) =>
    graph.addInitializer(name, tensorOf(dtype as ArrayDType, [values.length], values));
  const hidden = graph.append('Mul', {
    name: 'scale',
    inputs: [x, constant('factor', factor)],
    outputs: ['hidden'],
    types: [type],
  });
  const y = graph.append('Add', {
    name: 'shift',
    inputs: [hidden.output(), constant('shift', shift)],
    outputs: ['y'],
    types: [type],
  });
  graph.addOutput(y.output());
  return new Model(graph, 17, 8);
}

function rows(...values: number[][]): FeedBatch {
  const width = values[0]?.length ?? 0;
  return {
    feeds: new Map([['x', tensorFrom('float32', [values.length, width], Float32Array.from(values.flat()))]]),
    size: values.length,
  };
}

async function compareModels(a: Model, b: Model, batches: readonly FeedBatch[], tolerance?: Tolerance) {
  const base = await openModel(a);
  const candidate = await openModel(b);
  try {
    return await compare(base, candidate, batches, undefined, tolerance);
  } finally {
    await base.dispose();
    await candidate.dispose();
  }
}

describe('compare', () => {
  test('holds elements against a tolerance, over all batches', async () => {
    const tolerance = { rtol: 0, atol: 0.5 };
    const batches = [rows([1, 2], [3, 4]), rows([1, 1])];
    const off = await compareModels(affine([1, 1], [0, 0]), affine([1, 1], [0, 1]), batches, tolerance);
    // The error is 1 everywhere; granted are 0.5 · 4 in the first batch, 0.5 · 1 in the second.
    expect(off.outputs[0]?.toleranceUsed).toBe(2);
    expect((await compareModels(affine([1, 1], [0, 0]), affine([1, 1], [0, 1]), batches)).outputs[0]).toMatchObject({
      toleranceUsed: undefined,
    });
  });

  test('identical models', async () => {
    const { samples, outputs } = await compareModels(affine([1, 2], [0, 0]), affine([1, 2], [0, 0]), [
      rows([1, 2], [3, 4]),
      rows([5, 6]),
    ]);
    expect(samples).toBe(3);
    expect(outputs).toHaveLength(1);
    expect(outputs[0]).toMatchObject({
      name: 'y',
      elements: 6,
      sqnrDb: Number.POSITIVE_INFINITY,
      cosine: 1,
      maxAbs: 0,
      maxRel: 0,
      agreement: 1,
    });
    expect(toFidelity({ samples, outputs })).toEqual({ sqnrDb: null, cosine: 1, maxAbs: 0, samples: 3, agreement: 1 });
  });

  test('measures by hand', async () => {
    const { samples, outputs } = await compareModels(affine([1, 1], [0, 0]), affine([1, 1], [0, 1]), [
      rows([3, 0], [0.5, 0]),
    ]);
    // base [3 0 | 0.5 0], candidate [3 1 | 0.5 1]: Σx² = 9.25, Σ(x−y)² = 2, Σxy = 9.25, Σy² = 11.25
    const [y] = outputs;
    expect(y?.sqnrDb).toBeCloseTo(10 * Math.log10(9.25 / 2), 10);
    expect(y?.cosine).toBeCloseTo(9.25 / Math.sqrt(9.25 * 11.25), 10);
    expect(y?.maxAbs).toBe(1);
    expect(y?.maxRel).toBeCloseTo(1 / Math.sqrt(9.25 / 4), 6);
    expect(y?.agreement).toBe(0.5);
    expect(toFidelity({ samples, outputs }).agreement).toBe(0.5);
  });

  test('samples of several positions agree as a whole, and position by position', async () => {
    const pass = (bias: number): Model =>
      parseModel(`<ir_version: 8, opset_import: ["" : 13]>
g (float[N,S,2] x) => (float[N,S,2] y) <float[2] b = {0, ${bias}}> { y = Add (x, b) }`);
    const x = tensorFrom('float32', [2, 3, 2], Float32Array.of(3, 0, 0.5, 0, 3, 0, 3, 0, 3, 0, 3, 0));
    const { outputs } = await compareModels(pass(0), pass(1), [{ feeds: new Map([['x', x]]), size: 2 }]);
    expect(outputs[0]?.agreement).toBe(0.5);
    expect(outputs[0]?.positionAgreement).toBeCloseTo(5 / 6, 12);
  });

  test('rows beyond the size do not vote', async () => {
    const { outputs, samples } = await compareModels(affine([1, 1], [0, 0]), affine([1, 1], [0, 1]), [
      { ...rows([3, 0], [0.5, 0]), size: 1 },
    ]);
    expect([samples, outputs[0]?.agreement]).toEqual([1, 1]);
  });

  test('infinities of the candidate alone are counted and never look good', async () => {
    const result = await compareModels(affine([1, 1], [0, 0]), affine([1, Number.POSITIVE_INFINITY], [0, 0]), [
      rows([1, 1]),
    ]);
    expect(result.outputs[0]).toMatchObject({ sqnrDb: Number.NEGATIVE_INFINITY, nonFinite: { base: 0, candidate: 1 } });
    expect(toFidelity(result)).toMatchObject({ sqnrDb: -200, cosine: 0, maxAbs: Number.MAX_VALUE });
  });

  test('the same infinities on both sides are no difference', async () => {
    const inf = affine([1, Number.POSITIVE_INFINITY], [0, 0]);
    const { outputs } = await compareModels(inf, affine([1, Number.POSITIVE_INFINITY], [0, 0]), [rows([1, 1], [1, 0])]);
    expect(outputs[0]).toMatchObject({
      sqnrDb: Number.POSITIVE_INFINITY,
      maxRel: 0,
      nonFinite: { base: 2, candidate: 2 },
    });
  });

  test('integers are compared in steps', async () => {
    const feeds: FeedBatch = { feeds: new Map([['x', tensorOf('int32', [1, 4], [1, 2, 3, 4])]]), size: 1 };
    const { outputs } = await compareModels(
      affine([1, 1, 1, 1], [0, 0, 0, 0], 'int32'),
      affine([1, 1, 1, 1], [0, 0, 1, -2], 'int32'),
      [feeds],
    );
    expect(outputs[0]?.steps).toEqual({ max: 2, share: 0.5 });
  });

  test('a candidate in another precision gets its inputs cast', async () => {
    const half = affine([1, 1], [0, 0]);
    const graph = new Graph('g');
    const x = graph.addInput('x', tensorType('float16', ['n', 2]));
    graph.addOutput(
      graph
        .append('Cast', { inputs: [x], outputs: ['y'], attrs: { to: 1 }, types: [tensorType('float32', ['n', 2])] })
        .output(),
    );
    const { outputs } = await compareModels(half, new Model(graph, 17, 8), [rows([0.1, 2])]);
    expect(outputs[0]?.sqnrDb).toBeGreaterThan(60);
    expect(outputs[0]?.sqnrDb).toBeLessThan(120);
  });

  test('a missing output is named', async () => {
    const other = affine([1], [0]);
    other.graph.outputs[0]?.producer?.outputs.forEach((output) => {
      if (output) output.name = 'z';
    });
    await expect(compareModels(affine([1], [0]), other, [rows([1])])).rejects.toThrow(
      'The candidate has no output "y"; it has "z".',
    );
  });

  test('a model that gives no numbers is refused, not called equal', async () => {
    const words = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
      m (float[n, 1] x) => (string[n, 1] y) { y = Cast <to = 8> (x) }`);
    await expect(compareModels(words, words, [rows([1])])).rejects.toThrow(
      'no output of numbers that could be compared, only "y" (string)',
    );
  });
});

describe('compare by layers', () => {
  test('finds the first layer that goes wrong, and its node', async () => {
    const result = await compareLayers(affine([1, 2], [0, 0]), affine([1, -2], [0, 0]), () => [rows([1, 2])]);
    expect(result.layers.map((layer) => layer.name)).toEqual(['hidden', 'y']);
    expect(result.firstBad).toMatchObject({ name: 'hidden', node: 'Mul "scale"' });
    const later = await compareLayers(affine([1, 2], [0, 0]), affine([1, 2], [0, 9]), () => [rows([1, 2])]);
    expect(later.layers[0]?.sqnrDb).toBe(Number.POSITIVE_INFINITY);
    expect(later.firstBad).toMatchObject({ name: 'y', node: 'Add "shift"' });
  });

  test('values that share a name by chance are no layer', async () => {
    const other = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
      main (float[N,2] x) => (float[N,2] y)
      < float[2] scale = {1, 2}, int64[1] axis = {0} >
      { hidden = Unsqueeze (x, axis)
        y = Mul (x, scale) }`);
    const { layers, firstBad } = await compareLayers(affine([1, 2], [0, 0]), other, () => [rows([1, 2])]);
    expect(layers.find((layer) => layer.name === 'hidden')?.shapes).toEqual({ base: [1, 2], candidate: [1, 1, 2] });
    expect(firstBad).toBeUndefined();
  });

  test('the limit is the caller’s, and the models stay as they are', async () => {
    const base = affine([1, 2], [0, 0]);
    const result = await compareLayers(base, affine([1, 2.02], [0, 0]), () => [rows([1, 2])], { badBelowDb: 60 });
    expect(result.firstBad?.name).toBe('hidden');
    expect((await compareLayers(base, affine([1, 2.02], [0, 0]), () => [rows([1, 2])])).firstBad).toBeUndefined();
    expect(base.graph.outputs.map((output) => output.name)).toEqual(['y']);
  });
});

/** Those whose inner values are the odd ones: empty tensors, unknown types, subgraphs, integers. */
const oddModels = sharedModelFiles.filter(([slug]) =>
  ['silero-vad', 'stories260k-llama', 'wine-gbdt', 'cifar10-resnet20'].includes(slug),
);

describe.skipIf(!haveSharedModels)('inner values of the shared models', () => {
  test.each(oddModels)('%s %s is equal to itself, and every range holds its values', async (slug, file) => {
    const path = sharedModel(slug, file);
    const model = await loadModel(path);
    const session = await openSession(path);
    const feeds = await syntheticFeeds(model, session, { seed: 1 });
    await session.dispose();
    const { layers, firstBad } = await compareLayers(model, await loadModel(path), () => feeds);
    expect(firstBad).toBeUndefined();
    expect(layers.length).toBeGreaterThan(0);
    const values = [...model.graph.nodes].flatMap((node) => node.outputs.filter((output) => output !== undefined));
    const ranges = await createSyntheticActivations({ seed: 1, samples: 1 }).ranges(model, values);
    expect([...ranges.keys()].sort()).toEqual(
      layers
        .filter((layer) => layer.elements > 0)
        .map((layer) => layer.name)
        .sort(),
    );
  });
});
