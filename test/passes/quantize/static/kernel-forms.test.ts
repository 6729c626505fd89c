import { describe, expect, it } from 'vitest';
import { fitKernels } from '../../../../passes/quantize/static/kernel-forms.ts';
import { openModel } from '../../../../src/engine/open-model.ts';
import { cloneModel } from '../../../../src/ir/clone.ts';
import type { Model } from '../../../../src/ir/graph.ts';
import { inferShapes } from '../../../../src/ir/infer/infer.ts';
import { type Tensor, tensorFrom, typedArray } from '../../../../src/ir/tensor.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';
import { verify } from '../../../../src/ir/verify.ts';
import { pairPeaks } from '../../../../src/kernels/saturation.ts';
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

describe('inputs of convolutions on integers', () => {
  const stem = (body: string, shape = 'batch,3,32,32', more = ''): string =>
    head(
      13,
      `g (float[${shape}] x) => (float[] y${more}) <float[64,3,3,3] a = random(1), float[64] b = random(2), float[64,64,1,1] c = random(3)> { ${body} }`,
    );
  const first = 'p = Conv <pads = [1,1,1,1]> (x, a, b)  q = Relu (p)  y = Conv (q, c)';
  const inputShapes = (model: Model): string[] =>
    weightsOf(model).length > 0
      ? [...model.graph.nodes]
          .filter(({ op }) => op === 'Conv')
          .map((conv) => conv.input(1)?.producer?.input(0)?.tensor?.shape.join('×') ?? '')
      : [];

  it('are filled up with the zero point to a multiple of 4, and fused as before', async () => {
    const { after, counts, audit, db, problems } = await fused(stem(first), { place: 'pays', cpu: 'vnni' });
    expect(problems).toEqual([]);
    expect(counts).toMatchObject({ 'fill-inputs': 1, weighted: 2 });
    expect(inputShapes(after)).toEqual(['64×4×3×3', '64×64×1×1']);
    expect(audit.fusedOps).toMatchObject({ QLinearConv: 2 });
    expect(db).toBeGreaterThan(25);
    const session = await openModel(after, { label: 'the model' });
    const empty = await session.run(new Map([['x', tensorFrom('float32', [0, 3, 32, 32], new Float32Array())]]));
    expect(empty.get('y')?.shape).toEqual([0, 64, 32, 32]);
    await session.dispose();
  });

  it('give the same codes as without', async () => {
    const model = stem(first, '2,3,32,32');
    const [filled, plain] = [
      await fused(model, { place: 'pays', cpu: 'vnni' }),
      await fused(model, { place: 'all', cpu: 'vnni' }),
    ];
    expect(countOps(filled.after)).toMatchObject({ Pad: 1 });
    expect(countOps(plain.after)).not.toHaveProperty('Pad');
    const feeds = calmFeeds(parseModel(model));
    const [a, b] = [await runOrt(filled.after, feeds, 'extended'), await runOrt(plain.after, feeds, 'extended')];
    for (const [at, outputs] of a.entries())
      expect(typedArray(outputs.get('y') as Tensor, 'float32')).toEqual(
        typedArray(b[at]?.get('y') as Tensor, 'float32'),
      );
  });

  it('are filled up once for all that read them, in the form of operators too', async () => {
    const text = stem(
      `${first}  r = Conv <pads = [1,1,1,1], strides = [2,2]> (x, a)  z = Conv (r, c)  m = MaxPool <kernel_shape = [2,2]> (x)`,
      '1,3,32,32',
      ', float[] z, float[] m',
    );
    for (const format of ['qdq', 'qoperator'] as const) {
      const { after, counts, db } = await fused(text, { place: 'pays', cpu: 'vnni', format });
      expect(counts).toMatchObject({ 'fill-inputs': 2 });
      expect(countOps(after)).toMatchObject({ Pad: 1 });
      expect(db).toBeGreaterThan(25);
    }
  });

  it.each([
    ['nothing is measured', first, { cpu: 'arm' }],
    ['everything is asked for', first, { place: 'all' }],
    ['codes have signs', first, { activations: 's8' }],
    ['filters are few', 'y = Conv (x, e)', {}],
    [
      'they come from a neighbour on integers',
      'p = Concat <axis = 1> (x, x)  q = Slice (p, o, t, i)  r = Conv (q, a)  y = Conv (r, c)',
      {},
    ],
  ] as const)('stay where %s', async (_, body, options) => {
    const text = stem(body, '1,3,32,32').replace(
      '> {',
      ', float[8,3,3,3] e = random(9), int64[1] o = {0}, int64[1] t = {3}, int64[1] i = {1}> {',
    );
    const { counts } = await fused(text, { place: 'pays', cpu: 'vnni', ...options });
    expect(counts).not.toHaveProperty('fill-inputs');
  });

  it('keep pairs of products within 16 bits both as they stand and filled up', () => {
    const layout = { channels: 1, channelStride: 6, taps: 2, tapStride: 1, inner: 3, innerStride: 2, perGroup: 1 };
    // k = tap · 3 + c: the second tap's first two channels are neighbours only once it is filled up.
    const weights = Float32Array.of(0, 5, 0, 7, 0, 0);
    expect([...pairPeaks(weights, layout, [1])]).toEqual([0]);
    expect([...pairPeaks(weights, { ...layout, mayBeFilled: true }, [1])]).toEqual([12]);
  });
});

