import type { Options } from './support.ts';

/**
 * Every row of the table of quantized patterns: what ONNX Runtime makes of the model that the pass wrote, by its own optimized
 * graph. A convolution before and behind gives the op in question quantized neighbours.
 */
export interface Row {
  readonly name: string;
  readonly body: string;
  readonly constants?: string;
  readonly input?: string;
  readonly output?: string;
  readonly opset?: number;
  readonly options?: Options;
  /** Ops of the optimized graph that were not there before. */
  readonly fused: Readonly<Record<string, number>>;
  /** Q and DQ that stay inside the graph. */
  readonly leftover?: number;
  readonly db?: number;
}

export const c1 = 'float[8,4,3,3] w1 = random(1), float[8] b1 = random(2)';
export const c2 = 'float[8,8,3,3] w2 = random(3), float[8] b2 = random(4)';
export const conv1 = 'c = Conv <pads = [1,1,1,1]> (x, w1, b1)';
export const conv2 = (from: string): string => `y = Conv <pads = [1,1,1,1]> (${from}, w2, b2)`;
/** An op between two convolutions. */
const between = (name: string, op: string, fusedOps: Record<string, number>, more: Partial<Row> = {}): Row => ({
  name,
  body: `${conv1}  ${op}  ${conv2('z')}`,
  constants: [c1, c2, ...(more.constants ? [more.constants] : [])].join(', '),
  fused: { QLinearConv: 2, ...fusedOps },
  ...Object.fromEntries(Object.entries(more).filter(([key]) => key !== 'constants')),
});

const shape8 = { constants: 'int64[4] s = {1,8,8,8}' };
export const image = 'float[1,4,8,8]';
export const imageOut = 'float[1,8,8,8]';

