import { describe, expect, it } from 'vitest';
import { randomFeeds } from '../../src/engine/feeds.ts';
import { typedArray } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';

/** Mean and deviation of each column of the input made up for a graph. */
function columns(body: string, columnsOf: number): { mean: number; deviation: number }[] {
  const model = parseModel(`<ir_version: 8, opset_import: ["" : 13]>\n${body}`);
  const x = randomFeeds(model, { seed: 3 }).get('x');
  if (!x) throw new Error('no input');
  const data = typedArray(x, 'float32');
  const inner = data.length / ((x.shape[0] ?? 1) * columnsOf);
  return Array.from({ length: columnsOf }, (_, c) => {
    const own = [...data].filter((_, i) => Math.floor(i / inner) % columnsOf === c);
    const mean = own.reduce((a, b) => a + b, 0) / own.length;
    return { mean, deviation: Math.sqrt(own.reduce((sum, v) => sum + (v - mean) ** 2, 0) / own.length) };
  });
}

describe('made-up inputs', () => {
  it('look as the standardization in the graph expects them', () => {
    const found = columns(
      `g (float[4000,2] x) => (float[4000,2] y) <float[2] m = {100, -3}, float[2] s = {20, 0.5}, float[2,2] w = {1, 2, 3, 4}> {
        a = Sub (x, m)  b = Div (a, s)  y = MatMul (b, w) }`,
      2,
    );
    expect(found[0]?.mean).toBeCloseTo(100, -0.5);
    expect(found[1]?.mean).toBeCloseTo(-3, 1);
    expect((found[0]?.deviation ?? 0) / 20).toBeCloseTo(1, 1);
    expect((found[1]?.deviation ?? 0) / 0.5).toBeCloseTo(1, 1);
  });

  it('undo a scale and a shift of pictures, and have the statistics of a BatchNormalization', () => {
    const [picture] = columns(
      `g (float[1,1,32,32] x) => (float[1,1,32,32] y) <float k = {0.0078431}, float one = {-1}> {
        a = Mul (x, k)  b = Add (a, one)  y = Relu (b) }`,
      1,
    );
    expect(picture?.mean).toBeGreaterThan(60);
    expect(picture?.mean).toBeLessThan(200);
    const normal = columns(
      `g (float[500,2,3,3] x) => (float[500,2,3,3] y) <float[2] g = {9, 9}, float[2] b = {5, 5}, float[2] m = {7, -7}, float[2] v = {4, 0.25}> {
        y = BatchNormalization (x, g, b, m, v) }`,
      2,
    );
    expect(normal.map(({ mean }) => Math.round(mean))).toEqual([7, -7]);
    expect(normal[0]?.deviation).toBeCloseTo(2, 1);
    expect(normal[1]?.deviation).toBeCloseTo(0.5, 1);
  });

  it('stay standard normal where the graph says nothing, or reads the input twice', () => {
    const [plain] = columns('g (float[4000,1] x) => (float[4000,1] y) { y = Tanh (x) }', 1);
    expect(plain?.deviation).toBeCloseTo(1, 1);
    const [twice] = columns(
      'g (float[4000,1] x) => (float[4000,1] y) <float m = {50}> { a = Sub (x, m)  b = Tanh (x)  y = Add (a, b) }',
      1,
    );
    expect(Math.abs(twice?.mean ?? 9)).toBeLessThan(0.1);
    const [zero] = columns('g (float[4000,1] x) => (float[4000,1] y) <float k = {0}> { y = Mul (x, k) }', 1);
    expect(zero?.deviation).toBeCloseTo(1, 1);
  });
});
