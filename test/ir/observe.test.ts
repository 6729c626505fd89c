import { describe, expect, it } from 'vitest';
import type { DType } from '../../src/ir/dtype.ts';
import type { Model } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { mergeObserved, type Observation } from '../../src/ir/infer/observe.ts';
import { typeText } from '../../src/ir/text/names.ts';
import { parseModel } from '../../src/ir/text/parse.ts';

function model(): Model {
  const parsed = parseModel(`<ir_version: 8, opset_import: ["" : 17, "com.acme" : 1]>
g (float[batch,seq] x) => (y) { m = com.acme.Mystery (x)  r = Relu (m)  n = NonZero (x)  y = Abs (r) }`);
  inferShapes(parsed);
  return parsed;
}

function run(batch: number, seq: number, m: number[], n: number[]): Observation {
  const float: { dtype: DType; shape: number[] } = { dtype: 'float32', shape: m };
  return {
    bindings: new Map([
      ['batch', batch],
      ['seq', seq],
    ]),
    values: new Map<string, { dtype: DType; shape: number[] }>([
      ['m', float],
      ['r', float],
      ['n', { dtype: 'int64', shape: n }],
    ]),
  };
}

const shapeOf = (from: Model, name: string): string | undefined => {
  const value = [...from.graph.nodes].flatMap((node) => [...node.outputs]).find((output) => output?.name === name);
  return value?.type && typeText(value.type);
};

describe('observed shapes', () => {
  it('become numbers where they never change, symbols where they follow one', () => {
    const seen = model();
    expect(mergeObserved(seen, [run(2, 5, [2, 7, 5], [2, 3]), run(3, 6, [3, 7, 6], [2, 3])])).toBe(2);
    expect(shapeOf(seen, 'm')).toBe('float[batch,7,seq]');
    expect(shapeOf(seen, 'r')).toBe('float[batch,7,seq]');
    expect(shapeOf(seen, 'n')).toBe('int64[2,unknown_0]');
  });

  it('leave open what follows no symbol', () => {
    const seen = model();
    mergeObserved(seen, [run(2, 5, [4, 7], [2, 3]), run(3, 6, [9, 7], [2, 3])]);
    expect(shapeOf(seen, 'm')).toBe('float[?,7]');
  });

  it('leave open what is fed as a number, and follow what comes from shapes', () => {
    const seen = parseModel(`<ir_version: 8, opset_import: ["" : 17, "com.acme" : 1]>
g (float[n,10] x, int64[1] k) => (y) {
  v, i = TopK (x, k)  s = Shape (x)  m = com.acme.Mystery (s)  t = Tile (x, m)  e = com.acme.Mystery (k)  u = Expand (x, e)  y = Abs (v)
}`);
    inferShapes(seen);
    const once = (n: number): Observation => ({
      bindings: new Map([['n', n]]),
      values: new Map(
        Object.entries({ v: [n, 3], t: [n, 20], u: [n, 10] }).map(([name, shape]) => [
          name,
          { dtype: 'float32', shape },
        ]),
      ),
    });
    mergeObserved(seen, [once(2), once(3)]);
    expect(['v', 't', 'u'].map((name) => shapeOf(seen, name))).toEqual([
      'float[n,unknown_0]',
      'float[n,20]',
      expect.not.stringContaining('10]'),
    ]);
  });

  it.each([
    ['one run', [run(2, 5, [2, 7], [2, 3])]],
    ['runs that share a binding', [run(2, 5, [2, 7], [2, 3]), run(2, 6, [2, 7], [2, 3])]],
    ['runs of different rank', [run(2, 5, [2, 7], [2, 3]), run(3, 6, [3], [2, 3])]],
  ])('say nothing after %s', (_, observations) => {
    const seen = model();
    expect(mergeObserved(seen, observations)).toBe(0);
    expect(shapeOf(seen, 'm')).toBeUndefined();
  });
});
