import { describe, expect, it } from 'vitest';
import { isHandedOut } from '../../../../passes/quantize/static/handed-out.ts';
import { type Tensor, toNumbers, typedArray } from '../../../../src/ir/tensor.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';
import { countOps } from '../../../support/count-ops.ts';
import { activationsOf, calmFeeds, fused, head, type Options, quantize } from './support.ts';

const weights = 'float[40,64,1,1] w = random(2)';

/** A convolution, a pool over all positions, and what stands behind. */
const classifier = (last: string, constants = weights): string =>
  head(
    13,
    `g (float[batch,16,8,8] x) => (float[] y) <float[64,16,3,3] v = random(1), ${constants}> {
      p = Conv (x, v)  q = GlobalAveragePool (p)  ${last} }`,
  );

describe('the last convolution of a classifier', () => {
  it('becomes a Gemm, which hands out floats', async () => {
    const text = classifier(
      'l = Conv (q, w, b)  f = Flatten (l)  y = Softmax <axis = 1> (f)',
      `${weights}, float[40] b = random(3)`,
    );
    const { counts, problems, db, after } = await fused(text, { cpu: 'vnni' });
    expect(problems).toEqual([]);
    expect(counts).toMatchObject({ weighted: 2, head: 1 });
    expect(countOps(after)).toMatchObject({ Conv: 1, Gemm: 1 });
    const gemm = [...after.graph.nodes].find(({ op }) => op === 'Gemm');
    expect(gemm?.inputs.map((value) => value?.producer?.op)).toEqual(Array(3).fill('DequantizeLinear'));
    expect(gemm?.output().consumers.map(({ op }) => op)).toEqual(['Reshape']);
    expect(db).toBeGreaterThan(28);
  });

  it('stays where a Gemm on integers would be slower, for that reason', async () => {
    const text = head(
      13,
      `g (float[1,32,32,32] x) => (float[] y) <float[64,32,3,3] v = random(1), float[16,64,1,1] w = random(2)> {
        p = Conv (x, v)  q = GlobalAveragePool (p)  l = Conv (q, w)  y = Sigmoid (l) }`,
    );
    const { counts, skips } = await quantize(parseModel(text), { cpu: 'vnni', place: 'pays' });
    expect(counts).toMatchObject({ weighted: 1 });
    expect(counts.head).toBeUndefined();
    expect(skips.join()).toMatch(/slower on integers/);
    expect(skips.join()).not.toContain('no elements');
  });

  it('may have a window as large as its input, of any rank', async () => {
    const whole = head(
      13,
      'g (float[batch,16,4,3] x) => (float[batch,24,1,1] y) <float[24,16,4,3] w = random(1)> { y = Conv (x, w) }',
    );
    const line = head(
      13,
      'g (float[2,32,1] x) => (float[2,24,1] y) <float[24,32,1] w = random(1)> { y = Conv (x, w) }',
    );
    for (const text of [whole, line]) {
      const { counts, problems, db, after } = await fused(text);
      expect(problems).toEqual([]);
      expect(counts).toMatchObject({ weighted: 1, head: 1 });
      expect(after.graph.outputs[0]?.name).toBe('y');
      expect(db).toBeGreaterThan(30);
    }
  });

  it.each<[string, string, string?, Options?]>([
    ['that a Relu follows', 'l = Conv (q, w)  y = Relu (l)'],
    [
      'that is read on integers',
      'l = Conv (q, w)  y = Conv <group = 2> (l, u)',
      `${weights}, float[8,20,1,1] u = random(3)`,
    ],
    ['in groups', 'y = Conv <group = 2> (q, w)', 'float[40,32,1,1] w = random(2)'],
    ['of more than one position', 'y = Conv (p, w)'],
    ['that is padded', 'y = Conv <pads = [1,1,1,1]> (q, w)'],
    ['whose weights another reads', 'a = Conv (q, w)  b = Conv (q, w)  y = Sub (a, b)'],
    ['that shall stay as it is', 'y = Conv (q, w)', weights, { keep: ['Conv'] }],
  ])('stays a convolution: %s', async (_, last, constants, options) => {
    const model = parseModel(classifier(last, constants));
    const { counts } = await quantize(model, options);
    expect(countOps(model).Conv).toBe(last.split('Conv').length);
    expect(counts.head).toBeUndefined();
  });
});

describe('what is handed out', () => {
  it('is what gets to an output with nothing that sums in between', () => {
    const last = 'l = Conv (q, w)  r = Reshape (l, s)  y = Softmax (r)';
    const { graph } = parseModel(classifier(last, `${weights}, int64[2] s = {0, -1}`));
    const values = [...graph.nodes].map((node) => [node.output().name, isHandedOut(node.output())]);
    expect(Object.fromEntries(values)).toEqual({ p: false, q: false, l: true, r: true, y: true });
  });

  it.each(['mse', 'entropy'] as const)('keeps its extremes, whatever %s would cut off elsewhere', async (calibrate) => {
    const text = head(
      13,
      'g (float[1,1,40,40] x) => (float[1,8,40,40] y) <float[8,1,1,1] w = random(1, 0.5, 1)> { y = Conv (x, w) }',
    );
    const feeds = calmFeeds(parseModel(text));
    // The box of a face: one number of thousands is large.
    for (const one of feeds) typedArray(one.get('x') as Tensor, 'float32')[0] = 40;
    const scales = async (method: 'minmax' | typeof calibrate): Promise<(number | undefined)[]> => {
      const model = parseModel(text);
      await quantize(model, { calibrate: method }, activationsOf(feeds));
      return ['x_scale', 'y_scale'].map((name) => {
        const scale = [...model.graph.initializers].find((value) => value.name === name)?.initializer;
        return scale && toNumbers(scale)?.[0];
      });
    };
    const [input, output] = await scales('minmax');
    const [cut, kept] = await scales(calibrate);
    expect(output).toBeGreaterThan(0);
    expect(kept).toBe(output);
    expect(cut).toBeLessThan(input as number);
  });
});
