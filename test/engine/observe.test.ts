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

it.each(['scan_output_axes', 'scan_output_directions'])(
  'values of the body of a Scan are seen where it has %s',
  async (attribute) => {
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[2] s, float[5,2] x) => (float[2] f, float[5,2] y) {
  f, y = Scan <num_scan_inputs = 1, ${attribute} = [0],
    body = b (float[2] a, float[2] e) => (float[2] o, float[2] z) { float[2] m = Add (a, e)  o = Relu (m)  z = Neg (o) }> (s, x)
}`);
    const feeds = new Map([
      ['s', tensorFrom('float32', [2], new Float32Array(2))],
      ['x', tensorFrom('float32', [5, 2], new Float32Array(10).fill(1))],
    ]);
    const shapes: (readonly number[])[] = [];
    await observe(
      model,
      ['m'],
      () => [{ feeds, size: 1 }],
      (_, tensor) => void shapes.push(tensor.shape),
    );
    expect(shapes).toEqual([[5, 2]]);
  },
);
