import { describe, expect, it } from 'vitest';
import { canScale, moveScale } from '../../../passes/quantize/input-scale.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import { typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { addErrors, emptyErrorSums, sqnrDb } from '../../../src/kernels/error.ts';
import { countOps } from '../../support/count-ops.ts';
import { edgeFeeds } from '../../support/differential.ts';
import { runOrt } from '../../support/ort.ts';

const scales = Float32Array.from({ length: 8 }, (_, i) => 2 ** (i - 3));
const model = (body: string, constants: string) =>
  parseModel(
    `<ir_version: 8, opset_import: ["" : 17]>
g (float[3,8] x) => (float[3,4] y) <float[8,4] w = random(9), ${constants}> { ${body} }`,
  );

/** Moves the scale of `h` into the weights of `y`; what was added, and how far the outputs stayed the same. */
async function move(body: string, constants: string, mayAdd = true) {
  const before = model(body, constants);
  const after = cloneModel(before);
  const node = [...after.graph.nodes].find((candidate) => candidate.output().name === 'y');
  const value = node?.input(0);
  if (!node || !value) throw new Error('no y');
  expect(canScale(node.input(1))).toBe(true);
  const folded = moveScale(after, value, [{ node, rows: node.int('transB', 0) === 0 ? 'k' : 'n' }], scales, mayAdd);
  expect(verify(after)).toEqual([]);
  const [feeds] = edgeFeeds(before, 3);
  const read = async (which: typeof before) =>
    typedArray((await runOrt(which, [feeds as never]))[0]?.get('y') as never, 'float32');
  const [want, got] = [await read(before), await read(after)];
  return {
    folded,
    nodes: after.graph.nodeCount - before.graph.nodeCount,
    db: sqnrDb(addErrors(emptyErrorSums(), want, got)),
    ops: countOps(after),
    weights: folded === undefined ? undefined : typedArray(node.input(1)?.initializer as never, 'float32'),
  };
}

const last = 'y = MatMul (h, w)';

describe('moving a scale from inputs to weights', () => {
  it.each([
    ['the gain of a Mul', `n = Tanh (x)  h = Mul (n, g)  ${last}`, 'float[8] g = random(1)'],
    [
      'a gain and a shift',
      `n = Tanh (x)  m = Mul (n, g)  h = Add (b, m)  ${last}`,
      'float[8] g = random(1), float[1,8] b = random(2)',
    ],
    ['one number for all', `n = Tanh (x)  h = Mul (s, n)  ${last}`, 'float[1] s = {3}'],
    [
      'a LayerNormalization',
      `h = LayerNormalization (x, g, b)  ${last}`,
      'float[8] g = random(1), float[8] b = random(2)',
    ],
    ['the layer before', `h = MatMul (x, u)  ${last}`, 'float[8,8] u = random(1)'],
    [
      'a Gemm with a bias',
      `h = Gemm <transB = 1> (x, u, b)  ${last}`,
      'float[8,8] u = random(1), float[8] b = random(2)',
    ],
    ['one side of a gate', `u1 = MatMul (x, u)  v1 = Tanh (x)  h = Mul (v1, u1)  ${last}`, 'float[8,8] u = random(1)'],
    [
      'a layer with turned weights',
      'n = Tanh (x)  h = Mul (n, g)  y = Gemm <transB = 1> (h, v)',
      'float[8] g = random(1), float[4,8] v = random(3)',
    ],
  ])('into %s', async (_, body, constants) => {
    const { folded, nodes, db } = await move(body, constants);
    expect(folded).toBe(true);
    expect(nodes).toBe(0);
    expect(db).toBeGreaterThan(120);
  });

  it.each([
    ['an activation', `h = Tanh (x)  ${last}`, 'float[1] s = {3}'],
    [
      'a value that something else reads',
      `n = Tanh (x)  h = Mul (n, g)  k = Neg (h)  z = Gemm (k, w2)  q = MatMul (h, w)  y = Add (q, z)`.replace(
        'y = Add (q, z)',
        'y = MatMul (h, w3)',
      ),
      'float[8] g = random(1), float[8,4] w2 = random(4), float[8,4] w3 = random(5)',
    ],
    ['a graph input', 'y = MatMul (x, w)', 'float[1] s = {3}'],
    ['a bias that is no constant', `u1 = MatMul (x, u)  h = Add (u1, x)  ${last}`, 'float[8,8] u = random(1)'],
  ])('as a Mul, or not at all, behind %s', async (_, body, constants) => {
    const { folded, nodes, db } = await move(body, constants);
    expect(folded).toBe(false);
    expect(nodes).toBe(1);
    expect(db).toBeGreaterThan(120);
    const left = await move(body, constants, false);
    expect(left).toMatchObject({ folded: undefined, nodes: 0, db: Number.POSITIVE_INFINITY });
  });

  it('keeps the rank that a number with leading ones gives the result', async () => {
    const after = parseModel(
      `<ir_version: 8, opset_import: ["" : 17]>
g (float[3,8] x) => (float[1,3,4] y) <float[8,4] w = random(9), float[1,1,1] s = {3}> { n = Tanh (x)  h = Mul (n, s)  ${last} }`,
    );
    const node = after.graph.outputs[0]?.producer;
    const value = node?.input(0);
    if (!node || !value) throw new Error('no y');
    expect(moveScale(after, value, [{ node, rows: 'k' }], scales, false)).toBe(true);
    const [feeds] = edgeFeeds(after, 3);
    expect((await runOrt(after, [feeds as never]))[0]?.get('y')?.shape).toEqual([1, 3, 4]);
  });

  it('scales each input of the weights, and leaves constants that others read', async () => {
    const { weights } = await move(`n = Tanh (x)  h = Mul (n, g)  ${last}`, 'float[8] g = random(1)');
    const before = typedArray(
      [...model(last.replace('h', 'x'), 'float[1] s = {3}').graph.initializers][0]?.tensor as never,
      'float32',
    );
    for (let i = 0; i < 32; i++) expect(weights?.[i]).toBe((before[i] as number) * (scales[i >> 2] as number));
    const shared = await move(`m = Mul (x, g)  n = Tanh (m)  h = Mul (n, g)  ${last}`, 'float[8] g = random(1)');
    expect(shared.folded).toBe(true);
    expect(shared.db).toBeGreaterThan(120);
  });
});
