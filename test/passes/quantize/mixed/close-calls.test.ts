import { describe, expect, it } from 'vitest';
import { closeCalls, standardError } from '../../../../passes/quantize/mixed/close-calls.ts';
import { measureSensitivity } from '../../../../passes/quantize/mixed/sensitivity.ts';
import { quantizeStatic } from '../../../../passes/quantize/quantize-static.ts';
import { quantizeWeights } from '../../../../passes/quantize/quantize-weights.ts';
import { createJudge } from '../../../../src/engine/judge.ts';
import { resolveOptions } from '../../../../src/pass/resolve-options.ts';
import { TestContext } from '../../../support/context.ts';
import { plantedModel } from '../../../support/planted.ts';

describe('close calls', () => {
  it('are layers whose intervals overlap, the loudest first', () => {
    const layers = [
      { id: 'b', noise: 4.8, error: 0.2 },
      { id: 'far', noise: 20, error: 1 },
      { id: 'a', noise: 5, error: 0.2 },
      { id: 'c', noise: 3, error: 0.1 },
    ];
    expect(closeCalls(layers, 16)).toEqual(['a', 'b']);
    expect(closeCalls(layers, 1)).toEqual(['a']);
    // 4.8 − 1.96 · 0.8 < 3 + 1.96 · 0.2
    expect(
      closeCalls(
        layers.map((layer) => ({ ...layer, error: layer.id === 'b' ? 0.8 : 0.2 })),
        16,
      ),
    ).toEqual(['a', 'b', 'c']);
  });

  it('are none where the noise is nothing beside that of the others', () => {
    const quiet = ['a', 'b'].map((id) => ({ id, noise: 0.001, error: 1 }));
    expect(closeCalls([{ id: 'loud', noise: 10, error: 0.1 }, ...quiet], 16)).toEqual([]);
    expect(closeCalls([], 16)).toEqual([]);
  });

  it('are all where one batch was all there was', () => {
    const layers = ['a', 'b'].map((id, at) => ({ id, noise: 1 + at, error: undefined }));
    expect(closeCalls(layers, 16)).toEqual(['b', 'a']);
  });

  it('standard error is that of the mean', () => {
    expect(standardError([1, 2, 3, 4])).toBeCloseTo(Math.sqrt(5 / 3 / 4), 12);
    expect(standardError([1])).toBeUndefined();
  });
});

async function measure(samples: number, closeSamples?: number): ReturnType<typeof measureSensitivity> {
  const model = plantedModel();
  const judge = await createJudge(undefined, { seed: 1 })(model);
  const { calibrate, cpu } = resolveOptions(quantizeStatic, {});
  const { block, method } = resolveOptions(quantizeWeights, {});
  try {
    const options = { formats: ['int8-dynamic'] as const, calibrate, cpu, block, method, samples, timed: false };
    return await measureSensitivity(
      model,
      judge,
      { ...options, ...(closeSamples && { closeSamples }) },
      new TestContext(),
    );
  } finally {
    await judge.dispose();
  }
}

describe('a second look', () => {
  it('gives close calls what all samples at once would have given, others stay', async () => {
    const [first, both, all] = [await measure(1), await measure(1, 6), await measure(6)];
    const seen = new Set(both.layers.map(({ formats: [own] }) => own?.samples));
    expect(seen).toContain(6);
    for (const [at, layer] of both.layers.entries()) {
      const [own] = layer.formats;
      const [like] = (own?.samples === 6 ? all : first).layers[at]?.formats ?? [];
      expect(own?.noise).toBeCloseTo(like?.noise ?? Number.NaN, 9);
      expect(own?.samples).toBe(like?.samples);
      expect(own?.error === undefined).toBe(own?.samples === 1);
    }
    expect(await measure(1, 6)).toEqual(both);
  });
});
