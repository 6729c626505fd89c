import { describe, expect, it } from 'vitest';
import { toOpset } from '../../../passes/opset/to-opset.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { reordered } from '../../../src/pass/pass.ts';
import { runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';
import { differential, edgeFeeds } from '../../support/differential.ts';

const model = (opset: number, io: string, constants: string, body: string): string =>
  `<ir_version: 10, opset_import: ["" : ${opset}]>\ng (${io.split('=>')[0]}) => (${io.split('=>')[1]}) ${constants && `<${constants}>`} { ${body} }`;

const byHeads = 'float[2,4,3,8] q, float[2,4,5,8] k, float[2,4,5,6] v';
const flat = 'float[2,3,32] q, float[2,5,16] k, float[2,5,12] v';

/** Name, model, and the opsets that it is lowered to. */
const lowered: readonly (readonly [name: string, text: string, to: readonly number[]])[] = [
  [
    'LayerNormalization over two axes',
    model(
      17,
      'float[N,3,4] x => float[N,3,4] y',
      'float[3,4] g = random(1), float[3,4] b = random(2)',
      'y = LayerNormalization <axis = 1> (x, g, b)',
    ),
    [13],
  ],
  [
    'LayerNormalization of halves',
    model(17, 'float16[2,3,4] x => float16[2,3,4] y', 'float16[4] g = random(1)', 'y = LayerNormalization (x, g)'),
    [16],
  ],
  [
    'Gelu, both',
    model(20, 'float[N,4] x => float[N,4] y, float[N,4] z', '', 'y = Gelu (x)  z = Gelu <approximate = "tanh"> (x)'),
    [19, 13],
  ],
  [
    'HardSwish, Mish',
    model(18, 'float[N,4] x => float[N,4] y, float[N,4] z', '', 'y = HardSwish (x)  z = Mish (x)'),
    [13],
  ],
  [
    'GroupNormalization',
    model(
      21,
      'float[2,6,3,4] x => float[2,6,3,4] y',
      'float[6] g = random(1), float[6] b = random(2)',
      'y = GroupNormalization <num_groups = 3, epsilon = 0.001> (x, g, b)',
    ),
    [20, 17],
  ],
  [
    'RMSNormalization',
    model(23, 'float[N,3,4] x => float[N,3,4] y', 'float[4] g = random(1)', 'y = RMSNormalization (x, g)'),
    [22, 17],
  ],
  [
    'rotation of halves, by positions',
    model(
      23,
      'float[2,4,3,8] x, int64[2,3] p => float[2,4,3,8] y',
      'float[10,4] c = random(1), float[10,4] s = random(2)',
      'y = RotaryEmbedding (x, c, s, p)',
    ),
    [17],
  ],
  [
    'rotation of pairs, flat',
    model(
      23,
      'float[2,3,32] x => float[2,3,32] y',
      'float[2,3,4] c = random(1), float[2,3,4] s = random(2)',
      'y = RotaryEmbedding <interleaved = 1, num_heads = 4> (x, c, s)',
    ),
    [17, 14],
  ],
  [
    'rotation of a part',
    model(
      23,
      'float[2,3,32] x => float[2,3,32] y',
      'float[2,3,2] c = random(1), float[2,3,2] s = random(2)',
      'y = RotaryEmbedding <num_heads = 4, rotary_embedding_dim = 4> (x, c, s)  ',
    ),
    [17],
  ],
  [
    'attention of what a norm and a rotation give, which are lowered first',
    model(
      23,
      'float[2,3,32] x => float[2,3,32] y',
      'float[2,3,4] c = random(1), float[2,3,4] s = random(2), float[32] g = random(3)',
      'n = RMSNormalization (x, g)  q = RotaryEmbedding <num_heads = 4> (n, c, s)  y = Attention <q_num_heads = 4, kv_num_heads = 4, is_causal = 1> (q, n, x)',
    ),
    [21, 17],
  ],
  ['attention by heads', model(23, `${byHeads} => float[2,4,3,6] y`, '', 'y = Attention (q, k, v)'), [22, 13]],
  [
    'attention, flat, with fewer heads of keys',
    model(
      23,
      `${flat} => float[2,3,24] y`,
      '',
      'y = Attention <q_num_heads = 4, kv_num_heads = 2, scale = 0.3> (q, k, v)',
    ),
    [17, 14],
  ],
  [
    'attention with a mask to add',
    model(23, `${byHeads}, float[3,5] m => float[2,4,3,6] y`, '', 'y = Attention (q, k, v, m)'),
    [17],
  ],
  [
    'attention with a boolean mask',
    model(23, `${byHeads}, bool[2,1,3,5] m => float[2,4,3,6] y`, '', 'y = Attention (q, k, v, m)'),
    [17],
  ],
  [
    'causal attention',
    model(
      23,
      'float[1,2,5,8] q, float[1,2,5,8] k, float[1,2,5,8] v => float[1,2,5,8] y',
      '',
      'y = Attention <is_causal = 1> (q, k, v)',
    ),
    [17],
  ],
  [
    'attention with a past',
    model(
      23,
      'float[1,2,3,8] q, float[1,2,3,8] k, float[1,2,3,8] v, float[1,2,4,8] pk, float[1,2,4,8] pv => float[1,2,3,8] y, float[1,2,7,8] nk, float[1,2,7,8] nv',
      '',
      'y, nk, nv = Attention (q, k, v, , pk, pv)',
    ),
    [17],
  ],
  [
    'causal attention with a past',
    model(
      23,
      'float[1,2,3,8] q, float[1,2,3,8] k, float[1,2,3,8] v, float[1,2,4,8] pk, float[1,2,4,8] pv => float[1,2,3,8] y, float[1,2,7,8] nk, float[1,2,7,8] nv',
      '',
      'y, nk, nv = Attention <is_causal = 1> (q, k, v, , pk, pv)',
    ),
    [17],
  ],
  [
    'attention with a soft cap',
    model(23, `${byHeads} => float[2,4,3,6] y`, '', 'y = Attention <softcap = 2.0> (q, k, v)'),
    [17],
  ],
  [
    'attention with a soft cap and a mask',
    model(23, `${byHeads}, float[3,5] m => float[2,4,3,6] y`, '', 'y = Attention <softcap = 2.0> (q, k, v, m)'),
    [17],
  ],
  [
    'attention that shows its scores',
    model(
      23,
      `${byHeads}, float[3,5] m => float[2,4,3,6] y, float[2,4,3,5] s`,
      '',
      'y, , , s = Attention <qk_matmul_output_mode = 3> (q, k, v, m)',
    ),
    [17],
  ],
  ...[0, 1, 2].flatMap((mode): (typeof lowered)[number][] =>
    ['', ', softcap = 2.0'].map((cap) => [
      `attention that shows its scores at stage ${mode}${cap}`,
      model(
        23,
        `${byHeads}, float[3,5] m => float[2,4,3,6] y, float[2,4,3,5] s`,
        '',
        `y, , , s = Attention <qk_matmul_output_mode = ${mode}${cap}> (q, k, v, m)`,
      ),
      [17],
    ]),
  ),
  [
    'reductions and Squeeze',
    model(
      18,
      'float[2,3,1,4] x => float[2,3,4] y, float[2,1,1,1] z',
      'int64[1] two = {2}, int64[3] rest = {1,2,3}',
      'y = Squeeze (x, two)  z = ReduceMax (x, rest)',
    ),
    [17, 13],
  ],
  [
    'Split into uneven parts',
    model(
      18,
      'float[2,7] x => float[2,3] a, float[2,3] b, float[2,1] c',
      '',
      'a, b, c = Split <axis = 1, num_outputs = 3> (x)',
    ),
    [17, 13],
  ],
  [
    'Pad of one axis, Shape of one',
    model(
      18,
      'float[N,3,4] x => float[N,3,7] y, int64[2] s',
      'int64[2] pads = {1,2}, int64[1] axes = {-1}',
      'y = Pad (x, pads, , axes)  s = Shape <start = 1> (x)',
    ),
    [14],
  ],
  [
    'QuantizeLinear',
    model(
      21,
      'float[2,3] x => float[2,3] y',
      'float s = {0.1}, uint8 z = {128}',
      'q = QuantizeLinear <saturate = 1> (x, s, z)  y = DequantizeLinear (q, s, z)',
    ),
    [13],
  ],
];

describe('to-opset', () => {
  for (const [name, text, opsets] of lowered) {
    for (const to of opsets) {
      it(`lowers ${name} to ${to}`, async () => {
        const before = parseModel(text);
        expect(verify(before)).toEqual([]);
        const after = cloneModel(before);
        const [trace] = await runSteps(after, [toOpset({ to })], { context: new TestContext() });
        expect(trace?.changed).toBe(true);
        expect(after.opset).toBe(to);
        expect(verify(after)).toEqual([]);
        const feeds = edgeFeeds(before, 3, { N: 2 }, { p: [0, 3, 9, 1, 2, 4] });
        expect(await differential(before, after, feeds, reordered())).toEqual([]);
        const [second] = await runSteps(after, [toOpset({ to })], { context: new TestContext() });
        expect(second?.changed).toBe(false);
      });
    }
  }

  const run = async (text: string, options: { to?: number; ort?: string }) => {
    const before = parseModel(text);
    await runSteps(before, [toOpset(options)], { context: new TestContext() });
    return before;
  };

  it('fits opset and IR version to a runtime, and leaves alone what fits', async () => {
    const text = model(20, 'float[N,4] x => float[N,4] y', '', 'y = Gelu (x)');
    const old = await run(text, { ort: '1.16' });
    expect([old.opset, old.irVersion]).toEqual([19, 9]);
    const newer = await run(text, { ort: '1.22.1' });
    expect([newer.opset, newer.irVersion]).toEqual([20, 10]);
  });

  it('inlines functions first', async () => {
    const after = await run(
      `<ir_version: 10, opset_import: ["" : 20, "my.ops" : 1]> g (float[N,4] x) => (float[N,4] y) { y = my.ops.Act (x) }
      <domain: "my.ops", opset_import: ["" : 20]> Act (a) => (b) { b = Gelu (a) }`,
      { to: 17 },
    );
    expect(after.functions).toEqual([]);
    expect([...after.graph.nodes].map((node) => node.op)).toContain('Erf');
  });

  const refused: readonly (readonly [string, string, { to?: number; ort?: string }, RegExp])[] = [
    [
      'an operator without an older form',
      model(18, 'float[1,5,5] x => float[1,1,5,5] y', 'int64[2] s = {5,5}, int64[2] b = {1,5}', 'y = Col2Im (x, s, b)'),
      { to: 17 },
      /^Col2Im "y" cannot be lowered from opset 18 to 17: Col2Im came with opset 18\.$/,
    ],
    [
      'axes that are computed',
      model(18, 'float[2,3] x, int64[1] a => float y', '', 'y = ReduceMax <keepdims = 0> (x, a)'),
      { to: 17 },
      /its axes "a" are computed, which opset 17 cannot take/,
    ],
    [
      'a reduction over an empty list of axes',
      model(18, 'float[2,3] x => float[2,3] y', 'int64[0] a = {}', 'y = ReduceMax <noop_with_empty_axes = 1> (x, a)'),
      { to: 17 },
      /it reduces over no axes at all/,
    ],
    [
      'coordinates that are half a pixel off where nothing is said',
      model(
        16,
        'float[1,1,8,8] x => float[1,1,2,2] y',
        'float[1,4] r = {0,0,5,5}, int64[1] b = {0}',
        'y = RoiAlign <output_height = 2, output_width = 2> (x, r, b)',
      ),
      { to: 15 },
      /its coordinates \(half_pixel\) came with opset 16/,
    ],
    [
      'halves that are quantized',
      model(19, 'float16[4] x => uint8[4] y', 'float16 s = {0.1}, uint8 z = {3}', 'y = QuantizeLinear (x, s, z)'),
      { to: 18 },
      /QuantizeLinear takes float16 since opset 19/,
    ],
    [
      'the element type of a DequantizeLinear',
      model(23, 'uint8[4] x => float16[4] y', 'float16 s = {0.1}', 'y = DequantizeLinear <output_dtype = 10> (x, s)'),
      { to: 22 },
      /its output_dtype came with opset 23/,
    ],
    [
      'pools that round up',
      model(
        18,
        'float[1,1,7] x => float[1,1,4] y',
        '',
        'y = LpPool <kernel_shape = [2], strides = [2], ceil_mode = 1> (x)',
      ),
      { to: 17 },
      /its ceil_mode came with opset 18/,
    ],
    [
      'a greatest truth value',
      model(20, 'bool[3] x => bool[1] y', '', 'y = ReduceMax (x)'),
      { to: 19 },
      /ReduceMax takes bool since opset 20/,
    ],
    ...['r = Reshape (d, to)  y = Relu (r)', 'e = Relu (d)  r = Reshape (e, to)  y = QuantizeLinear (r, s, z)'].map(
      (end, at): (typeof refused)[number] => [
        `signed bytes ${at === 0 ? 'behind' : 'before'} which the runtime puts a pair of its own that it cannot load`,
        model(
          18,
          `float[2,3] x => ${at === 0 ? 'float' : 'int8'}[3,2] y`,
          'float s = {0.1}, int8 z = {3}, int64[2] to = {3, 2}',
          `q = QuantizeLinear (x, s, z)  d = DequantizeLinear (q, s, z)  ${end}`,
        ),
        { to: 21 },
        /Reshape ".*" cannot be raised from opset 18 to 21: it stands beside a QuantizeLinear or DequantizeLinear of signed bytes/,
      ],
    ),
    [
      'a mask of Dropout that is used',
      model(11, 'float[3] x => float[3] y, bool[3] m', '', 'y, m = Dropout (x)'),
      { to: 13 },
      /its mask says what is dropped before opset 12, and what is kept since/,
    ],
    [
      'an activation of doubles that only its function body computes',
      model(16, 'double[3] x => double[3] y', 'double[3] s = {0.1, 0.2, 0.3}', 'y = PRelu (x, s)'),
      { to: 15 },
      /ONNX Runtime computes it in float64 from opset 16 on only/,
    ],
    [
      'operators of opset 26',
      model(26, 'float[4] x => float[4] y', 'int64 a = {0}', 'y = CumProd (x, a)'),
      { to: 23 },
      /CumProd came with opset 26/,
    ],
    [
      'attention that sees a window',
      model(25, 'float[1,2,3,8] q => float[1,2,3,8] y', '', 'y = Attention <left_window_size = 1> (q, q, q)'),
      { to: 20 },
      /a window of keys only, which opset 25 brought/,
    ],
    [
      'an optional that is none',
      model(18, 'float[3] x => float[3] y', '', 'y = OptionalGetElement (x)'),
      { to: 17 },
      /not known to be an optional, which opset 18 brought/,
    ],
    [
      'an optional that is not there',
      model(18, 'float[3] x => float[3] y, bool h', '', 'y = Relu (x)  h = OptionalHasElement ()'),
      { to: 17 },
      /not known to be an optional, which opset 18 brought/,
    ],
    [
      'a draw whose function body has no kernel any more',
      model(15, 'float[3] x => float[3] y', '', 'y = Bernoulli (x)'),
      { to: 22 },
      /no kernel for it from opset 22 on/,
    ],
    [
      'a runtime that is too old',
      model(13, 'float[2] x => float[2] y', '', 'y = Relu (x)'),
      { ort: '1.5' },
      /opset 12 at most/,
    ],
    [
      'no version',
      model(13, 'float[2] x => float[2] y', '', 'y = Relu (x)'),
      { ort: 'new' },
      /such as 1\.20, not "new"/,
    ],
    [
      'more than the runtime takes',
      model(13, 'float[2] x => float[2] y', '', 'y = Relu (x)'),
      { ort: '1.14', to: 20 },
      /takes opset 18 at most, not 20/,
    ],
    [
      'an opset that is too old',
      model(13, 'float[2] x => float[2] y', '', 'y = Relu (x)'),
      { to: 11 },
      /opset 11 is older than 13/,
    ],
    [
      'a kernel that is lost',
      model(18, 'double[2] x => double[2] y', '', 'y = Softplus (x)'),
      { to: 21 },
      /computes it in float64 up to opset 18 only/,
    ],
    [
      'a kernel that the runtime does not have any more',
      model(
        16,
        'float[1,1,8,8] x => float[1,1,2,2] y',
        'float[1,4] r = {0,0,5,5}, int64[1] b = {0}',
        'y = RoiAlign <output_height = 2, output_width = 2> (x, r, b)',
      ),
      { to: 23 },
      /no kernel for it from opset 22 on/,
    ],
    [
      "an operator of the runtime's own",
      `<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]> g (float[N,4] x) => (float[N,4] y) { y = com.microsoft.QuickGelu (x) }`,
      { ort: '1.11' },
      /QuickGelu "y" needs ONNX Runtime 1\.14, not 1\.11/,
    ],
    [
      'a function of another opset',
      `<ir_version: 10, opset_import: ["" : 20, "my.ops" : 1]> g (float[N,4] x) => (float[N,4] y) { y = my.ops.Act (x) }
      <domain: "my.ops", opset_import: ["" : 19]> Act (a) => (b) { b = Relu (a) }`,
      { to: 17 },
      /function Act imports opset 19 of ai\.onnx, the model 20/,
    ],
  ];
  for (const [name, text, options, sentence] of refused) {
    it(`refuses ${name}`, async () => {
      await expect(run(text, options)).rejects.toThrow(sentence);
    });
  }
});
