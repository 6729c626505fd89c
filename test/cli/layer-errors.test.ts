import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withLayerErrors } from '../../src/cli/optimize/layer-errors.ts';
import { Graph, Model } from '../../src/ir/graph.ts';
import { tensorOf } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { saveModel } from '../../src/onnx/save.ts';
import { layerShape } from '../../src/report/evidence.ts';
import { firstProblem } from '../../src/report/validate.ts';
import { measured } from './measured.ts';

/** x · weight, cut off at 1: whatever overflows in the product does not reach the output. */
function product(weight: number): Model {
  const graph = new Graph('g');
  const type = tensorType('float32', [1, 1]);
  const x = graph.addInput('x', type);
  const w = graph.addInitializer('w', tensorOf('float32', [1, 1], [weight]));
  const node = graph.append('MatMul', { name: 'layer', inputs: [x, w], outputs: ['inner'], types: [type] });
  const [low, high] = [-1, 1].map((bound) => graph.addInitializer(`b${bound}`, tensorOf('float32', [], [bound])));
  const clip = graph.append('Clip', { inputs: [node.output(), low!, high!], outputs: ['y'], types: [type] });
  graph.addOutput(clip.output());
  return new Model(graph, 17, 8);
}

describe('errors of layers in the report', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'mlpack-layers-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const errorOf = async (name: string, weight: number) => {
    mkdirSync(join(folder, 'variants', name), { recursive: true });
    await saveModel(product(weight), join(folder, 'variants', name, 'model.onnx'));
    const { blockers: _, ...rest } = measured(name);
    const variant = { ...rest, verdict: 'recommended' as const, reasons: [] };
    const context = {
      base: product(3),
      dataset: undefined,
      settings: { seed: 0, inputShape: [] },
      session: {
        talk: { progress: () => undefined, warn: () => undefined },
        io: { signal: new AbortController().signal },
      },
      folder,
    };
    const [judged] = await withLayerErrors([variant], context as never);
    return judged?.layers?.[0];
  };

  it('does not call a layer that overflows identical, and stays within the schema', async () => {
    const found = await errorOf('overflows', Number.POSITIVE_INFINITY);
    expect(found).toMatchObject({ node: 'layer', sqnrDb: -200, cosine: 0, maxAbs: Number.MAX_VALUE });
    expect(firstProblem(layerShape.json, JSON.parse(JSON.stringify(found)))).toBeUndefined();
  });

  it('says null for the same layer, and decibels for another', async () => {
    expect(await errorOf('same', 3)).toMatchObject({ sqnrDb: null, cosine: 1, maxAbs: 0 });
    expect((await errorOf('near', 3.3))?.sqnrDb).toBeCloseTo(20, 4);
  });
});
