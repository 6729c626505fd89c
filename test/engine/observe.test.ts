import { expect, it } from 'vitest';
import { observe } from '../../src/engine/observe.ts';
import { tensorFrom, toNumbers } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';

/** Values of a branch are handed out by one more output of its If, for which the other branch has no elements. */
it.each([9, 10, 11, 17])(
  'values of branches are seen at opset %i, though the other branch gives another shape',
  async (opset) => {
    const model = parseModel(`<ir_version: 5, opset_import: ["" : ${opset}]>
g (float[1,3] x, bool c) => (float[1,3] y) {
  y = If <then_branch = p () => (float[1,3] u) { float[1,3] s = Sigmoid (x)  u = Relu (s) },
          else_branch = q () => (float[1,3] v) { float[1,3] n = Neg (x)  v = Clip (n) }> (c)
}`);
    const seen: [string, number][] = [];
    const feeds = new Map([
      ['x', tensorFrom('float32', [1, 3], Float32Array.of(1, 2, 3))],
      ['c', tensorFrom('bool', [], Uint8Array.of(0))],
    ]);
    await observe(
      model,
      ['s', 'n'],
      () => [{ feeds, size: 1 }],
      (name, tensor) => void seen.push([name, (toNumbers(tensor) ?? []).length]),
    );
    expect(new Map(seen)).toEqual(
      new Map([
        ['s', 0],
        ['n', 3],
      ]),
    );
    expect(model.opset).toBe(opset);
  },
);
