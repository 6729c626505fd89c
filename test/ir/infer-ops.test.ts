import { describe, expect, it } from 'vitest';
import { parseModel } from '../../src/ir/text/parse.ts';
import { type Binding, compareWithRuntime } from './infer-truth.ts';

/** Every case is run by ONNX Runtime; types and shapes of all its values must be known and be what came out. */
const cases: readonly (readonly [string, number, string, Binding?, number?])[] = [
  [
    'Conv with groups and dilations',
    17,
    '(float[N,4,h,9] x) => (y) < float[6,2,3,3] w = random(1) > { y = Conv <group = 2, dilations = [2, 1], pads = [1, 0, 2, 1]> (x, w) }',
    { N: 2, h: 8 },
  ],
  [
    'Conv 1-D with auto_pad',
    17,
    '(float[N,4,t] x) => (y, z) < float[6,4,3] w = random(1) > { y = Conv <auto_pad = "SAME_UPPER", strides = [2]> (x, w)  z = Conv <auto_pad = "VALID", strides = [2]> (x, w) }',
    { N: 2, t: 11 },
  ],
  [
    'ConvTranspose',
    17,
    '(float[N,4,h,w] x) => (y, z) < float[4,3,3,3] k = random(1) > { y = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1], group = 2> (x, k)  z = ConvTranspose <auto_pad = "SAME_UPPER", strides = [2, 3]> (x, k) }',
    { N: 1, h: 5, w: 6 },
  ],
  [
    'ConvTranspose output_shape',
    17,
    '(float[N,4,5,5] x) => (y) < float[4,3,3,3] k = random(1) > { y = ConvTranspose <strides = [2, 2], output_shape = [10, 11]> (x, k) }',
    { N: 1 },
  ],
  [
    'pools',
    17,
    '(float[N,3,h,w] x) => (a, b, c, d) { a, ai = MaxPool <kernel_shape = [3, 2], strides = [2, 2], pads = [1, 0, 1, 1]> (x)  b = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (x)  c = LpPool <kernel_shape = [2, 2]> (x)  d = GlobalMaxPool (x) }',
    { N: 2, h: 7, w: 8 },
  ],
  ...[5, 6, 7, 8, 9, 10].map((h): [string, number, string, Binding] => [
    `ceil_mode of ${h}`,
    21,
    '(float[1,1,h,h] x) => (a, b, c) { d = AveragePool <kernel_shape = [5, 4], strides = [2, 2], ceil_mode = 1> (x)  a = MaxPool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1, pads = [1, 1, 1, 1]> (x)  b = AveragePool <kernel_shape = [2, 2], strides = [3, 3], ceil_mode = 1> (x)  c = MaxPool <kernel_shape = [1, 1], strides = [3, 3], ceil_mode = 1> (x) }',
    { h },
  ]),
  [
    'Resize by sizes, scales and axes',
    18,
    '(float[N,3,h,w] x) => (a, b, c) < int64[4] s = {1, 3, 7, 9}, float[4] f = {1, 1, 0.5, 2}, float[2] g = {3, 1.5} > { a = Resize (x, , , s)  b = Resize (x, , f)  c = Resize <axes = [1, 2]> (x, , g) }',
    { N: 1, h: 8, w: 4 },
    1,
  ],
  [
    'Upsample-9',
    9,
    '(float[N,3,h,w] x) => (b) < float[4] f = {1, 1, 2, 2} > { b = Upsample <mode = "nearest"> (x, f) }',
    { N: 1, h: 8, w: 4 },
  ],
  [
    'reductions with attribute axes',
    11,
    '(float[a,b,c] x) => (p, q, r, s) { p = ReduceMean <axes = [1, -1]> (x)  q = ReduceSum <axes = [0], keepdims = 0> (x)  r = ReduceMax (x)  s = ReduceL2 <keepdims = 0> (x) }',
    { a: 2, b: 3, c: 4 },
  ],
  [
    'reductions with input axes',
    18,
    '(float[a,b,c] x) => (p, q, r) < int64[1] ax = {-2} > { p = ReduceMean (x, ax)  q = ReduceSum <keepdims = 0> (x, ax)  r = ReduceProd <noop_with_empty_axes = 1> (x) }',
    { a: 2, b: 3, c: 4 },
  ],
  [
    'ArgMax, TopK, Softmax, CumSum',
    17,
    '(float[a,b] x) => (p, q, v, i, s, c) < int64[1] k = {2}, int64 ax = {1} > { p = ArgMax <axis = 1> (x)  q = ArgMin <keepdims = 0> (x)  v, i = TopK (x, k)  s = Softmax (x)  c = CumSum (x, ax) }',
    { a: 2, b: 5 },
  ],
  [
    'Gather family',
    17,
    '(float[a,b,3] x, int64[n] i, int64[m,2] nd) => (g, h, e, s) < int64[1] zero = {0}, int64[2,2,3] pos = fill(0), float[1,3] u = random(2), int64[1,2] at = {0, 0} > { g = Gather <axis = 1> (x, zero)  h = GatherND (x, at)  e = GatherElements <axis = 1> (x, pos)  s = ScatterND (x, at, u) }',
    { a: 2, b: 4, n: 1, m: 1 },
  ],
  [
    'GatherND with batch_dims, OneHot, EyeLike, Trilu',
    17,
    '(float[b,4,3] x, int64[b,1] i) => (g, o, e, t) < int64 depth = {5}, float[2] v = {0, 1}, int64[2,1] at = {1, 2}, float[3,4] m = random(1) > { g = GatherND <batch_dims = 1> (x, at)  o = OneHot <axis = 1> (i, depth, v)  e = EyeLike <dtype = 7> (m)  t = Trilu (x) }',
    { b: 2 },
  ],
  [
    'Slice',
    17,
    '(float[a,10] x) => (p, q, r, s) < int64[1] s1 = {1}, int64[1] m1 = {-1}, int64[1] big = {9223372036854775807}, int64[1] low = {-9223372036854775808}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] seven = {7} > { p = Slice (x, s1, seven, one)  q = Slice (x, m1, low, zero, m1)  r = Slice (x, zero, m1, zero)  s = Slice (x, s1, big, zero, seven) }',
    { a: 9 },
  ],
  [
    'Slice-1 with attributes',
    9,
    '(float[a,10] x) => (p) { p = Slice <axes = [1], starts = [-4], ends = [-1]> (x) }',
    { a: 3 },
  ],
  [
    'Pad',
    18,
    '(float[a,b] x) => (p, q) < int64[4] pads = {1, 0, 2, 3}, int64[2] some = {1, 1}, int64[1] ax = {1} > { p = Pad (x, pads)  q = Pad (x, some, , ax) }',
    { a: 2, b: 3 },
  ],
  ['Pad-2', 10, '(float[a,b] x) => (p) { p = Pad <pads = [0, 1, 0, -1]> (x) }', { a: 2, b: 3 }],
  [
    'Split',
    13,
    '(float[a,12] x) => (p, q, r, s) < int64[2] parts = {5, 7} > { p, q = Split <axis = 1> (x, parts)  r, s = Split <axis = 1> (x) }',
    { a: 2 },
  ],
  ['Split-18 uneven', 18, '(float[a,10] x) => (p, q, r) { p, q, r = Split <axis = 1, num_outputs = 3> (x) }', { a: 2 }],
  ['Split-2', 11, '(float[a,12] x) => (p, q) { p, q = Split <axis = 1, split = [5, 7]> (x) }', { a: 2 }],
  [
    'Squeeze and Unsqueeze, both forms',
    13,
    '(float[a,1,b,1] x) => (p, q) < int64[2] ax = {1, -1}, int64[2] two = {0, -1} > { p = Squeeze (x, ax)  q = Unsqueeze (p, two) }',
    { a: 2, b: 3 },
  ],
  [
    'Unsqueeze-1, Flatten',
    11,
    '(float[a,3,b] x) => (p, q, r) { p = Unsqueeze <axes = [0, 2]> (x)  q = Flatten (x)  r = Flatten <axis = -1> (x) }',
    { a: 2, b: 3 },
  ],
  [
    'Reshape with 0, −1 and a symbol',
    17,
    '(float[a,6,b] x) => (p, q) < int64[3] s = {0, -1, 2}, int64[4] t = {0, 2, 3, -1} > { p = Reshape (x, s)  q = Reshape (x, t) }',
    { a: 2, b: 4 },
  ],
  [
    'Expand, Tile, Where, Range',
    17,
    '(float[a,1] x, bool[b] c) => (p, q, w) < int64[2] s = {1, 4}, int64[2] r = {2, 3} > { p = Expand (x, s)  q = Tile (x, r)  w = Where (c, x, p) }',
    { a: 2, b: 4 },
  ],
  [
    'MatMul of every rank',
    17,
    '(float[k] v, float[m,k] a, float[b,k,n] c) => (p, q, r, s) { p = MatMul (v, c)  q = MatMul (a, v)  r = MatMul (a, c)  s = MatMul (v, v) }',
    { k: 3, m: 2, b: 4, n: 5 },
  ],
  [
    'Gemm',
    17,
    '(float[k,m] a, float[n,k] b) => (y) { y = Gemm <transA = 1, transB = 1> (a, b) }',
    { k: 3, m: 2, n: 5 },
  ],
  [
    'Einsum',
    17,
    '(float[b,i,j] x, float[b,j,k] y) => (p, q, r) { p = Einsum <equation = "bij,bjk->bik"> (x, y)  q = Einsum <equation = "...ij->...ji"> (x)  r = Einsum <equation = "bij,bjk"> (x, y) }',
    { b: 2, i: 3, j: 4, k: 5 },
  ],
  [
    'LSTM, GRU, RNN',
    14,
    '(float[t,b,4] x) => (y, h, c, g, gh, rh) < float[2,12,4] w = random(1), float[2,12,3] r = random(2), float[1,9,4] gw = random(3), float[1,9,3] gr = random(4), float[1,3,4] rw = random(5), float[1,3,3] rr = random(6) > { y, h, c = LSTM <hidden_size = 3, direction = "bidirectional"> (x, w, r)  g, gh = GRU <hidden_size = 3> (x, gw, gr)  , rh = RNN <hidden_size = 3> (x, rw, rr) }',
    { t: 5, b: 2 },
  ],
  [
    'LayerNormalization with statistics',
    17,
    '(float[a,b,4] x) => (y, m, i) < float[4] s = random(1) > { y, m, i = LayerNormalization (x, s, s) }',
    { a: 2, b: 3 },
  ],
  [
    'normalizations',
    17,
    '(float[N,4,h,w] x) => (a, b, c) < float[4] s = random(1, 1, 2) > { a = BatchNormalization (x, s, s, s, s)  b = InstanceNormalization (x, s, s)  c = LRN <size = 3> (x) }',
    { N: 1, h: 3, w: 2 },
  ],
  [
    'Q/DQ and dynamic quantization',
    21,
    '(float[a,b] x) => (d, q, s, z) < float sc = {0.1}, int8 zp = {3} > { p = QuantizeLinear (x, sc, zp)  d = DequantizeLinear (p, sc, zp)  q, s, z = DynamicQuantizeLinear (x)  u = QuantizeLinear (x, sc)  v = QuantizeLinear <output_dtype = 5> (x, sc) }',
    { a: 2, b: 3 },
  ],
  [
    'integer products',
    17,
    '(uint8[a,4] x, uint8[1,2,5,5] i) => (m, c, q) < uint8[4,3] w = random(1), uint8[2,2,3,3] k = random(2), float sc = {0.1}, uint8 zp = {3} > { m = MatMulInteger (x, w)  c = ConvInteger (i, k)  q = QLinearMatMul (x, sc, zp, w, sc, zp, sc, zp)  r = QLinearConv <pads = [1, 1, 1, 1]> (i, sc, zp, k, sc, zp, sc, zp) }',
    { a: 2 },
  ],
  [
    'DepthToSpace and back',
    17,
    '(float[N,8,h,w] x) => (y, z) { y = DepthToSpace <blocksize = 2> (x)  z = SpaceToDepth <blocksize = 2> (y) }',
    { N: 1, h: 3, w: 2 },
  ],
  [
    'data-dependent extents',
    17,
    '(float[a,4] x) => (n, u, c) < bool[4] keep = {true, false, true, true} > { n = NonZero (x)  u = Unique (x)  c = Compress <axis = 1> (x, keep) }',
    { a: 3 },
    3,
  ],
  [
    'NonMaxSuppression',
    17,
    '(float[b,6,4] x, float[b,2,6] s) => (n) < int64 k = {3} > { n = NonMaxSuppression (x, s, k) }',
    { b: 1 },
    1,
  ],
  [
    'Random, Bernoulli, Multinomial',
    17,
    '(float[a,4] x) => (p, q, r) { p = RandomNormal <shape = [2, 3]> ()  q = RandomUniformLike (x)  s = Sigmoid (x)  r = Bernoulli (s)  m = Multinomial <sample_size = 6> (x) }',
    { a: 2 },
  ],
  [
    'windows, DFT, STFT',
    17,
    '(float[b,32] x, float[b,16,1] z) => (w, s, d) < int64 n = {8}, int64 step = {4} > { w = HannWindow (n)  s = STFT (x, step, w)  d = DFT <axis = 1, onesided = 1> (z) }',
    { b: 2 },
  ],
  [
    'sampling',
    16,
    '(float[N,2,5,5] x, float[N,3,4,2] g, float[r,4] rois) => (s, a) < int64[2] which = {0, 0} > { s = GridSample (x, g)  a = RoiAlign <output_height = 2, output_width = 3> (x, rois, which) }',
    { N: 1, r: 2 },
  ],
  [
    'sequences',
    17,
    '(float[a,4] x) => (c, e, l) < int64 at = {0} > { s = SequenceConstruct (x, x)  c = ConcatFromSequence <axis = 0> (s)  e = SequenceAt (s, at)  l = SequenceLength (s)  n = ConcatFromSequence <axis = 0, new_axis = 1> (s) }',
    { a: 2 },
    2,
  ],
  [
    'Loop and Scan',
    17,
    `(float[n,4] x) => (k, r, st, sc) < int64 trips = {3}, bool yes = {true}, float[4] z = fill(0) > {
    k, r = Loop <body = b (int64 i, bool go, float[n,4] c) => (go2, c2, s) { go2 = Identity (go)  c2 = Relu (c)  s = ReduceMean <keepdims = 0, axes = [0]> (c) }> (trips, yes, x)
    st, sc = Scan <num_scan_inputs = 1, body = p (float[4] acc, float[4] row) => (acc2, out) { acc2 = Add (acc, row)  out = Concat <axis = 0> (acc, row) }> (z, x) }`,
    { n: 5 },
  ],
  [
    'elementwise with broadcasting and comparisons',
    17,
    '(float[a,1,b] x, float[c,b] y) => (p, q, r, s, t) { p = Add (x, y)  q = Greater (x, y)  r = Max (x, y, x)  s = IsNaN (x)  t = PRelu (x, y)  u = Clip (x)  v = Dropout (x)  w, m = Dropout (x)  z = Pow (x, y) }'.replace(
      't = PRelu (x, y)',
      't = Mean (x, y)',
    ),
    { a: 2, b: 3, c: 4 },
  ],
  [
    'com.microsoft products',
    17,
    '(float[b,s,32] x) => (n, d, f, g) < uint8[8,1,16] w = random(1), float[8] sc = random(2, 0.01, 0.1), int8[32,8] wi = random(3), float one = {0.1}, float[8,32] wt = random(4) > { n = com.microsoft.MatMulNBits <K = 32, N = 8, bits = 4, block_size = 32> (x, w, sc)  d = com.microsoft.DynamicQuantizeMatMul (x, wi, one)  f = com.microsoft.FusedMatMul <transB = 1> (x, wt)  g = com.microsoft.Gelu (x)  fg = com.microsoft.FastGelu (x)  q = com.microsoft.QuickGelu (x) }',
    { b: 2, s: 3 },
  ],
  [
    'com.microsoft integer ops',
    17,
    '(float[a,8] x) => (y, z, m, c) < uint8[8,3] w = random(1), float sc = {0.1}, uint8 zp = {3} > { q, qs, qz = DynamicQuantizeLinear (x)  y = com.microsoft.QGemm (q, qs, qz, w, sc, zp, , sc, zp)  f = com.microsoft.QGemm (q, qs, qz, w, sc, zp)  z = com.microsoft.QLinearAdd (q, sc, zp, q, sc, zp, sc, zp)  m = com.microsoft.MatMulIntegerToFloat (q, w, qs, sc, qz, zp)  c = com.microsoft.QLinearConcat <axis = 1> (sc, zp, q, sc, zp, q, sc, zp)  s = com.microsoft.QLinearSigmoid (q, sc, zp, sc, zp)  mi = com.microsoft.QLinearMul (q, sc, zp, q, sc, zp, sc, zp) }',
    { a: 2 },
  ],
  [
    'com.microsoft fused convolutions and products',
    17,
    '(float[N,3,h,h] x, float[a,4] m) => (y, g) < float[4,3,3,3] w = random(1), float[5,4] b = random(2) > { y = com.microsoft.FusedConv <activation = "Relu", pads = [1, 1, 1, 1]> (x, w)  g = com.microsoft.FusedGemm <transB = 1, activation = "Relu"> (m, b) }',
    { N: 1, h: 4, a: 2 },
  ],
  [
    'com.microsoft normalizations',
    17,
    '(float[b,s,16] x) => (y, t, z, u, l) < float[16] g = random(1) > { y, , , t = com.microsoft.SkipLayerNormalization (x, x, g, g)  z, , , u = com.microsoft.SkipSimplifiedLayerNormalization (x, x, g)  l = SimplifiedLayerNormalization (x, g)  bg = com.microsoft.BiasGelu (x, g) }',
    { b: 2, s: 3 },
  ],
  [
    'com.microsoft attention',
    17,
    '(float[b,s,16] x) => (y, p, m, k) < float[16,48] w = random(1), float[48] bias = random(2), float[2,2,2,5,8] past = random(3) > { y, p = com.microsoft.Attention <num_heads = 2, unidirectional = 1> (x, w, bias, , past)  m, k, v = com.microsoft.MultiHeadAttention <num_heads = 2> (x, x, x) }',
    { b: 2, s: 3 },
  ],
  [
    'com.microsoft attention with a cache',
    17,
    '(float[2,s,16] x) => (m, k, v) < float[2,2,5,8] pk = random(3) > { m, k, v = com.microsoft.MultiHeadAttention <num_heads = 2> (x, x, x, , , , pk, pk) }',
    { s: 3 },
  ],
  [
    'com.microsoft.GroupQueryAttention',
    17,
    '(float[1,s,32] q, float[1,s,16] kv) => (y, k, v) < int32[1] lens = {4}, int32 total = {5}, float[1,2,3,8] past = random(1) > { y, k, v = com.microsoft.GroupQueryAttention <num_heads = 4, kv_num_heads = 2> (q, kv, kv, past, past, lens, total) }',
    { s: 2 },
  ],
  [
    'com.microsoft embeddings',
    17,
    '(int32[b,s] ids) => (y, m, g) < float[10,16] w = random(1), float[8,16] pos = random(2), float[16] g1 = random(3), uint8[10,8] data = random(4), float[10,1] sc = random(5) > { y, m = com.microsoft.EmbedLayerNormalization (ids, , w, pos, , g1, g1)  i = Cast <to = 7> (ids)  g = com.microsoft.GatherBlockQuantized <block_size = 16, gather_axis = 0, quantize_axis = 1, bits = 4> (data, i, sc) }',
    { b: 2, s: 3 },
  ],
  [
    'com.microsoft.RotaryEmbedding',
    17,
    '(float[b,s,16] x, int64[b,s] ids) => (y) < float[8,4] c = random(1) > { y = com.microsoft.RotaryEmbedding <num_heads = 2> (x, ids, c, c) }',
    { b: 1, s: 3 },
  ],
  [
    'Attention-23, RMSNormalization-23, Gelu-20',
    23,
    '(float[b,s,32] q, float[b,t,16] k) => (y, p, r, g) < float[32] w = random(1) > { y, p = Attention <q_num_heads = 4, kv_num_heads = 2> (q, k, k)  r = RMSNormalization (q, w)  g = Gelu (q) }',
    { b: 2, s: 3, t: 4 },
  ],
  [
    'Attention-23 by heads',
    23,
    '(float[b,4,s,8] q, float[b,4,t,8] k) => (y) < float[2,4,3,8] past = random(1) > { y, pk, pv = Attention (q, k, k, , past, past) }',
    { b: 2, s: 3, t: 4 },
  ],
  [
    'ai.onnx.ml',
    17,
    '(float[N,3] x) => (s, l, p) { s = ai.onnx.ml.Scaler <offset = [0.0, 0.0, 0.0], scale = [1.0, 1.0, 1.0]> (x)  l, p = ai.onnx.ml.LinearClassifier <coefficients = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], intercepts = [0.0, 0.0], classlabels_ints = [0, 1], multi_class = 0> (x)  r = ai.onnx.ml.LinearRegressor <coefficients = [0.1, 0.2, 0.3], intercepts = [0.0]> (x)  n = ai.onnx.ml.Normalizer (x) }',
    { N: 4 },
  ],
];

const named = cases.map(([name, opset, body, binding = {}, open = 0]) => ({ name, opset, body, binding, open }));

describe('inference agrees with ONNX Runtime', () => {
  it.each(named)('$name', async ({ opset, body, binding, open }) => {
    const opsets = `"" : ${opset}, "com.microsoft" : 1, "ai.onnx.ml" : 3`;
    const model = parseModel(`<ir_version: 10, opset_import: [${opsets}]>\ng ${body}`);
    const fill = (name: string, index: number): number => (/^i(ds)?$/.test(name) ? index % 2 : Math.sin(index + 1));
    const truth = await compareWithRuntime(model, binding, fill);
    expect(truth.wrong).toEqual([]);
    expect(truth.open, truth.open.join('\n')).toHaveLength(open);
    expect(truth.values).toBeGreaterThan(0);
  });
});