export const rows: readonly Row[] = [
  { name: 'Conv', body: 'y = Conv <pads = [1,1,1,1]> (x, w1, b1)', constants: c1, fused: { QLinearConv: 1 } },
  {
    name: 'Conv without bias, per tensor',
    body: 'y = Conv <pads = [1,1,1,1]> (x, w1)',
    constants: 'float[8,4,3,3] w1 = random(1)',
    options: { perChannel: false },
    fused: { QLinearConv: 1 },
  },
  {
    name: 'Conv, s8 activations',
    body: 'y = Conv <pads = [1,1,1,1]> (x, w1, b1)',
    constants: c1,
    options: { activations: 's8' },
    fused: { QLinearConv: 1 },
  },
  {
    name: 'Conv of one dimension',
    body: 'y = Conv <pads = [1,1]> (x, w, b)',
    constants: 'float[8,4,3] w = random(1), float[8] b = random(2)',
    input: 'float[1,4,16]',
    output: 'float[1,8,16]',
    fused: { QLinearConv: 1 },
  },
  {
    name: 'depthwise Conv',
    body: 'y = Conv <pads = [1,1,1,1], group = 4> (x, w, b)',
    constants: 'float[4,1,3,3] w = random(1), float[4] b = random(2)',
    output: 'float[1,4,8,8]',
    fused: { QLinearConv: 1 },
  },
  ...(['u8', 's8'] as const).flatMap((activations): Row[] => [
    between(`Conv → Relu, ${activations}`, 'z = Relu (c)', {}, { options: { activations } }),
    between(
      `Conv → Clip(0, 1), ${activations}`,
      'z = Clip (c, lo, hi)',
      {},
      { constants: 'float lo = {0}, float hi = {1}', options: { activations } },
    ),
    between(
      `Conv → Clip(−1, 0.7), ${activations}`,
      'z = Clip (c, lo, hi)',
      {},
      { constants: 'float lo = {-1}, float hi = {0.7}', options: { activations } },
    ),
  ]),
  between('Conv → Clip without upper bound', 'z = Clip (c, lo)', {}, { constants: 'float lo = {0}' }),
  {
    name: 'MatMul, output in float',
    body: 'y = MatMul (x, w)',
    constants: 'float[16,8] w = random(1)',
    input: 'float[2,5,16]',
    output: 'float[2,5,8]',
    fused: { MatMulIntegerToFloat: 1 },
  },
  {
    name: 'MatMul → MatMul',
    body: 'h = MatMul (x, w)  y = MatMul (h, v)',
    constants: 'float[16,8] w = random(1), float[8,8] v = random(2)',
    input: 'float[2,5,16]',
    output: 'float[2,5,8]',
    fused: { QLinearMatMul: 1, MatMulIntegerToFloat: 1 },
  },
  {
    name: 'batched MatMul, one scale',
    body: 'y = MatMul (x, w)',
    constants: 'float[2,16,8] w = random(1)',
    input: 'float[2,5,16]',
    output: 'float[2,5,8]',
    fused: { MatMulIntegerToFloat: 1 },
  },
  {
    name: 'MatMul with transposed weights',
    body: 't = Transpose <perm = [1,0]> (w)  y = MatMul (x, t)',
    constants: 'float[8,16] w = random(1)',
    input: 'float[5,16]',
    output: 'float[5,8]',
    fused: { MatMulIntegerToFloat: 1 },
  },
  ...['', 'transB = 1', 'transA = 1', 'transB = 1, alpha = 0.5, beta = 2.0'].map(
    (attrs): Row => ({
      name: `Gemm ${attrs}`,
      body: `y = Gemm ${attrs ? `<${attrs}>` : ''} (x, w, b)`,
      constants: `float[${attrs.includes('transB') ? '8,16' : '16,8'}] w = random(1), float[8] b = random(2)`,
      input: attrs.includes('transA') ? 'float[16,5]' : 'float[5,16]',
      output: 'float[5,8]',
      fused: { QGemm: 1 },
    }),
  ),
  {
    name: 'Gemm, one bias for all, per tensor',
    body: 'y = Gemm (x, w, b)',
    constants: 'float[16,8] w = random(1), float[1] b = {0.25}',
    input: 'float[5,16]',
    output: 'float[5,8]',
    options: { perChannel: false },
    fused: { QGemm: 1 },
  },
  {
    name: 'Gemm → Relu → Gemm',
    body: 'h = Gemm <transB = 1> (x, w, b)  r = Relu (h)  y = Gemm (r, v)',
    constants: 'float[8,16] w = random(1), float[8] b = random(2), float[8,8] v = random(3)',
    input: 'float[5,16]',
    output: 'float[5,8]',
    fused: { QGemm: 2 },
  },
  between(
    'Add of two convolutions',
    'd = Conv <pads = [1,1,1,1]> (x, w3)  z = Add (c, d)',
    { QLinearConv: 3, QLinearAdd: 1 },
    { constants: 'float[8,4,3,3] w3 = random(7)' },
  ),
  between(
    'Add → Relu',
    'd = Conv <pads = [1,1,1,1]> (x, w3)  s = Add (c, d)  z = Relu (s)',
    { QLinearConv: 3, QLinearAdd: 1 },
    { constants: 'float[8,4,3,3] w3 = random(7)' },
  ),
  between('Add of a constant', 'z = Add (c, k)', { QLinearAdd: 1 }, { constants: 'float[8,1,1] k = random(8)' }),
  between('Mul by a constant', 'z = Mul (c, k)', { QLinearMul: 1 }, { constants: 'float[8,1,1] k = random(8)' }),
  between('SiLU', 's = Sigmoid (c)  z = Mul (c, s)', { QLinearSigmoid: 1, QLinearMul: 1 }),
  between('LeakyRelu', 'z = LeakyRelu <alpha = 0.1> (c)', { QLinearLeakyRelu: 1 }),
  between('Softmax', 'z = Softmax <axis = 3> (c)', { QLinearSoftmax: 1 }),
  between('AveragePool', 'z = AveragePool <kernel_shape = [3,3], pads = [1,1,1,1]> (c)', { QLinearAveragePool: 1 }),
  between(
    'GlobalAveragePool',
    'p = GlobalAveragePool (c)  z = Expand (p, s)',
    { QLinearGlobalAveragePool: 1 },
    { ...shape8, db: 20 },
  ),
  between(
    'Concat',
    'd = Conv <pads = [1,1,1,1]> (x, w3)  k = Concat <axis = 1> (c, d)  z = Conv (k, w4)',
    { QLinearConv: 4, QLinearConcat: 1 },
    { constants: 'float[8,4,3,3] w3 = random(7), float[8,16,1,1] w4 = random(8)' },
  ),
  between('Where', 'z = Where (m, c, c)', { QLinearWhere: 1 }, { constants: 'bool[8] m = {1,0,1,0,1,0,1,0}' }),
  between('MaxPool', 'z = MaxPool <kernel_shape = [3,3], pads = [1,1,1,1]> (c)', {}),
  between('Transpose', 'z = Transpose <perm = [0,1,3,2]> (c)', {}),
  between('Reshape, Flatten', 'f = Flatten (c)  z = Reshape (f, s)', {}, { constants: 'int64[4] s = {1,8,8,8}' }),
  between('Squeeze, Unsqueeze', 'f = Squeeze (c, a)  z = Unsqueeze (f, a)', {}, { constants: 'int64[1] a = {0}' }),
  between(
    'Slice, Tile',
    'f = Slice (c, s, e, a)  z = Tile (f, r)',
    {},
    {
      constants: 'int64[1] s = {0}, int64[1] e = {4}, int64[1] a = {1}, int64[4] r = {1,2,1,1}',
    },
  ),
  between('Gather', 'z = Gather <axis = 1> (c, i)', {}, { constants: 'int64[8] i = {7,6,5,4,3,2,1,0}' }),
  between(
    'GatherElements',
    'z = GatherElements <axis = 0> (c, i)',
    {},
    { constants: 'int64[1,8,8,8] i = {' + Array(512).fill(0).join(',') + '}' },
  ),
  between('ReduceMax', 'q = ReduceMax <axes = [1], keepdims = 1> (c)  z = Expand (q, s)', {}, shape8),
  between('ReduceMin', 'q = ReduceMin <axes = [1], keepdims = 1> (c)  z = Expand (q, s)', {}, shape8),
  between('DepthToSpace', 'd = DepthToSpace <blocksize = 2> (c)  z = Reshape (d, s)', {}, shape8),
  between(
    'Resize, nearest',
    'z = Resize <mode = "nearest"> (c, , k)',
    {},
    {
      constants: 'float[4] k = {1,1,2,2}',
      output: 'float[1,8,16,16]',
    },
  ),
  between('Split, Concat', 'a, b = Split <axis = 1> (c)  z = Concat <axis = 1> (b, a)', { QLinearConcat: 1 }),
  {
    name: 'ArgMax reads the integers',
    body: `${conv1}  y = ArgMax <axis = 1> (c)`,
    constants: c1,
    output: 'int64[1,1,8,8]',
    fused: { QLinearConv: 1 },
    db: 3,
  },
  ...['Tanh', 'Sigmoid', 'LeakyRelu', 'Relu'].map(
    (op): Row => ({
      name: `Gemm → ${op} in float`,
      body: `h = Gemm (x, w, b)  y = ${op} (h)`,
      constants: 'float[16,8] w = random(1), float[8] b = random(2)',
      input: 'float[5,16]',
      output: 'float[5,8]',
      fused: { QGemm: 1 },
    }),
  ),
  ...['float[2,5,16]', 'float[5,16]'].map(
    (input): Row => ({
      name: `MatMul of ${input} → Add of a bias → Relu in float`,
      body: 'h = MatMul (x, w)  s = Add (b, h)  y = Relu (s)',
      constants: 'float[16,8] w = random(1), float[8] b = random(2)',
      input,
      output: input.replace('16', '8'),
      fused: { QGemm: 1 },
    }),
  ),
  {
    name: 'MatMul → Add of a bias, extents unknown',
    body: 'h = MatMul (x, w)  y = Add (h, b)',
    constants: 'float[16,8] w = random(1), float[8] b = random(2)',
    input: 'float[B,S,16]',
    output: 'float[B,S,8]',
    fused: { MatMulIntegerToFloat: 1 },
  },
  between(
    'Concat of three, one of them a constant',
    'z = Concat <axis = 2> (k, c, k)',
    { QLinearConcat: 1 },
    {
      constants: 'float[1,8,1,8] k = random(8)',
      output: 'float[1,8,10,8]',
    },
  ),
  between(
    'Conv → Relu with a second quantized reader',
    'r = Relu (c)  d = Conv <pads = [1,1,1,1]> (r, w2)  z = Add (r, d)',
    {
      QLinearConv: 3,
      QLinearAdd: 1,
    },
  ),
  {
    name: 'Conv whose output the graph gives out too',
    body: `${conv1}  z = Relu (c)  ${conv2('z')}`,
    constants: `${c1}, ${c2}`,
    output: 'float[1,8,8,8] z, float[1,8,8,8]',
    fused: { QLinearConv: 2 },
  },
  ...[15, 18, 21].map(
    (opset): Row => ({
      name: `Conv → Relu → AveragePool → Conv at opset ${opset}`,
      opset,
      body: `${conv1}  r = Relu (c)  p = AveragePool <kernel_shape = [3,3], pads = [1,1,1,1]> (r)  ${conv2('p')}`,
      constants: `${c1}, ${c2}`,
      fused: { QLinearConv: 2, QLinearAveragePool: 1 },
    }),
  ),
];
