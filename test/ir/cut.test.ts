import { describe, expect, test } from 'vitest';
import { cutModel, nodesBehind, readFromOutside, valuesByName } from '../../src/ir/cut.ts';
import type { Value } from '../../src/ir/graph.ts';
import { tensorFrom, tensorFromBytes, typedArray } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { verify } from '../../src/ir/verify.ts';
import { runOrt } from '../support/ort.ts';

const model = () =>
  parseModel(`
<ir_version: 8, opset_import: ["" : 17]>
g (float[2, 4] x, bool[] flag) => (float[2, 4] y, float[2, 4] z)
<float[4, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 5, 4, 3, 2, 1}, float[4] b = {1, -1, 2, -2}>
{
  product = MatMul (x, w)
  shifted = Add (product, b)
  skip = Mul (x, x)
  r = Relu (shifted)
  y = If (flag) <
    then_branch = t () => (float[2, 4] a) { a = Add (r, skip) },
    else_branch = e () => (float[2, 4] c) { c = Identity (r) }
  >
  z = Neg (skip)
}`);

const value = (name: string): Value => {
  const found = valuesByName(model().graph).get(name);
  if (!found) throw new Error(name);
  return found;
};

describe('cutModel', () => {
  test('a part between values computes what the whole computes there; captured values are inputs too', async () => {
    const whole = model();
    const shifted = valuesByName(whole.graph).get('shifted') as Value;
    const behind = nodesBehind([shifted]);
    expect([...behind].map(({ op }) => op)).toEqual(['Relu', 'If']);
    const outside = [...readFromOutside(behind)].map(({ name }) => name);
    expect(outside.toSorted()).toEqual(['flag', 'shifted', 'skip']);
    const types = { kind: 'tensor', dtype: 'float32' } as const;
    const part = cutModel(
      whole,
      [{ name: 'flag' }, { name: 'shifted', type: types }, { name: 'skip', type: types }],
      ['y'],
    );
    expect(verify(part)).toEqual([]);
    expect(part.graph.inputs.map(({ name }) => name).toSorted()).toEqual(['flag', 'shifted', 'skip']);
    expect(part.graph.outputs.map(({ name }) => name)).toEqual(['y']);
    expect(part.graph.initializers.size).toBe(0);

    const x = tensorFrom('float32', [2, 4], Float32Array.of(1, -2, 3, -4, 0.5, 6, -7, 8));
    for (const on of [0, 1]) {
      const flag = tensorFromBytes('bool', [], Uint8Array.of(on));
      const all = cutModel(whole, [], ['shifted', 'skip', 'y']);
      const [expected] = await runOrt(all, [
        new Map([
          ['x', x],
          ['flag', flag],
        ]),
      ]);
      const inner = (name: string) => expected?.get(name) ?? x;
      const [actual] = await runOrt(part, [
        new Map([
          ['flag', flag],
          ['shifted', inner('shifted')],
          ['skip', inner('skip')],
        ]),
      ]);
      expect([...typedArray(actual?.get('y') ?? x, 'float32')]).toEqual([...typedArray(inner('y'), 'float32')]);
    }
  });

  test('the model itself stays as it is, and what the part does not read is left out', () => {
    const whole = model();
    const before = whole.graph.nodeCount;
    const part = cutModel(whole, [{ name: 'x' }], ['product']);
    expect(whole.graph.nodeCount).toBe(before);
    expect([...part.graph.nodes].map(({ op }) => op)).toEqual(['MatMul']);
    expect([...part.graph.initializers].map(({ name }) => name)).toEqual(['w']);
    expect(part.graph.inputs.map(({ name }) => name)).toEqual(['x']);
  });

  test('a name that stands for nothing is a bug of the caller', () => {
    expect(() => cutModel(model(), [{ name: 'nothing' }], ['y'])).toThrow(/"nothing" is no value/);
    expect(value('skip').isGraphOutput).toBe(false);
  });
});
