import { expect, it } from 'vitest';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import type { Gram, PairRequest } from '../../src/pass/pass.ts';
import { layersOf } from '../support/activations.ts';
import { random } from '../support/differential.ts';

it('pairs: a target that the reference makes before the one looked at last has rows, too', async () => {
  const text = `<ir_version: 8, opset_import: ["" : 13]>
g (float[8,4] x, float[8,4] u) => (float[8,4] y, float[8,4] z) <float[4,4] v = random(1), float[4,4] w = random(2)> {
  float[8,4] s = Neg (u)
  float[8,4] a = MatMul (x, v)
  float[8,4] h = Abs (u)
  float[8,4] b = MatMul (h, w)
  z = Relu (b)
  y = Add (a, s)
}`;
  const [reference, model] = [parseModel(text), parseModel(text)];
  const valueOf = (name: string) => {
    for (const node of model.graph.nodes) if (node.output().name === name) return node.output();
    return model.graph.inputs[0];
  };
  const request = (input: string, target: string, joined?: [string, string]): PairRequest => {
    const [value, minus] = [valueOf(input), joined && valueOf(joined[1])];
    if (!value) throw new Error('no value');
    const beside = joined && minus ? { name: joined[0], minus } : undefined;
    return { input: { value, k: 4 }, target, channels: undefined, outputs: 4, joined: beside };
  };
  const next = random(3);
  const numbers = () =>
    tensorFrom(
      'float32',
      [8, 4],
      Float32Array.from({ length: 32 }, () => next() - 0.5),
    );
  const feeds = Array.from({ length: 8 }, () => new Map(['x', 'u'].map((name) => [name, numbers()])));
  const rows: [string, number][] = [];
  const visit = async ({ target }: PairRequest, grams: readonly Gram[]): Promise<undefined> => {
    rows.push([target, grams.reduce((sum, gram) => sum + gram.rows + gram.heldOutRows, 0)]);
  };
  await layersOf(feeds).pairs(reference, model, [request('x', 'a', ['y', 's']), request('h', 'b')], visit);
  expect(rows).toEqual([
    ['a', 64],
    ['b', 64],
  ]);
});
