import { describe, expect, it } from 'vitest';
import { quantizeDynamic } from '../../passes/quantize/quantize-dynamic.ts';
import { quantizeWeights } from '../../passes/quantize/quantize-weights.ts';
import { dynamicSpread } from '../../src/engine/dynamic-rounding.ts';
import { openModel } from '../../src/engine/open-model.ts';
import { farthest } from '../../src/engine/rounding.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import type { Model } from '../../src/ir/graph.ts';
import { type Tensor, tensorFrom } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { randomNumbers } from '../../src/kernels/random.ts';
import { TestContext } from '../support/context.ts';

const width = 64;
const layers = 8;

/** Layers of 64 × 64 with a bend between them, whose logits and best class are outputs. */
function deep(): Model {
  const names = Array.from({ length: layers }, (_, n) => n);
  return parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[batch,${width}] x) => (float[batch,${width}] logits, int64[batch] best)
<
  ${names.map((n) => `float[${width},${width}] w${n} = random(${n + 1}, -0.35, 0.35)`).join(',\n  ')}
>
{
  h0 = Identity (x)
  ${names.map((n) => `m${n} = MatMul (h${n}, w${n})\n  h${n + 1} = ${n === layers - 1 ? 'Identity' : 'Tanh'} (m${n})`).join('\n  ')}
  logits = Identity (h${layers})
  best = ArgMax <axis = 1, keepdims = 0> (logits)
}`);
}

const cases = [1, 2].map((seed) => {
  const next = randomNumbers(seed);
  const x = Float32Array.from({ length: 200 * width }, () => 2 * next() - 1);
  return new Map([['x', tensorFrom('float32', [200, width], x)]]);
});

async function dynamic(): Promise<Model> {
  const model = deep();
  await quantizeDynamic.run(model, quantizeDynamic({}).options as never, new TestContext());
  return model;
}

async function blocks(options: Parameters<typeof quantizeWeights>[0]): Promise<Model> {
  const model = deep();
  await quantizeWeights.run(
    model,
    quantizeWeights({ bits: 4, block: 32, ...options }).options as never,
    new TestContext(),
  );
  return model;
}

async function answers(model: Model, level: 'all' | 'disabled' = 'all'): Promise<ReadonlyMap<string, Tensor>[]> {
  const session = await openModel(cloneModel(model), { graphOptimizationLevel: level });
  try {
    const all = [];
    for (const feeds of cases) all.push(await session.run(feeds));
    return all;
  } finally {
    await session.dispose();
  }
}

const apart = (a: ReadonlyMap<string, Tensor>[], b: ReadonlyMap<string, Tensor>[], name: string): number =>
  Math.max(...a.map((one, n) => farthest(one.get(name) as Tensor, b[n]?.get(name) as Tensor)));

describe('what rounding at run time may change', () => {
  it('is unknown where nothing is rounded then', async () => {
    const float = deep();
    expect(await dynamicSpread(float, cases, await answers(float))).toBeUndefined();
    const inFloat = await blocks({ accuracyLevel: 1 });
    expect(await dynamicSpread(inFloat, cases, await answers(inFloat))).toBeUndefined();
  });

  it('is what ties do in dynamic int8, and covers inputs that are a millionth off', async () => {
    const model = await dynamic();
    const recorded = await answers(model);
    const spread = await dynamicSpread(model, cases, recorded);
    const granted = spread?.get('logits') ?? 0;
    expect(granted).toBeGreaterThan(1e-3);
    // Not so much that another model would pass: int8 itself moves them further.
    expect(granted).toBeLessThan(apart(recorded, await answers(deep()), 'logits'));
    for (const seed of [11, 12, 13, 14]) {
      const next = randomNumbers(seed);
      const session = await openModel(model, { graphOptimizationLevel: 'all' });
      for (const [n, feeds] of cases.entries()) {
        const x = feeds.get('x') as Tensor;
        const values = new Float32Array(x.bytes().slice().buffer).map((one) => one * (1 + 1e-6 * (2 * next() - 1)));
        const got = await session.run(new Map([['x', tensorFrom('float32', x.shape, values)]]));
        expect(farthest(got.get('logits') as Tensor, recorded[n]?.get('logits') as Tensor)).toBeLessThanOrEqual(
          granted,
        );
      }
      await session.dispose();
    }
  });

  it('is what int8 inside of MatMulNBits does, where other runtimes multiply in float', async () => {
    const model = await blocks({ accuracyLevel: 4 });
    const recorded = await answers(model);
    const spread = await dynamicSpread(model, cases, recorded);
    const float = await answers(await blocks({ accuracyLevel: 1 }));
    expect(spread?.get('logits')).toBeGreaterThanOrEqual(apart(recorded, float, 'logits'));
    expect(spread?.get('best')).toBeGreaterThan(0);
  });

  it('is what the runtime makes of 4-bit weights that are dequantized in the file', async () => {
    const model = await blocks({ format: 'qdq' });
    const recorded = await answers(model);
    const expanded = apart(recorded, await answers(model, 'disabled'), 'logits');
    expect(expanded).toBeGreaterThan(1e-4);
    expect((await dynamicSpread(model, cases, recorded))?.get('logits')).toBeGreaterThanOrEqual(expanded);
  });
});
