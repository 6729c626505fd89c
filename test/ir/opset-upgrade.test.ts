import { describe, expect, it } from 'vitest';
import { cloneModel } from '../../src/ir/clone.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { upgradeOpset } from '../../src/ir/opset-upgrade.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { printModel } from '../../src/ir/text/print.ts';
import { verify } from '../../src/ir/verify.ts';
import { loadModel } from '../../src/onnx/load.ts';
import { differential, edgeFeeds } from '../support/differential.ts';
import { haveSharedModels, sharedModel } from '../support/shared-models.ts';

const model = (opset: number, io: string, constants: string, body: string, ir = 6): string =>
  `<ir_version: ${ir}, opset_import: ["" : ${opset}]>\ng (${io.split('=>')[0]}) => (${io.split('=>')[1]}) ${constants && `<${constants}>`} { ${body} }`;

/** Model before, and the inputs that the op has afterwards. */
const converted: readonly (readonly [name: string, text: string, opset?: number])[] = [
  [
    'Squeeze, Unsqueeze',
    model(
      11,
      'float[1,3,1,4] x => float[3,1,4] y',
      '',
      's = Squeeze <axes = [0,2]> (x)  y = Unsqueeze <axes = [1]> (s)',
    ),
  ],
  ['ReduceSum', model(11, 'float[2,3,4] x => float[2,4] y', '', 'y = ReduceSum <axes = [1], keepdims = 0> (x)')],
  ['ReduceSum of everything', model(11, 'float[2,3,4] x => float[1,1,1] y', '', 'y = ReduceSum (x)')],
  ['Split', model(11, 'float[2,6] x => float[2,2] y, float[2,4] z', '', 'y, z = Split <axis = 1, split = [2,4]> (x)')],
  ['Clip', model(8, 'float[2,6] x => float[2,6] y', '', 'y = Clip <min = -0.5, max = 0.25> (x)')],
  ['Clip, one bound', model(8, 'float[2,6] x => float[2,6] y', '', 'y = Clip <max = 0.25> (x)')],
  ['Dropout', model(8, 'float[2,6] x => float[2,6] y', '', 'y = Dropout <ratio = 0.5> (x)')],
  [
    'Dropout with a mask that nothing reads',
    model(7, 'float[2,6] x => float[2,6] y', '', 'd, m = Dropout <ratio = 0.5> (x)  y = Neg (d)'),
  ],
  ['Pad', model(9, 'float[2,6] x => float[3,8] y', '', 'y = Pad <pads = [0,1,1,1], value = 0.5> (x)')],
  [
    'Slice',
    model(9, 'float[4,6] x => float[2,4] y', '', 'y = Slice <axes = [0,1], starts = [1,2], ends = [3,9000]> (x)'),
  ],
  ['TopK', model(9, 'float[2,6] x => float[2,2] y, int64[2,2] z', '', 'y, z = TopK <k = 2> (x)')],
  ...(['nearest', 'linear'] as const).flatMap((mode) => [
    [
      `Upsample by attribute, ${mode}`,
      model(8, 'float[1,2,3,4] x => float y', '', `y = Upsample <mode = "${mode}", scales = [1.0, 1.0, 2.0, 1.7]> (x)`),
    ] as const,
    [
      `Upsample, ${mode}`,
      model(9, 'float[1,2,3,4] x => float y', 'float[4] s = {1,1,2.5,3}', `y = Upsample <mode = "${mode}"> (x, s)`),
    ] as const,
    [
      `Resize that grows, ${mode}`,
      model(10, 'float[1,2,3,4] x => float y', 'float[4] s = {1,1,1.3,3}', `y = Resize <mode = "${mode}"> (x, s)`),
    ] as const,
    [
      `Resize that shrinks, ${mode}`,
      model(10, 'float[1,2,9,7] x => float y', 'float[4] s = {1,1,0.4,0.7}', `y = Resize <mode = "${mode}"> (x, s)`),
    ] as const,
  ]),
  [
    'Upsample by factors that are computed',
    model(
      9,
      'float[1,2,3,4] x => float y',
      'float[4] f = {1,1,2,3}',
      'z = Relu (x)  r = ReduceMin <keepdims = 0> (z)  o = Sub (r, r)  s = Add (f, o)  y = Upsample <mode = "nearest"> (x, s)',
    ),
  ],
  [
    'BatchNormalization',
    model(
      8,
      'float[2,3,4] x => float[2,3,4] y',
      'float[3] a = {1,2,3}, float[3] b = {0,1,2}, float[3] c = {0.5,1,1}, float[3] d = {1,2,4}',
      'y = BatchNormalization <spatial = 1> (x, a, b, c, d)',
    ),
  ],
  [
    'BatchNormalization of a matrix by activations, which are its channels',
    model(
      8,
      'float[2,3] x => float[2,3] y',
      'float[3] a = {1,2,3}, float[3] b = {0,1,2}, float[3] c = {0.5,1,1}, float[3] d = {1,2,4}',
      'y = BatchNormalization <spatial = 0> (x, a, b, c, d)',
    ),
  ],
  [
    'Scatter',
    model(
      10,
      'float[2,3] x => float[2,3] y',
      'int64[1,2] at = {2,0}, float[1,2] values = {7,8}',
      'y = Scatter <axis = 1> (x, at, values)',
    ),
  ],
  [
    'Loop',
    model(
      10,
      'float[2] x => float[2] last, float[3,2] all',
      'int64 trips = {3}, bool on = {1}',
      'last, all = Loop (trips, on, x) <body = step (int64 i, bool c, float[2] before) => (bool d, float[2] after, float[2] seen) { d = Identity (c)  after = Add (before, x)  seen = Neg (after) }>',
    ),
  ],
  ['Softmax along the last axis', model(11, 'float[2,6] x => float[2,6] y', '', 'y = Softmax (x)')],
  ['Softmax with ones behind', model(11, 'float[2,6,1,1] x => float[2,6,1,1] y', '', 'y = Softmax <axis = 1> (x)')],
  [
    'constants as inputs, IR 3',
    model(
      8,
      'float[2,6] x, float[6] w => float[2,6] y',
      'float[6] w = {1,2,3,4,5,6}',
      'a = Add (x, w)  y = Clip <min = 0.0> (a)',
      3,
    ),
  ],
  [
    'a branch',
    model(
      11,
      'bool c, float[2,1] x => float[2] y',
      '',
      'y = If (c) <then_branch = t () => (float[2] a) { a = Squeeze <axes = [1]> (x) }, else_branch = e () => (float[2] b) { d = Squeeze <axes = [1]> (x)  b = Neg (d) }>',
    ),
  ],
];

