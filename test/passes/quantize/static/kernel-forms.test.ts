import { describe, expect, it } from 'vitest';
import { fitKernels } from '../../../../passes/quantize/static/kernel-forms.ts';
import { openModel } from '../../../../src/engine/open-model.ts';
import { cloneModel } from '../../../../src/ir/clone.ts';
import type { Model } from '../../../../src/ir/graph.ts';
import { inferShapes } from '../../../../src/ir/infer/infer.ts';
import { tensorFrom, typedArray } from '../../../../src/ir/tensor.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';
import { verify } from '../../../../src/ir/verify.ts';
import { TestContext } from '../../../support/context.ts';
import { countOps } from '../../../support/count-ops.ts';
import { runOrt } from '../../../support/ort.ts';
import { calmFeeds, fused, head } from './support.ts';

/** Fits a model, and expects the same numbers, to the last bits of float sums, from it. */
async function fit(text: string, keep: readonly string[] = []) {
  const before = parseModel(text);
  const after = cloneModel(before);
  inferShapes(after);
  const ctx = new TestContext();
  const target = { cpu: 'auto', place: 'pays' } as const;
  const changed = fitKernels(after, target, ({ name }) => !keep.includes(name), ctx);
  expect(verify(after)).toEqual([]);
  const feeds = calmFeeds(before);
  const [expected, actual] = [await runOrt(before, feeds), await runOrt(after, feeds)];
  for (const [at, outputs] of expected.entries())
    for (const [name, tensor] of outputs) {
      const found = actual[at]?.get(name);
      expect(found?.shape).toEqual(tensor.shape);
      const [a, b] = [typedArray(tensor, 'float32'), found && typedArray(found, 'float32')];
      const largest = a.reduce((most, value, index) => Math.max(most, Math.abs(value - (b?.[index] ?? Number.NaN))), 0);
      expect(largest).toBeLessThan(1e-5 * Math.max(1, ...a.map(Math.abs)));
    }
  const again = cloneModel(after);
  inferShapes(again);
  expect(
    fitKernels(again, target, () => true, new TestContext()),
    'a second call changes nothing',
  ).toBe(false);
  return { after, changed, counts: ctx.counts() };
}

const weightsOf = (model: Model): string[] =>
  [...model.graph.nodes].filter(({ op }) => op === 'Conv').map((conv) => conv.input(1)?.tensor?.shape.join('×') ?? '');

describe('softmax over channels', () => {
  it.each([
    [13, 'y = Softmax <axis = 1> (x)'],
    [13, 'y = LogSoftmax <axis = -3> (x)'],
    [13, 't = Transpose <perm = [0, 3, 2, 1]> (x)  s = Softmax (t)  y = Transpose <perm = [0, 3, 2, 1]> (s)'],
    [
      11,
      't = Transpose <perm = [0, 2, 3, 1]> (x)  s = Softmax <axis = 3> (t)  y = Transpose <perm = [0, 3, 1, 2]> (s)',
    ],
  ])('of opset %i sums over the axis of a matrix: %s', async (opset, body) => {
    const { after, counts } = await fit(head(opset, `g (float[batch,7,5,3] x) => (float[] y) { ${body} }`));
    expect(counts).toEqual({ 'softmax-rows': 1 });
    const inner = [...after.graph.nodes].find(({ op }) => op.endsWith('oftmax'));
    expect(inner?.input(0)?.producer?.op).toBe(opset < 13 ? 'Transpose' : 'Reshape');
    expect(countOps(after)).toMatchObject({ Reshape: 2 });
    const session = await openModel(after, { label: 'the model' });
    const empty = await session.run(new Map([['x', tensorFrom('float32', [0, 7, 5, 3], new Float32Array())]]));
    expect(empty.get('y')?.shape).toEqual([0, 7, 5, 3]);
    await session.dispose();
  });

  it.each([
    [13, 'y = Softmax (x)'],
    [13, 'y = Softmax <axis = 2> (x)'],
    // All axes from the first on are summed up together.
    [11, 'y = Softmax <axis = 1> (x)'],
  ])('of opset %i stays as it is: %s', async (opset, body) => {
    expect((await fit(head(opset, `g (float[2,7,5,3] x) => (float[] y) { ${body} }`))).changed).toBe(false);
  });
});

