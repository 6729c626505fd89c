import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { staticGraph } from '../../../src/cli/static-graph.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { encodeModel } from '../../../src/onnx/encode.ts';
import { convertToCoreml } from '../../../targets/coreml/convert.ts';
import { readProgram } from '../../../targets/coreml/read.ts';
import { facts, runCoreml } from '../../../targets/coreml/run.ts';
import { writePackage } from '../../../targets/coreml/write.ts';

interface Case {
  readonly io: string;
  readonly body: string;
  readonly weights?: string;
  readonly opset?: number;
}

/** Same numbers for the same place; integers and truth values where the input is of such a type. */
function inputValues(type: string, count: number, n: number): ort.Tensor['data'] {
  const wave = Array.from({ length: count }, (_, i) => Math.sin(i * 1.7 + n) * 2);
  if (type === 'int64') return BigInt64Array.from(wave, (value) => BigInt(Math.abs(Math.trunc(value))));
  if (type === 'int32') return Int32Array.from(wave, (value) => Math.trunc(value * 3));
  return Float32Array.from(wave);
}

async function both({ io, body, weights = '', opset = 17 }: Case, precision: 'float32' | 'float16' = 'float32') {
  const text = `<ir_version: 8, opset_import: ["" : ${opset}]>\nmain (${io})\n${weights === '' ? '' : `<${weights}>\n`}{\n${body}\n}`;
  const model = parseModel(text);
  const session = await ort.InferenceSession.create(encodeModel(model));
  const inputs = session.inputMetadata.map((meta, n) => {
    const shape = meta.isTensor ? meta.shape.map((dim) => (typeof dim === 'number' ? dim : 2)) : [];
    const dtype = meta.isTensor ? meta.type : 'float32';
    const values = inputValues(
      dtype,
      shape.reduce((product, dim) => product * dim, 1),
      n,
    ) as Float32Array;
    return { name: meta.name, shape, dtype, values };
  });
  const want = await session.run(
    Object.fromEntries(
      inputs.map(({ name, shape, dtype, values }) => [name, new ort.Tensor(dtype as 'float32', values, shape)]),
    ),
  );
  const golden = {
    inputs: inputs.map(({ name, shape, dtype, values }) => ({
      name,
      shape,
      dtype,
      bytes: new Uint8Array(values.buffer),
    })),
    outputs: [],
    tolerance: { rtol: 0, atol: 0 },
  };
  const graph = await staticGraph(model, golden, new AbortController().signal);
  const { graph: mil, names } = convertToCoreml(graph, { precision });
  const known = Object.fromEntries(Object.entries(names).map(([name, own]) => [facts.name(name), own]));
  const written = writePackage(mil, { description: 'test', license: undefined, version: undefined, facts: known });
  const got = runCoreml(written.model, written.weights)(golden.inputs.map((input) => ({ ...input, file: '' })));
  return { want, got, written };
}

async function expectSame(
  one: Case,
  tolerance = 2e-6,
  precision: 'float32' | 'float16' = 'float32',
): Promise<string[]> {
  const { want, got, written } = await both(one, precision);
  for (const { name, shape, dtype, bytes } of got) {
    const tensor = want[name] as ort.Tensor;
    expect(shape, name).toEqual(tensor.dims);
    const expected = Array.from(tensor.data as Float32Array, Number);
    const buffer = bytes.slice().buffer;
    const actual = Array.from(dtype === 'float32' ? new Float32Array(buffer) : new Int32Array(buffer));
    const scale = Math.max(...expected.map(Math.abs), 1e-6);
    const worst = Math.max(...actual.map((value, i) => Math.abs(value - (expected[i] ?? 0))));
    expect(worst / scale, name).toBeLessThan(tolerance);
  }
  return readProgram(written.model, written.weights)
    .ops.map(({ type }) => type)
    .filter((type) => type !== 'const');
}

