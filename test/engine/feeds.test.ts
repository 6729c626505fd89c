import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { syntheticFeeds } from '../../src/engine/feeds.ts';
import { openSession } from '../../src/engine/session.ts';
import { decodeModel } from '../../src/onnx/decode.ts';
import { haveSharedModels, sharedModel, sharedModelFiles } from '../support/shared-models.ts';

describe.skipIf(!haveSharedModels)('feeds', () => {
  test.each(sharedModelFiles)('%s %s', async (slug, file) => {
    const path = sharedModel(slug, file);
    const model = decodeModel(readFileSync(path), { dir: dirname(path) });
    const session = await openSession(path);
    const [batch] = await syntheticFeeds(model, session, { seed: 1 });
    const out = await session.run(batch!.feeds);
    console.log(slug, [...batch!.feeds].map(([n, t]) => `${n}[${t.shape}]`).join(' ').slice(0,200), '->', [...out].map(([n, t]) => `${n}[${t.shape}]`).join(' ').slice(0,150));
    await session.dispose();
  });
});
