import { expect, test } from 'vitest';
import { measureSensitivity } from '../../../../passes/quantize/mixed/sensitivity.ts';
import { quantizeStatic } from '../../../../passes/quantize/quantize-static.ts';
import { quantizeWeights } from '../../../../passes/quantize/quantize-weights.ts';
import { createJudge } from '../../../../src/engine/judge.ts';
import { resolveOptions } from '../../../../src/pass/resolve-options.ts';
import { TestContext } from '../../../support/context.ts';
import { plantedLayers, plantedModel } from '../../../support/planted.ts';

async function measure(budgetMs: number): ReturnType<typeof measureSensitivity> {
  const model = plantedModel();
  const judge = await createJudge(undefined, { seed: 1 })(model);
  const { calibrate, cpu } = resolveOptions(quantizeStatic, {});
  const { block, method } = resolveOptions(quantizeWeights, {});
  const formats = ['int8-dynamic'] as const;
  try {
    const options = { formats, calibrate, cpu, block, method, samples: 2, timed: false, budgetMs };
    return await measureSensitivity(model, judge, options, new TestContext());
  } finally {
    await judge.dispose();
  }
}

test('a budget that is over leaves layers out by name; one that is not gives all, in the order of the graph', async () => {
  const none = await measure(0);
  expect(none.layers).toEqual([]);
  expect(none.unmeasured).toHaveLength(plantedLayers.length + 1);
  for (const { why } of none.unmeasured) expect(why).toMatch(/^the 0 s for it were over/);
  const all = await measure(600_000);
  expect(all.unmeasured).toEqual([]);
  expect(all.layers.map(({ label }) => label)).toEqual([...plantedLayers, 'head']);
});