const picture = 'float[1,4,7,6] x) => (float[b,c,h,w] y';
const rows = 'float[3,5,8] x) => (float[b,c,l] y';
const w4 = 'float[6,4,3,3] w = random(1, -0.5, 0.5), float[6] b = random(2, -1, 1)';

const cases: readonly [string, Case][] = [
  ['Conv', { io: picture, weights: w4, body: 'y = Conv <pads = [2,0,1,1], strides = [2,2]> (x, w, b)' }],
  ['Conv SAME_UPPER', { io: picture, weights: w4, body: 'y = Conv <auto_pad = "SAME_UPPER", strides = [2,2]> (x, w)' }],
  ['Conv SAME_LOWER', { io: picture, weights: w4, body: 'y = Conv <auto_pad = "SAME_LOWER", strides = [2,2]> (x, w)' }],
  ['Conv VALID', { io: picture, weights: w4, body: 'y = Conv <auto_pad = "VALID", strides = [2,2]> (x, w)' }],
  ['Conv dilated', { io: picture, weights: w4, body: 'y = Conv <dilations = [2,2], pads = [2,2,2,2]> (x, w, b)' }],
  [
    'Conv in groups',
    { io: picture, weights: 'float[6,2,3,3] w = random(1, -1, 1)', body: 'y = Conv <group = 2> (x, w)' },
  ],
  [
    'depthwise',
    {
      io: picture,
      weights: 'float[8,1,3,3] w = random(1, -1, 1)',
      body: 'y = Conv <group = 4, pads = [1,1,1,1]> (x, w)',
    },
  ],
  [
    'Conv over one axis and over three',
    {
      io: 'float[2,4,9] x, float[1,2,4,5,6] z) => (float[b,c,l] y, float[d,e,f,g,h] u',
      weights: 'float[6,4,3] w = random(1, -1, 1), float[3,2,2,3,3] v = random(2, -1, 1)',
      body: 'y = Conv <pads = [1,2], strides = [2]> (x, w)\nu = Conv <pads = [0,1,1,1,1,1], strides = [1,2,1]> (z, v)',
    },
  ],
  [
    'ConvTranspose',
    {
      io: picture,
      weights: 'float[4,5,3,3] w = random(1, -1, 1), float[5] b = random(2, -1, 1)',
      body: 'y = ConvTranspose <strides = [2,2], pads = [1,0,1,1]> (x, w, b)',
    },
  ],
  [
    'ConvTranspose to a shape',
    {
      io: picture,
      weights: 'float[4,5,3,3] w = random(1, -1, 1)',
      body: 'y = ConvTranspose <strides = [2,2], output_shape = [14,12]> (x, w)',
    },
  ],
  [
    'ConvTranspose in groups, dilated, with output padding',
    {
      io: picture,
      weights: 'float[4,3,3,3] w = random(1, -1, 1)',
      body: 'y = ConvTranspose <group = 2, strides = [3,2], dilations = [2,1], pads = [1,1,1,1], output_padding = [2,1]> (x, w)',
    },
  ],
  [
    'ConvTranspose beyond its kernel',
    {
      io: picture,
      weights: 'float[4,5,2,2] w = random(1, -1, 1)',
      body: 'y = ConvTranspose <strides = [3,3], output_padding = [1,2]> (x, w)',
    },
  ],
  ['MaxPool', { io: picture, body: 'y = MaxPool <kernel_shape = [3,3], strides = [2,2], pads = [1,1,1,1]> (x)' }],
  [
    'MaxPool, extents rounded up',
    { io: picture, body: 'y = MaxPool <kernel_shape = [2,2], strides = [2,2], ceil_mode = 1> (x)' },
  ],
  [
    'AveragePool',
    { io: picture, body: 'y = AveragePool <kernel_shape = [3,3], strides = [2,2], pads = [2,0,0,2]> (x)' },
  ],
  [
    'AveragePool with pads that count',
    { io: picture, body: 'y = AveragePool <kernel_shape = [3,3], pads = [1,1,1,1], count_include_pad = 1> (x)' },
  ],
  [
    'AveragePool, extents rounded up',
    { io: picture, body: 'y = AveragePool <kernel_shape = [3,3], strides = [2,2], ceil_mode = 1> (x)' },
  ],
  ['global pools', { io: picture, body: 'a = GlobalAveragePool (x)\nm = GlobalMaxPool (x)\ny = Add (a, m)' }],
  [
    'Gemm',
    {
      io: 'float[3,4] x) => (float[a,b] y',
      weights: 'float[5,4] w = random(1, -1, 1), float[5] b = random(2, -1, 1)',
      body: 'y = Gemm <transB = 1, alpha = 0.5, beta = 2.0> (x, w, b)',
    },
  ],
  [
    'Gemm transposed, a bias of all',
    {
      io: 'float[4,3] x) => (float[a,b] y',
      weights: 'float[4,5] w = random(1, -1, 1), float[3,5] b = random(2, -1, 1)',
      body: 'y = Gemm <transA = 1, beta = 0.5> (x, w, b)',
    },
  ],
  [
    'Gemm of computed',
    { io: 'float[4,3] x, float[5,3] z) => (float[a,b] y', body: 'y = Gemm <transB = 1, alpha = 2.0> (x, z)' },
  ],
  ['MatMul with weights', { io: rows, weights: 'float[8,3] w = random(1, -1, 1)', body: 'y = MatMul (x, w)' }],
  [
    'MatMul that broadcasts',
    { io: 'float[2,1,3,4] x, float[5,4,6] z) => (float[a,b,c,d] y', body: 'y = MatMul (x, z)' },
  ],
  ['MatMul with vectors', { io: 'float[2,3,4] x, float[4] z) => (float[a,b] y', body: 'y = MatMul (x, z)' }],
  [
    'activations',
    {
      io: picture,
      weights: 'float l = {-0.5}, float h = {1.5}',
      body: 'a = HardSigmoid (x)\nb = HardSwish (x)\nc = LeakyRelu <alpha = 0.2> (x)\nd = Elu <alpha = 0.7> (x)\ne = Softplus (x)\nf = Erf (x)\ng = Clip (x, l, h)\ni = Selu (x)\nj = Celu <alpha = 0.5> (x)\nk = Softsign (x)\nm = Relu (x)\nn = Sigmoid (x)\no = Tanh (x)\ny = Sum (a, b, c, d, e, f, g, i, j, k, m, n, o)',
    },
  ],
  [
    'bounds of one side',
    {
      io: picture,
      weights: 'float l = {-0.5}, float h = {0.5}, float z = {0}, float s = {6}',
      body: 'a = Clip (x, l)\nb = Clip (x, , h)\nc = Clip (x, z)\nd = Clip (x, z, s)\ny = Sum (a, b, c, d)',
    },
  ],
  [
    'Mish and Gelu',
    {
      io: picture,
      opset: 20,
      body: 'a = Mish (x)\nb = Gelu (x)\nc = Gelu <approximate = "tanh"> (x)\ny = Sum (a, b, c)',
    },
  ],
  ['PRelu by channel', { io: picture, weights: 'float[4,1,1] s = random(4, 0, 1)', body: 'y = PRelu (x, s)' }],
  ['PRelu of rows', { io: rows, weights: 'float[8] s = random(4, 0, 1)', body: 'y = PRelu (x, s)' }],
  [
    'functions',
    {
      io: picture,
      weights: 'float o = {1.1}, float t = {3}',
      body: 'a = Abs (x)\nb = Add (a, o)\nc = Log (b)\nd = Sqrt (b)\ne = Reciprocal (b)\nf = Exp (x)\ng = Sin (x)\nh = Cos (x)\ni = Floor (x)\nj = Ceil (x)\nk = Round (x)\nl = Sign (x)\nm = Neg (x)\nn = Pow (b, t)\np = Atan (x)\nq = Sinh (x)\nr = Tanh (x)\ns = Asin (r)\ny = Sum (c, d, e, f, g, h, i, j, k, l, m, n, p, q, s)',
    },
  ],
  [
    'arithmetic that broadcasts',
    {
      io: 'float[2,3,1] x, float[4] z) => (float[a,b,c] y',
      body: 'a = Mul (x, z)\nb = Sub (a, z)\nc = Max (a, b, x)\nd = Min (c, z)\ny = Mean (d, x, z)',
    },
  ],
  [
    'comparisons and Where',
    {
      io: picture,
      weights: 'float z = {0.25}',
      body: 'g = Greater (x, z)\nl = LessOrEqual (x, z)\no = Xor (g, l)\na = And (o, g)\nn = Not (a)\ne = Equal (n, l)\nm = Neg (x)\nw = Where (g, x, m)\nt = Where (e, w, z)\ny = Identity (t)',
    },
  ],
  [
    'integers',
    {
      io: 'int32[2,3] x) => (int32[a,b] y',
      weights: 'int32[3] z = {3, -2, 4}',
      body: 'a = Add (x, z)\nb = Mul (a, z)\ny = Mod (b, z)',
    },
  ],
  [
    'truth values as output',
    { io: 'float[2,3] x, float[2,3] z) => (float[a,b] y', body: 'a = Less (x, z)\ny = Cast <to = 1> (a)' },
  ],
  [
    'Softmax over channels and rows',
    { io: picture, body: 'a = Softmax <axis = 1> (x)\nb = LogSoftmax <axis = 2> (x)\ny = Add (a, b)' },
  ],
  [
    'Softmax of old',
    { io: picture, opset: 11, body: 'a = Softmax <axis = 2> (x)\nb = LogSoftmax <axis = 1> (x)\ny = Add (a, b)' },
  ],
  [
    'shapes',
    {
      io: picture,
      weights: 'int64[3] s = {2, -1, 3}, int64[1] o = {1}',
      body: 'a = Reshape (x, s)\nb = Unsqueeze (a, o)\nc = Squeeze (b, o)\nd = Transpose <perm = [2,0,1]> (c)\ny = Flatten <axis = 2> (d)',
    },
  ],
  [
    'Gather',
    {
      io: picture,
      weights: 'int64[2,2] i = {0, -1, 2, 1}, int64 j = {-2}',
      body: 'a = Gather <axis = 3> (x, i)\nb = Gather <axis = 2> (a, j)\ny = Identity (b)',
    },
  ],
  [
    'Gather by input',
    { io: 'int64[2,3] x) => (float[a,b,c] y', weights: 'float[5,4] t = random(3, -1, 1)', body: 'y = Gather (t, x)' },
  ],
  [
    'GatherElements, GatherND, ScatterND',
    {
      io: 'float[3,4] x) => (float[a,b] y',
      weights: 'int64[3,2] i = {0, 3, 1, -1, 2, 0}, int64[2,1] n = {2, 0}, float[2,4] u = random(5, -1, 1)',
      body: 'a = GatherElements <axis = 1> (x, i)\nb = GatherND (x, n)\nc = ScatterND (x, n, u)\nd = Concat <axis = 0> (b, c)\ne = Concat <axis = 0> (a, a)\nf = ReduceSum <keepdims = 1> (e)\ny = Add (d, f)',
    },
  ],
  [
    'Slice',
    {
      io: picture,
      weights: 'int64[2] s = {-1, 4}, int64[2] e = {-100, 0}, int64[2] a = {1, 3}, int64[2] t = {-2, -1}',
      body: 'y = Slice (x, s, e, a, t)',
    },
  ],
  ['Split and Concat', { io: picture, body: 'p, q = Split <axis = 1> (x)\ny = Concat <axis = 1> (q, p, q)' }],
  [
    'Pad',
    {
      io: picture,
      weights:
        'int64[8] p = {0,0,1,2,0,1,2,0}, int64[8] q = {0,0,1,1,0,0,1,1}, int64[8] r = {0,0,-1,2,0,0,1,-1}, float v = {0.5}',
      body: 'a = Pad (x, p, v)\nb = Pad <mode = "reflect"> (a, q)\nc = Pad <mode = "edge"> (b, r)\ny = Identity (c)',
    },
  ],
  [
    'Expand, Tile',
    {
      io: 'float[2,3,1] x) => (float[a,b,c,d] y',
      weights: 'int64[4] s = {2,1,3,4}, int64[4] r = {1,2,1,2}',
      body: 'a = Expand (x, s)\ny = Tile (a, r)',
    },
  ],
  [
    'blocks',
    {
      io: picture,
      body: 'a = DepthToSpace <blocksize = 2> (x)\nb = DepthToSpace <blocksize = 2, mode = "CRD"> (x)\nc = Add (a, b)\ny = SpaceToDepth <blocksize = 2> (c)',
    },
  ],
  [
    'Trilu',
    {
      io: 'float[2,4,4] x) => (float[a,b,c] y',
      weights: 'int64 k = {-1}',
      body: 'a = Trilu (x)\nb = Trilu <upper = 0> (x)\nc = Trilu (x, k)\ny = Sum (a, b, c)',
    },
  ],
  [
    'reductions',
    {
      io: picture,
      body: 'a = ReduceMean <axes = [2,3]> (x)\nb = ReduceMax <axes = [-1], keepdims = 0> (x)\nc = ReduceMin <axes = [1]> (x)\nd = ReduceProd <axes = [3]> (x)\ne = ReduceL1 <axes = [1]> (x)\nf = ReduceL2 <axes = [1]> (x)\ng = ReduceSumSquare <axes = [1]> (x)\nh = ReduceLogSumExp <axes = [1]> (x)\ni = ReduceSum (x)\nj = ReduceSum (b)\nk = ReduceSum (d)\ny = Sum (a, c, e, f, g, h, i, j, k)',
    },
  ],
  [
    'ArgMax, TopK, CumSum',
    {
      io: 'float[3,6] x) => (float[a,b] y',
      weights: 'int64[1] k = {2}, int64 o = {1}',
      body: 'v, i = TopK <axis = 1> (x, k)\nm = ArgMax <axis = 1> (x)\nn = ArgMin <axis = 1> (x)\nf = Cast <to = 1> (m)\ng = Cast <to = 1> (n)\nh = Cast <to = 1> (i)\nc = CumSum <exclusive = 1, reverse = 1> (x, o)\ny = Concat <axis = 1> (v, f, g, h, c)',
    },
  ],
  [
    'LayerNormalization',
    {
      io: rows,
      weights: 'float[8] s = random(1, 0, 1), float[8] b = random(2, -1, 1)',
      body: 'y = LayerNormalization <epsilon = 0.001> (x, s, b)',
    },
  ],
  [
    'InstanceNormalization, BatchNormalization',
    {
      io: picture,
      weights:
        'float[4] s = random(1, 0, 1), float[4] b = random(2, -1, 1), float[4] m = random(3, -1, 1), float[4] v = random(4, 0.5, 1)',
      body: 'a = InstanceNormalization (x, s, b)\nr = Relu (a)\ny = BatchNormalization (r, s, b, m, v)',
    },
  ],
  ['LRN', { io: picture, body: 'y = LRN <size = 3, alpha = 0.5, beta = 0.6, bias = 1.5> (x)' }],
  [
    'Resize nearest, whole factor',
    { io: picture, weights: 'float[4] s = {1, 1, 2, 3}', body: 'y = Resize <mode = "nearest"> (x, , s)' },
  ],
  [
    'Resize nearest, odd extents',
    {
      io: picture,
      weights: 'int64[4] s = {1, 4, 10, 11}',
      body: 'y = Resize <mode = "nearest", nearest_mode = "ceil"> (x, , , s)',
    },
  ],
  [
    'Resize of opset 10',
    { io: picture, opset: 10, weights: 'float[4] s = {1, 1, 2.5, 0.6}', body: 'y = Resize <mode = "nearest"> (x, s)' },
  ],
  [
    'Resize linear',
    { io: picture, weights: 'int64[4] s = {1, 4, 14, 9}', body: 'y = Resize <mode = "linear"> (x, , , s)' },
  ],
  [
    'Resize align_corners',
    {
      io: picture,
      weights: 'int64[4] s = {1, 4, 13, 11}',
      body: 'y = Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (x, , , s)',
    },
  ],
  [
    'Resize asymmetric',
    {
      io: picture,
      weights: 'float[4] s = {1, 1, 2, 3}',
      body: 'y = Resize <mode = "linear", coordinate_transformation_mode = "asymmetric"> (x, , s)',
    },
  ],
  [
    'Resize by scales that give no whole extents',
    { io: picture, weights: 'float[4] s = {1, 1, 1.6, 0.7}', body: 'y = Resize <mode = "linear"> (x, , s)' },
  ],
  [
    'Resize cubic',
    {
      io: picture,
      weights: 'int64[4] s = {1, 4, 14, 4}',
      body: 'a = Resize <mode = "cubic"> (x, , , s)\nb = Resize <mode = "cubic", cubic_coeff_a = -0.5, exclude_outside = 1> (x, , , s)\ny = Add (a, b)',
    },
  ],
  [
    'an output that is an input, odd names',
    { io: 'float[2,3] x.1) => (float[a,b] y.1, float[c,d] tensor', body: 'y.1 = Identity (x.1)\ntensor = Relu (x.1)' },
  ],
];

