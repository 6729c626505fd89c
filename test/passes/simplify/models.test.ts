import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { simplify } from '../../../passes/simplify/simplify.ts';
import { loadModel } from '../../../src/onnx/load.ts';
import { countNodes, runSteps } from '../../../src/pass/pipeline.ts';
import { verify } from '../../../src/ir/verify.ts';
import { TestContext } from '../../support/context.ts';
import { signature } from '../../support/golden.ts';
import { type Feeds, runOrt } from '../../support/ort.ts';
import { openSession } from '../../../src/engine/session.ts';
import { encodeModel } from '../../../src/onnx/encode.ts';
import type { Tensor } from '../../../src/ir/tensor.ts';
import { haveSharedModels, sharedModel, sharedModelFiles } from '../../support/shared-models.ts';
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

/**
 * The runtime as plain as it gets: no optimizer, and no prepacking, which computes a product with a constant weight in
 * another order than one with a computed weight of the same bits.
 */
async function runPlain(bytes: Uint8Array, feeds: readonly Feeds[]): Promise<Feeds[]> {
  const session = await openSession(bytes, {
    graphOptimizationLevel: 'disabled',
    threads: 1,
    extra: { 'session.disable_prepacking': '1' },
  });
  const results: Feeds[] = [];
  for (const one of feeds) results.push(await session.run(one));
  await session.dispose();
  return results;
}

/** Outputs that differ in type, shape or any bit. */
function differences(expected: Feeds, actual: Feeds): string[] {
  const form = (tensor: Tensor | undefined) => `${tensor?.dtype}[${tensor?.shape}]`;
  return [...expected].flatMap(([name, want]) => {
    const got = actual.get(name);
    if (form(got) !== form(want)) return [`${name}: ${form(got)}, not ${form(want)}`];
    return got && Buffer.compare(got.bytes(), want.bytes()) === 0 ? [] : [`${name}: other bits`];
  });
}
