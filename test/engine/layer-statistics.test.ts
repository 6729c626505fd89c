import { describe, expect, it } from 'vitest';
import { tensorFrom, typedArray } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import type { Gram, PatchRequest } from '../../src/pass/pass.ts';
import { layersOf } from '../support/activations.ts';
import { random } from '../support/differential.ts';
import { type Feeds, runOrt } from '../support/ort.ts';

const head = (body: string): string => `<ir_version: 8, opset_import: ["" : 13]>\n${body}`;

function feedsOf(shape: readonly number[], count: number): Feeds[] {
  const next = random(5);
  const size = shape.reduce((a, b) => a * b, 1);
  return Array.from(
    { length: count },
    () =>
      new Map([
        [
          'x',
          tensorFrom(
            'float32',
            shape,
            Float32Array.from({ length: size }, () => next() * 2 - 1),
          ),
        ],
      ]),
  );
}

describe('layer statistics', () => {
  it('channels: moments and extremes of every channel, NaN counted and left out', async () => {
    const model = parseModel(head('g (float[2,3,2] x) => (float[2,3,2] y) { h = Log (x)  y = Abs (h) }'));
    const feeds = feedsOf([2, 3, 2], 4);
    const value = model.graph.firstNode?.output();
    const [input] = model.graph.inputs;
    if (!value || !input) throw new Error('no value');
    const stats = await layersOf(feeds).channels(model, [
      { value, axis: 1 },
      { value: input, axis: -1 },
    ]);
    const logs: number[][] = [[], [], []];
    const columns: number[][] = [[], []];
    let bad = 0;
    for (const one of feeds) {
      for (const [i, x] of typedArray(one.get('x') as never, 'float32').entries()) {
        columns[i % 2]?.push(x);
        if (x > 0) logs[Math.floor(i / 2) % 3]?.push(Math.fround(Math.log(x)));
        else bad++;
      }
    }
    const mean = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
    const inner = stats.get('h');
    expect(inner?.nonFinite).toBe(bad);
    for (const [c, list] of logs.entries()) {
      expect(inner?.count[c]).toBe(list.length);
      expect(inner?.mean[c]).toBeCloseTo(mean(list), 5);
      expect(inner?.meanSquare[c]).toBeCloseTo(mean(list.map((x) => x * x)), 4);
      expect(inner?.min[c]).toBeCloseTo(Math.min(...list), 5);
      expect(inner?.max[c]).toBeCloseTo(Math.max(...list), 5);
    }
    expect([...(stats.get('x')?.mean ?? [])]).toEqual(columns.map(mean));
  });

  it.each([
    [
      '2-D, padded, strided, dilated',
      '[2,2,3,3]',
      [1, 4, 7, 6],
      '<group = 2, pads = [1, 0, 2, 1], strides = [2, 1], dilations = [1, 2]>',
      [3, 3],
      [2, 1],
      [1, 2],
      { begin: [1, 0], end: [2, 1] },
    ],
    [
      '1-D, same',
      '[2,2,4]',
      [2, 4, 9],
      '<group = 2, auto_pad = "SAME_UPPER", strides = [2]>',
      [4],
      [2],
      [1],
      'same-upper',
    ],
    [
      '2-D, same the other way',
      '[2,2,2,3]',
      [1, 4, 6, 5],
      '<group = 2, auto_pad = "SAME_LOWER">',
      [2, 3],
      [1, 1],
      [1, 1],
      'same-lower',
    ],
  ] as const)(
    'patches are what Conv multiplies with: %s',
    async (_, weight, shape, attrs, kernel, strides, dilations, pads) => {
      // With W the weights of one output, the mean of y² is wᵀ·H·w / rows, over all places; H is sampled, so that they agree roughly.
      const model = parseModel(
        head(`g (float[${shape}] x) => (y) <float${weight} w = random(3)> { y = Conv ${attrs} (x, w) }`),
      );
      const feeds = feedsOf(shape, 3);
      const [input] = model.graph.inputs;
      const conv = model.graph.firstNode;
      const w = conv?.input(1)?.initializer;
      if (!input || !w) throw new Error('no input');
      const k = 2 * kernel.reduce((a: number, b: number) => a * b, 1);
      const request: PatchRequest = { value: input, groups: 2, k, window: { kernel, strides, dilations, pads } };
      const seen: Gram[] = [];
      await layersOf(feeds).patches(model, [request], (__, grams) => void seen.push(...grams));
      const squares = [0, 0];
      let places = 0;
      for (const outputs of await runOrt(model, feeds)) {
        const y = outputs.get('y');
        const data = typedArray(y as never, 'float32');
        const area = data.length / (2 * (shape[0] as number));
        places += data.length / 2;
        for (const [i, value] of data.entries())
          squares[Math.floor(i / area) % 2] = (squares[Math.floor(i / area) % 2] as number) + value * value;
      }
      const weights = typedArray(w, 'float32');
      expect(seen).toHaveLength(2);
      for (const [group, { sum, rows, heldOut, heldOutRows }] of seen.entries()) {
        expect(rows + heldOutRows).toBeGreaterThan(3000);
        let energy = 0;
        for (let i = 0; i < k; i++)
          for (let j = 0; j < k; j++)
            energy +=
              (weights[group * k + i] as number) * (sum[i * k + j] as number) * (weights[group * k + j] as number);
        const expected = (squares[group] as number) / places;
        expect(Math.abs(energy / rows / expected - 1)).toBeLessThan(0.12);
        let held = 0;
        for (let r = 0; r < heldOutRows; r++) {
          let dot = 0;
          for (let i = 0; i < k; i++) dot += (heldOut[r * k + i] as number) * (weights[group * k + i] as number);
          held += dot * dot;
        }
        expect(Math.abs(held / heldOutRows / expected - 1)).toBeLessThan(0.2);
      }
    },
  );

  it('sqnr: each output against the original', async () => {
    const base = parseModel(head('g (float[4] x) => (float[4] y, float[4] z) { y = Neg (x)  z = Abs (x) }'));
    const other = parseModel(
      head('g (float[4] x) => (float[4] y, float[4] z) <float k = {-1.1}> { y = Mul (x, k)  z = Abs (x) }'),
    );
    const db = await layersOf(feedsOf([4], 3)).sqnr(base, other, 2);
    expect(db.get('y')).toBeCloseTo(20, 3);
    expect(db.get('z')).toBe(Number.POSITIVE_INFINITY);
  });
});