describe('upgradeOpset', () => {
  for (const [name, text] of converted) {
    it(`keeps the numbers of ${name}`, async () => {
      const before = parseModel(text);
      const after = cloneModel(before);
      inferShapes(after);
      expect(upgradeOpset(after)).toBeUndefined();
      expect(after.opset).toBe(13);
      expect(verify(after)).toEqual([]);
      expect(await differential(before, after, edgeFeeds(before, 1), { kind: 'exact' })).toEqual([]);
      expect(upgradeOpset(after)).toBeUndefined();
    });
  }

  it.each([
    [
      'Softmax over several dimensions',
      model(11, 'float[2,3,4] x => float[2,3,4] y', '', 'y = Softmax <axis = 1> (x)'),
      'together, which opset 13 cannot say',
    ],
    [
      'an unknown rank',
      model(11, 'float[2,3] x => float[2,3] y', '', 'h = acme.Odd (x)  y = Softmax <axis = 1> (h)'),
      'the rank of its input "h" is unknown',
    ],
    [
      'Resize that grows and shrinks',
      model(10, 'float[1,1,2,2] x => float[1,1,4,1] y', 'float[4] s = {1,1,2,0.5}', 'y = Resize (x, s)'),
      'grows along one axis and shrinks along another',
    ],
    [
      'Resize by factors that are computed',
      model(10, 'float[1,1,2,2] x, float[4] s => float y', '', 'y = Resize (x, s)'),
      'its scales are not constant',
    ],
    ['an operator that is none', model(9, 'float[2] x => float[2] y', '', 'y = Odd (x)'), 'not known how Odd changed'],
    [
      'normalization that trains, though nobody reads what it learns',
      model(
        9,
        'float[1,2,3] x => float[1,2,3] y',
        'float[2] s = {1,2}, float[2] v = {1,2}',
        'y, a, b, c, d = BatchNormalization (x, s, s, s, v)',
      ),
      'in training mode',
    ],
    [
      'normalization of every activation of a picture',
      model(
        8,
        'float[1,1,1,2] x => float[1,1,1,2] y',
        'float[1,1,2] s = {1,2}, float[1,1,2] v = {1,2}',
        'y = BatchNormalization <spatial = 0> (x, s, s, s, v)',
      ),
      'spatial = 0',
    ],
    ['opset 6', model(6, 'float[2] x => float[2] y', '', 'y = Relu (x)'), 'too old'],
    ['the mask of Dropout', model(8, 'float[2] x => float[2] y, float[2] m', '', 'y, m = Dropout (x)'), 'mask'],
    ['float16 bounds', model(8, 'float16[2] x => float16[2] y', '', 'y = Clip <max = 1.0> (x)'), 'float32'],
  ])('leaves %s, and changes nothing then', (_, text, why) => {
    const before = parseModel(text);
    const after = cloneModel(before);
    expect(upgradeOpset(after)).toContain(why);
    expect(printModel(after)).toBe(printModel(before));
  });

  it('finds out ranks and types that the file does not say', () => {
    const text = model(
      8,
      'float[2,3,4] x => float[2,4,3] y',
      '',
      't = Transpose <perm = [0,2,1]> (x)  c = Clip <min = 0.0> (t)  y = Softmax <axis = 2> (c)',
    );
    const after = parseModel(text);
    expect(upgradeOpset(after)).toBeUndefined();
    expect(verify(after)).toEqual([]);
    expect([...after.graph.nodes].find((node) => node.op === 'Softmax')?.int('axis', 7)).toBe(2);
  });

  it('leaves newer models alone', () => {
    const after = parseModel(model(17, 'float[2] x => float[2] y', '', 'y = Relu (x)'));
    expect(upgradeOpset(after)).toBeUndefined();
    expect(after.opset).toBe(17);
  });

  it.skipIf(!haveSharedModels).each(['mnist-cntk', 'fastestdet', 'supres', 'yunet-face', 'gtcrn'])(
    'raises %s',
    async (slug) => {
      const after = await loadModel(sharedModel(slug));
      inferShapes(after);
      expect(upgradeOpset(after)).toBeUndefined();
      expect(verify(after)).toEqual([]);
      const before = await loadModel(sharedModel(slug));
      if (slug === 'mnist-cntk' || slug === 'gtcrn')
        expect(
          await differential(before, after, edgeFeeds(before, 1).slice(0, 1), {
            kind: 'reordered',
            rtol: 1e-5,
            atol: 1e-6,
          }),
        ).toEqual([]);
    },
  );
});