describe('what a Concat alone reads', () => {
  const scaleOf = (model: Model, name: string): number | undefined => {
    const quantize = [...model.graph.nodes].find(
      (node) => node.op === 'QuantizeLinear' && node.input(0)?.name === name,
    );
    const scale = quantize?.input(1)?.tensor;
    return scale && typedArray(scale, 'float32')[0];
  };
  const joined = (ends: string, outputs = 'float[] z') =>
    fused(
      head(
        13,
        `g (float[1,4,9,9] x) => (${outputs}) <float[8,4,3,3] a = random(1), float[8,4,3,3] b = random(2), float[8] c = {9, 9, 9, 9, 9, 9, 9, 9}, float[4,16,1,1] d = random(3), float[4,8,1,1] e = random(4), float six = {6}, float zero = {0}> {
          p = Conv (x, a)  q = Conv (x, b, c)  ${ends}  z = Conv (k, d) }`,
      ),
    );

  it('has the scale of the whole, and is copied', async () => {
    const { after, audit, db, unfusedDb } = await joined('r = Relu (p)  s = Relu (q)  k = Concat <axis = 1> (r, s)');
    expect(scaleOf(after, 'r')).toBe(scaleOf(after, 'k'));
    expect(scaleOf(after, 's')).toBe(scaleOf(after, 'k'));
    expect(audit.fusedOps).toMatchObject({ QLinearConv: 3, QLinearConcat: 1 });
    expect(Math.min(db, unfusedDb)).toBeGreaterThan(25);
  });

  it.each([
    ['others read it', 'k = Concat <axis = 1> (p, q)  u = Conv (p, e)', 'float[] z, float[] u'],
    [
      'it ends at a bound that the whole does not have',
      'r = Clip (p, zero, six)  k = Concat <axis = 1> (r, q)',
      'float[] z',
    ],
    ['zero is not the least of the whole', 'r = Relu (p)  s = Conv (x, b)  k = Concat <axis = 1> (r, s)', 'float[] z'],
  ])('has one of its own where %s', async (_, ends, outputs) => {
    const { after, db } = await joined(ends, outputs);
    const first = ends.includes('r =') ? 'r' : 'p';
    expect(scaleOf(after, first)).toBeDefined();
    expect(scaleOf(after, first)).not.toBe(scaleOf(after, 'k'));
    expect(db).toBeGreaterThan(20);
  });
});

describe('convolutions with few filters', () => {
  const weights = `float[1,8,1,1] w1 = random(1), float[4,8,1,1] w2 = random(2), float[4] b2 = random(3), float[10,8,1,1] w3 = random(4),
    float[1,1,3,3] v1 = random(5), float[4,1,3,3] v2 = random(6), float[10,1,3,3] v3 = random(7), float[10] s3 = random(8)`;
  const heads = (more = '', activations = ['Relu', 'Relu', 'Relu']): string =>
    head(
      13,
      `g (float[batch,8,6,7] x) => (float[] y1, float[] y2, float[] y3) <${weights}> {
        p1 = Conv (x, w1)  p2 = Conv (x, w2, b2)  p3 = Conv (x, w3)
        ${activations.map((op, at) => `q${at + 1} = ${op} (p${at + 1})`).join('  ')}
        y1 = Conv <pads = [1,1,1,1]> (q1, v1)  y2 = Conv <pads = [1,1,1,1], group = 4> (q2, v2)
        y3 = Conv <pads = [1,1,1,1], group = 10${more}> (q3, v3, s3) }`,
    );

  it('are one, and the depthwise ones behind them', async () => {
    const { after, counts } = await fit(heads());
    expect(counts).toEqual({ 'conv-siblings': 1, 'split-depthwise': 1 });
    expect(weightsOf(after)).toEqual(['15×8×1×1', '15×1×3×3']);
    expect(countOps(after)).toEqual({ Conv: 2, Relu: 1, Split: 1 });
  });

  it.each([
    ['as they are', 'random(2)'],
    ['where one is nearly all bias', `{${Array.from({ length: 32 }, (_, at) => `${at - 15}e-8`)}}`],
  ])('with nothing between come out as long as each other, so that one scale serves all: %s', async (_, second) => {
    const text = heads('', ['Identity', 'Identity', 'Identity'])
      .replaceAll(/q(\d) = Identity \(p\d\)/g, '')
      .replaceAll('(q', '(p')
      .replace('w2 = random(2)', `w2 = ${second}`);
    const { after } = await fit(text);
    const [first] = [...after.graph.nodes].filter(({ op }) => op === 'Conv');
    const [rows, bias] = [1, 2].map((index) => typedArray(first?.input(index)?.tensor as Tensor, 'float32'));
    const lengths = Array.from({ length: 15 }, (_, row) =>
      Math.hypot(...(rows?.subarray(row * 8, row * 8 + 8) ?? []), bias?.[row] ?? 0),
    );
    expect(Math.max(...lengths) / Math.min(...lengths)).toBeLessThanOrEqual(2);
  });

  it('stay apart where activations or windows differ, where one is to be kept, and where one fills a block', async () => {
    expect((await fit(heads('', ['Relu', 'Tanh', 'Sigmoid']))).changed).toBe(false);
    const aside = heads().replace('<pads = [1,1,1,1], group = 10>', '<pads = [2,2,0,0], group = 10>');
    expect((await fit(aside)).counts).toEqual({ 'conv-siblings': 1 });
    const striding = heads().replace('p3 = Conv (x', 'p3 = Conv <strides = [1,2]> (x');
    expect(weightsOf((await fit(striding)).after)).toContain('5×8×1×1');
    const wide = heads()
      .replace('[10,8,1,1] w3', '[16,8,1,1] w3')
      .replace('[10,1,3,3]', '[16,1,3,3]')
      .replace('[10] s3', '[16] s3')
      .replace('group = 10', 'group = 16');
    expect(weightsOf((await fit(wide)).after)).toEqual(
      expect.arrayContaining(['5×8×1×1', '16×8×1×1', '5×1×3×3', '16×1×3×3']),
    );
    expect((await fit(heads(), ['p2'])).changed).toBe(true);
  });
});
