import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { simplify } from '../../../passes/simplify/simplify.ts';
import { verify } from '../../../src/ir/verify.ts';
import { encodeModel } from '../../../src/onnx/encode.ts';
import { loadModel } from '../../../src/onnx/load.ts';
import { countNodes, runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';
import { signature } from '../../support/golden.ts';
import { runOrt } from '../../support/ort.ts';
import { haveSharedModels, sharedModel, sharedModelFiles } from '../../support/shared-models.ts';
import { differences, runPlain } from './exact.ts';
import { sharedFeeds } from './feeds.ts';

/** Nodes that are left at most: what was reached once must not be lost. */
const reached: Readonly<Record<string, number>> = {};

describe.skipIf(!haveSharedModels)('simplify on real models', () => {
  for (const [slug, file] of sharedModelFiles) {
    it(`keeps every bit of ${slug}/${file}`, async () => {
      const path = sharedModel(slug, file);
      const model = await loadModel(path);
      const callers = signature(model);
      const before = countNodes(model);
      const [first] = await runSteps(model, [simplify()], { context: new TestContext() });
      const after = countNodes(model);
      console.info(`${slug}/${file}: ${before} → ${after} nodes in ${first?.ms.toFixed(0)} ms`);
      expect(verify(model)).toEqual([]);
      expect(signature(model)).toBe(callers);
      expect(after).toBeLessThanOrEqual(reached[`${slug}/${file}`] ?? before);

      const feeds = sharedFeeds(slug, 3);
      const expected = await runPlain(readFileSync(path), feeds);
      const actual = await runPlain(encodeModel(model), feeds);
      expect(expected.flatMap((want, i) => differences(want, actual[i] ?? new Map()))).toEqual([]);
      await runOrt(model, feeds, 'all');
      const [second] = await runSteps(model, [simplify()], { context: new TestContext() });
      expect(second?.applied, 'a second run does something').toEqual({});
    });
  }
});
