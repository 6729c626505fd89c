import { describe, expect, test } from 'vitest';
import { createSyntheticActivations } from '../../src/engine/activations.ts';
import { compareLayers } from '../../src/engine/compare-layers.ts';
import { syntheticFeeds } from '../../src/engine/feeds.ts';
import { openSession } from '../../src/engine/session.ts';
import { loadModel } from '../../src/onnx/load.ts';
import { haveSharedModels, sharedModel, sharedModelFiles } from '../support/shared-models.ts';

describe.skipIf(!haveSharedModels)('layers', () => {
  test.each(sharedModelFiles)('%s %s', async (slug, file) => {
    const path = sharedModel(slug, file);
    const model = await loadModel(path);
    const session = await openSession(path);
    const feeds = await syntheticFeeds(model, session, { seed: 1, count: 2 });
    const t = performance.now();
    const r = await compareLayers(model, await loadModel(path), () => feeds);
    const t2 = performance.now();
    const act = createSyntheticActivations({ seed: 1 });
    const values = [...model.graph.nodes].flatMap((n) => n.outputs.filter((o) => o !== undefined));
    const ranges = await act.ranges(model, values);
    console.log(
      slug,
      r.layers.length,
      r.firstBad,
      Math.min(...r.layers.map((l) => l.sqnrDb)),
      t2 - t,
      ranges.size,
      performance.now() - t2,
      [...ranges].slice(0, 2),
    );
    expect(r.firstBad).toBeUndefined();
  });
});