describe('every n-th channel', () => {
  const shuffled = (shape: string, axis: number): string =>
    head(
      13,
      `g (float[2,6,4,3] x) => (float[] y, float[] z) <int64[5] s = {${shape}}, int64 one = {1}, int64 last = {-1}> {
        r = Reshape (x, s)  y = Gather <axis = ${axis}> (r, one)  z = Gather <axis = ${axis}> (r, last) }`,
    );

  it('is one Gather', async () => {
    const { after, counts } = await fit(shuffled('2, 3, 2, 4, 3', 2));
    expect(counts).toEqual({ 'channel-gather': 2 });
    expect(countOps(after)).toEqual({ Gather: 2 });
  });

  it('stays as it is where other axes are split, or the last one', async () => {
    expect((await fit(shuffled('2, 2, 3, 4, 3', 1))).changed).toBe(false);
    expect((await fit(shuffled('2, 6, 4, 3, 1', 4).replace('{1}', '{0}'))).changed).toBe(false);
    expect((await fit(shuffled('2, 6, 2, 2, 3', 3))).counts).toEqual({ 'channel-gather': 2 });
  });
});

describe('channels that do not come out even', () => {
  const weights =
    'float[12,4,1,1] a = random(1), float[12] b = random(2), float[12,1,3,3] d = random(3), float[16,12,1,1] c = random(4)';
  const chain = (middle: string, outputs = 'float[] y', more = ''): string =>
    head(
      13,
      `g (float[batch,4,9,9] x) => (${outputs}) <${weights}${more}> {
        p = Conv (x, a, b)  q = Relu (p)  ${middle}  y = Conv <pads = [0,0,0,0]> (k, c) }`,
    );
  const depthwise = 'u = Conv <group = 12, pads = [1,1,1,1]> (q, d)';

  it('are filled up with zeros between convolutions', async () => {
    const { after, counts } = await fit(
      chain(`${depthwise}  v = HardSwish (u)  w = Add (v, q)  m = MaxPool <kernel_shape = [3, 3], strides = [2, 2]> (w)
        s = GlobalAveragePool (m)  i = Sigmoid (s)  k = Mul (m, i)`).replace('"" : 13', '"" : 14'),
    );
    expect(counts).toEqual({ 'pad-channels': 1 });
    expect(weightsOf(after)).toEqual(['16×4×1×1', '16×1×3×3', '16×16×1×1']);
    expect([...after.graph.nodes].find(({ op }) => op === 'MaxPool')?.output().shape?.[1]).toBe(16);
  });

  it('leave weights alone that others share', async () => {
    const text = chain(`${depthwise}  k = Relu (u)`, 'float[] y, float[] z').replace(
      'y = Conv',
      'z = Conv (x, a)  y = Conv',
    );
    expect(weightsOf((await fit(text)).after)).toEqual(['16×4×1×1', '16×1×3×3', '12×4×1×1', '16×16×1×1']);
  });

  it.each([
    ['nothing is slow over them', 'k = Relu (q)', 'float[] y', ''],
    ['somebody reads them', `${depthwise}  k = Relu (u)`, 'float[] y, float[] u', ''],
    ['an operator joins them', `${depthwise}  k = Softmax <axis = 1> (u)`, 'float[] y', ''],
    ['a constant has as many', `${depthwise}  k = Mul (u, f)`, 'float[] y', ', float[1,12,1,1] f = random(5)'],
    [
      'groups are not single channels',
      'u = Conv <group = 3> (q, e)  k = MaxPool <kernel_shape = [2, 2]> (u)',
      'float[] y',
      ', float[12,4,1,1] e = random(5)',
    ],
  ])('stay where %s', async (_, middle, outputs, more) => {
    expect((await fit(chain(middle, outputs, more))).counts).not.toHaveProperty('pad-channels');
  });

  it('stay where a node is to be kept', async () => {
    const text = chain(`${depthwise}  k = Relu (u)`);
    const [, name = ''] = [...parseModel(text).graph.nodes].map((node) => node.name);
    if (name) expect((await fit(text, [name])).changed).toBe(false);
  });

  it('run on integers, fused', async () => {
    const constants = 'float[60,64,1,1] a = random(1), float[60,1,3,3] d = random(2), float[64,60,1,1] b = random(3)';
    const wide = head(
      13,
      `g (float[1,64,56,56] x) => (float[1,64,56,56] y) <${constants}> {
        p = Conv (x, a)  q = Conv <group = 60, pads = [1,1,1,1]> (p, d)  y = Conv (q, b) }`,
    );
    const { counts, audit, db } = await fused(wide, { place: 'pays', cpu: 'vnni' });
    expect(counts).toMatchObject({ 'pad-channels': 1, weighted: 3 });
    expect(audit.fusedOps).toMatchObject({ QLinearConv: 3 });
    expect(db).toBeGreaterThan(25);
  });
});