describe('operators answer as ONNX Runtime does, in the interpreter of this package', () => {
  it.each(cases)('%s', async (_, one) => {
    await expectSame(one);
  });

  it('in halves, within what halves are off', async () => {
    for (const [name, one] of cases.filter(([title]) => /^(Conv|Gemm|Softmax|LayerN|activations)/.test(title))) {
      const codes = await expectSame(one, 5e-3, 'float16');
      expect(codes[0], name).toBe('cast');
      expect(codes.at(-1), name).toBe('cast');
    }
  });
});

describe('files', () => {
  const one: Case = {
    io: 'float[1,4,7,6] x) => (float[n,k] y',
    weights: `${w4}, float[120,30] d = random(5, -0.1, 0.1)`,
    body: 'c = Conv (x, w, b)\nr = Relu (c)\nf = Flatten (r)\ny = MatMul (f, d)',
  };

  it('are the same bytes twice; halves take half', async () => {
    const [a, b, half] = [(await both(one)).written, (await both(one)).written, (await both(one, 'float16')).written];
    expect(Buffer.from(a.model).equals(b.model)).toBe(true);
    expect(Buffer.from(a.weights).equals(b.weights)).toBe(true);
    expect(a.manifest).toBe(b.manifest);
    expect(half.weights.length).toBeLessThan(a.weights.length * 0.55);
  });

  it('hold the weight file as its header says', async () => {
    const { weights, manifest } = (await both(one)).written;
    const bytes = Buffer.from(weights);
    // Filter, bias of the six, matrix: the bias is smaller than ten and stays in the program.
    expect([bytes.readUInt32LE(0), bytes.readUInt32LE(4)]).toEqual([2, 2]);
    expect(bytes.readUInt32LE(64)).toBe(0xdeadbeef);
    expect(Number(bytes.readBigUInt64LE(72))).toBe(6 * 4 * 9 * 4);
    expect(Number(bytes.readBigUInt64LE(80))).toBe(128);
    const { itemInfoEntries, rootModelIdentifier, fileFormatVersion } = JSON.parse(manifest) as {
      itemInfoEntries: Record<string, { path: string }>;
      rootModelIdentifier: string;
      fileFormatVersion: string;
    };
    expect(fileFormatVersion).toBe('1.0.0');
    expect(itemInfoEntries[rootModelIdentifier]?.path).toBe('com.apple.CoreML/model.mlmodel');
    for (const id of Object.keys(itemInfoEntries))
      expect(id).toMatch(/^[0-9A-F]{8}-[0-9A-F]{4}-8[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$/);
  });

  it('damaged anywhere, they are refused or read, but never crash', async () => {
    const { written } = await both({
      io: 'float[1,3] x) => (float[n,k] y',
      weights: 'float[3,12] w = random(1, -1, 1)',
      body: 'r = Relu (x)\ny = MatMul (r, w)',
    });
    for (const part of ['model', 'weights'] as const)
      for (let at = 0; at < written[part].length; at++) {
        const bad = written[part].slice();
        bad[at] = (bad[at] ?? 0) ^ 0xff;
        const files = { ...written, [part]: bad };
        try {
          readProgram(files.model, files.weights);
        } catch (error) {
          expect((error as { code?: string }).code, `${part}, byte ${at}`).toMatch(/^(protobuf|coreml)-/);
        }
      }
  });

  it('what has no counterpart is named, all of it, or its node and why', async () => {
    const unknown = {
      io: 'float[1,2,3] x) => (float[a,b,c] y',
      body: 'a = Hardmax (x)\nb = Hardmax (a)\ny = ThresholdedRelu (b)',
    };
    await expect(both(unknown)).rejects.toThrow('no counterpart in Core ML here: Hardmax (2), ThresholdedRelu.');
    await expect(
      both({ io: picture, body: 'y = MaxPool <kernel_shape = [2,2], dilations = [2,2]> (x)' }),
    ).rejects.toThrow(/MaxPool ".*" cannot become Core ML: pools with dilations/);
    const six = {
      io: 'float[2,2,2,2,2] x) => (float[a,b,c,d,e,f] y',
      weights: 'int64[6] s = {1,2,2,2,2,2}',
      body: 'y = Reshape (x, s)',
    };
    await expect(both(six)).rejects.toThrow(/has 6 axes .*at most 5/);
  });
});

describe('what was given other numbers without a word', () => {
  const two = 'float[2,3] x) => (float[n,k] y';
  const whole = (weights: string, body: string): Case => ({
    io: two,
    weights: `${weights}, float many = {10000.0}`,
    body: `m = Mul (x, many)\na = Cast <to = 7> (m)\n${body}\ny = Cast <to = 1> (b)`,
  });
  it.each<[string, Case]>([
    [
      'an upper bound of whole numbers beyond 32 bits',
      whole('int64 lo = {0}, int64 hi = {9223372036854775807}', 'b = Clip (a, lo, hi)'),
    ],
    [
      'a lower bound beyond 32 bits',
      whole('int64 lo = {-9223372036854775808}, int64 hi = {5}', 'b = Clip (a, lo, hi)'),
    ],
    [
      'scales of some axes',
      {
        io: 'float[1,2,7,7] x) => (float[b,c,h,w] y',
        opset: 18,
        weights: 'float[2] s = {0.6,0.6}',
        body: 'y = Resize <axes = [2,3], mode = "linear"> (x, , s)',
      },
    ],
  ])('%s', async (_, one) => void (await expectSame(one, 1e-5)));

  it.each<[string, Case]>([
    ['Pad', whole('int64[4] p = {0,1,0,1}, int64 fill = {30001}', 'b = Pad (a, p, fill)')],
    ['Trilu', whole('int64 k = {0}', 'b = Trilu <upper = 0> (a, k)')],
  ])('%s of whole numbers beyond 2048 in 16-bit programs', async (_, { io, weights, body }) => {
    // The product is computed in halves; what it gives is a whole number that both see.
    const exact = {
      io: io.replace('float[2,3]', 'int64[2,3]'),
      weights: weights?.replace('float many = {10000.0}', 'int64 many = {10001}') ?? '',
      body: body
        .replace('a = Cast <to = 7> (m)', 'a = Identity (m)')
        .replace('y = Cast <to = 1> (b)', 'y = Identity (b)'),
    };
    await expectSame({ ...exact, io: exact.io.replace('(float[n,k] y', '(int64[n,k] y') }, 1e-7, 'float16');
  });
});
