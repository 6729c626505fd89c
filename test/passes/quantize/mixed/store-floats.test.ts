import { describe, expect, it } from 'vitest';
import type { LayerSensitivity } from '../../../../passes/quantize/mixed/sensitivity.ts';
import { mostThatKeep, storeFloats } from '../../../../passes/quantize/mixed/store-floats.ts';
import type { Model } from '../../../../src/ir/graph.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';

describe('the most that keep', () => {
  it.each([0, 1, 5, 8, 9])('finds %i of 9 in few steps', async (right) => {
    let asked = 0;
    const found = await mostThatKeep(9, async (count) => {
      asked++;
      return count <= right;
    });
    expect(found).toBe(right);
    expect(asked).toBeLessThanOrEqual(5);
  });

  it('asks nothing of none', async () => {
    expect(await mostThatKeep(0, () => Promise.reject(new Error('asked')))).toBe(0);
  });
});

describe('weights of what stays in float', () => {
  const names = ['a', 'b', 'c', 'd'];
  /** Layers go by what they give out. */
  const outputOf = (name: string): string => (name === 'd' ? 'y' : `v${names.indexOf(name)}`);
  const model = (): Model =>
    parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[1,16,4,4] x) => (float[1,16,4,4] y) <${names.map((name, i) => `float[16,16,3,3] w${name} = random(${i})`).join(', ')}> {
  ${names.map((name, i) => `[${name}] ${i === 3 ? 'y' : `v${i}`} = Conv <pads = [1,1,1,1]> (${i === 0 ? 'x' : `v${i - 1}`}, w${name})`).join('\n  ')}
}`);
  const layer = (id: string, noise: number): LayerSensitivity => ({
    id: outputOf(id),
    label: id,
    op: 'Conv',
    kind: 'weights',
    bytes: 9216,
    macs: 0,
    elements: 0,
    ms: undefined,
    timeShare: undefined,
    formats: [
      { format: 'int8', noise, samples: 1, sqnrDb: 30, kl: 0, bytes: 2304 },
    ] as unknown as LayerSensitivity['formats'],
    left: [],
  });
  const stored = ({ graph }: Model): string[] =>
    names.filter((name) => [...graph.initializers].some((one) => one.name === `w${name}_quantized`));

  it('are stored where that costs least, as far as the floor bears it', async () => {
    const target = model();
    const seen: string[][] = [];
    const search = async (candidate: Model): Promise<boolean> => {
      seen.push(stored(candidate));
      return stored(candidate).length <= 2;
    };
    const layers = [layer('a', 4), layer('b', 1), layer('c', 3), layer('d', 2)];
    const confirm = async (): Promise<boolean> => true;
    expect(
      await storeFloats(target, layers, { minElements: 512, keep: [] }, { search, confirm }, () => undefined),
    ).toBe(true);
    expect(seen).toEqual([names, ['b', 'd'], ['b', 'c', 'd']]);
    expect(stored(target)).toEqual(['b', 'd']);
  });

  it('stay as they are where other samples do not confirm it, or the user wants that', async () => {
    const target = model();
    const layers = names.map((name) => layer(name, 1));
    const yes = async (): Promise<boolean> => true;
    const no = async (): Promise<boolean> => false;
    const options = { minElements: 512, keep: [] };
    expect(await storeFloats(target, layers, options, { search: yes, confirm: no }, () => undefined)).toBe(false);
    expect(stored(target)).toEqual([]);
    const both = { search: yes, confirm: yes };
    expect(await storeFloats(target, layers, { ...options, keep: ['a'] }, both, () => undefined)).toBe(true);
    expect(stored(target)).toEqual(['b', 'c', 'd']);
  });
});
