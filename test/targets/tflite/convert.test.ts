import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { staticGraph } from '../../../src/cli/static-graph.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { encodeModel } from '../../../src/onnx/encode.ts';
import { convertToLite } from '../../../targets/tflite/convert.ts';
import { writeLite } from '../../../targets/tflite/graph.ts';
import { readLite } from '../../../targets/tflite/read.ts';
import { runLite } from '../../../targets/tflite/run.ts';
import type { OpenLite } from './litert.ts';

const { openLite } = (await import(new URL('../../support/litert.mjs', import.meta.url).href)) as OpenLite;

interface Case {
  readonly io: string;
  readonly body: string;
  readonly weights?: string;
  readonly opset?: number;
}

/** The model's answer on ONNX Runtime and, converted, on the interpreter; inputs in the model's order. */
async function both({ io, body, weights = '', opset = 17 }: Case, half = false) {
  const text = `<ir_version: 8, opset_import: ["" : ${opset}]>\nmain (${io})\n${weights === '' ? '' : `<${weights}>\n`}{\n${body}\n}`;
  const model = parseModel(text);
  const session = await ort.InferenceSession.create(encodeModel(model));
  const inputs = session.inputMetadata.map((meta, n) => {
    const shape = meta.isTensor ? meta.shape.map((dim) => (typeof dim === 'number' ? dim : 2)) : [];
    const count = shape.reduce((product, dim) => product * dim, 1);
    return {
      name: meta.name,
      shape,
      values: Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7 + n) * 2),
    };
  });
  const feeds = Object.fromEntries(
    inputs.map(({ name, shape, values }) => [name, new ort.Tensor('float32', values, shape)]),
  );
  const want = await session.run(feeds);
  const golden = {
    inputs: inputs.map(({ name, shape, values }) => ({
      name,
      shape,
      dtype: 'float32',
      bytes: new Uint8Array(values.buffer),
    })),
    outputs: [],
    tolerance: { rtol: 0, atol: 0 },
  };
  const graph = await staticGraph(model, golden, new AbortController().signal);
  const { graph: lite } = convertToLite(graph, {
    inputs: 'keep',
    weights: half ? 'float16' : 'float32',
    integers: 'int32',
  });
  const bytes = writeLite(lite, 'test');
  const got = runLite(bytes)(golden.inputs.map((input) => ({ ...input, file: '' })));
  const plain = Object.fromEntries(inputs.map(({ name, shape, values }) => [name, { shape, values }]));
  return { want, got, lite, bytes, feeds: plain };
}

async function expectSame(one: Case, tolerance = 2e-6) {
  const { want, got, lite, bytes, feeds } = await both(one);
  const independent = await (await openLite(bytes))(feeds);
  for (const { name, shape, bytes } of got) {
    const tensor = want[name] as ort.Tensor;
    const expected = tensor.data as Float32Array;
    const scale = Math.max(...Array.from(expected, Math.abs), 1e-6);
    const answers = {
      'own interpreter': { shape, values: new Float32Array(bytes.slice().buffer) },
      LiteRT: independent[name],
    };
    for (const [who, answer] of Object.entries(answers)) {
      expect(answer?.shape, `${who}: ${name}`).toEqual(tensor.dims);
      const worst = Math.max(...Array.from(answer?.values ?? [], (value, i) => Math.abs(value - (expected[i] ?? 0))));
      expect(worst / scale, `${who}: ${name}`).toBeLessThan(tolerance);
    }
  }
  return lite;
}

const picture = 'float[1,4,7,6] x) => (float[b,c,h,w] y';
const w4 = 'float[6,4,3,3] w = random(1, -0.5, 0.5), float[6] b = random(2, -1, 1)';

const rows = 'float[2,3] x) => (float[n,k] y';
const square = 'float[1,1,4,4] x) => (float[a,b,c,d] y';
const w3 = 'float[1,1,3,3] w = {1,2,3,4,5,6,7,8,9}';

/** Types other than float32 inside, and what the kernels know in another form only. */
const wholeNumbers: readonly [string, Case][] = [
  [
    'Clip, Relu and Pad of whole numbers',
    {
      io: rows,
      weights: 'int32 lo = {-1}, int32 hi = {1}, int64[4] p = {0,1,0,0}, int32 fill = {7}',
      body: 'a = Cast <to = 6> (x)\nc = Clip (a, lo, hi)\nr = Relu (a)\ns = Add (c, r)\nd = Pad (s, p, fill)\ny = Cast <to = 1> (d)',
    },
  ],
  [
    'division of whole numbers',
    {
      io: rows,
      weights: 'float ten = {10.0}, int32 d = {3}',
      body: 'm = Mul (x, ten)\na = Cast <to = 6> (m)\nb = Div (a, d)\nc = Mul (b, d)\ny = Cast <to = 1> (c)',
    },
  ],
  [
    'whole numbers beyond 32 bits',
    {
      io: rows,
      weights: 'int64 c = {5000000000}, int64 e = {4999999999}',
      body: 'a = Cast <to = 7> (x)\nb = Add (a, c)\nd = Sub (b, e)\ny = Cast <to = 1> (d)',
    },
  ],
  ['Pow by a whole number', { io: rows, weights: 'int64 c = {2}', body: 'y = Pow (x, c)' }],
  [
    'Gather from the end',
    { io: rows, weights: 'float[4] d = {1,2,3,4}', body: 'i = Cast <to = 7> (x)\ny = Gather (d, i)' },
  ],
  [
    '8 bits by output_dtype',
    {
      io: rows,
      opset: 21,
      weights: 'float s = {0.02}',
      body: 'q = QuantizeLinear <output_dtype = 3> (x, s)\ny = DequantizeLinear (q, s)',
    },
  ],
  [
    'AveragePool SAME, pads counted',
    { io: square, body: 'y = AveragePool <kernel_shape = [2,2], auto_pad = "SAME_UPPER", count_include_pad = 1> (x)' },
  ],
  [
    'ConvTranspose SAME_LOWER',
    { io: square, weights: w3, body: 'y = ConvTranspose <auto_pad = "SAME_LOWER", strides = [2,2]> (x, w)' },
  ],
  [
    'ConvTranspose to a shape',
    { io: square, weights: w3, body: 'y = ConvTranspose <output_shape = [8,8], strides = [2,2]> (x, w)' },
  ],
];

describe('operators answer as ONNX Runtime does', () => {
  it.each<[string, Case]>([
    ...wholeNumbers,
    ['Conv VALID', { io: picture, weights: w4, body: 'y = Conv (x, w, b)' }],
    ['Conv SAME', { io: picture, weights: w4, body: 'y = Conv <pads = [1,1,1,1]> (x, w, b)' }],
    [
      'Conv, pads that are no SAME',
      { io: picture, weights: w4, body: 'y = Conv <pads = [2,0,1,1], strides = [2,2]> (x, w, b)' },
    ],
    [
      'Conv SAME_LOWER',
      { io: picture, weights: w4, body: 'y = Conv <auto_pad = "SAME_LOWER", strides = [2,2]> (x, w)' },
    ],
    ['Conv dilated', { io: picture, weights: w4, body: 'y = Conv <dilations = [2,2], pads = [2,2,2,2]> (x, w, b)' }],
    [
      'Conv in groups',
      { io: picture, weights: 'float[6,2,3,3] w = random(1, -1, 1)', body: 'y = Conv <group = 2> (x, w)' },
    ],
    [
      'depthwise',
      {
        io: picture,
        weights: 'float[4,1,3,3] w = random(1, -1, 1)',
        body: 'y = Conv <group = 4, pads = [1,1,1,1], strides = [2,2]> (x, w)',
      },
    ],
    [
      'depthwise with a multiplier',
      { io: picture, weights: 'float[8,1,3,3] w = random(1, -1, 1)', body: 'y = Conv <group = 4> (x, w)' },
    ],
    [
      'Conv over one axis',
      {
        io: 'float[2,4,9] x) => (float[b,c,l] y',
        weights: 'float[6,4,3] w = random(1, -1, 1)',
        body: 'y = Conv <pads = [1,2], strides = [2]> (x, w)',
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
      'ConvTranspose with output padding',
      {
        io: picture,
        weights: 'float[4,5,3,3] w = random(1, -1, 1)',
        body: 'y = ConvTranspose <strides = [2,2], pads = [1,1,1,1], output_padding = [1,1]> (x, w)',
      },
    ],
    ['MaxPool', { io: picture, body: 'y = MaxPool <kernel_shape = [3,3], strides = [2,2], pads = [1,1,1,1]> (x)' }],
    [
      'MaxPool ceil_mode',
      { io: picture, body: 'y = MaxPool <kernel_shape = [2,2], strides = [2,2], ceil_mode = 1> (x)' },
    ],
    [
      'AveragePool',
      { io: picture, body: 'y = AveragePool <kernel_shape = [3,3], strides = [2,2], pads = [1,1,1,1]> (x)' },
    ],
    [
      'AveragePool with pads that count',
      { io: picture, body: 'y = AveragePool <kernel_shape = [3,3], pads = [1,1,1,1], count_include_pad = 1> (x)' },
    ],
    ['AveragePool, uneven pads', { io: picture, body: 'y = AveragePool <kernel_shape = [3,3], pads = [2,0,0,2]> (x)' }],
    [
      'GlobalAveragePool, GlobalMaxPool',
      { io: picture, body: 'a = GlobalAveragePool (x)\nm = GlobalMaxPool (x)\ny = Add (a, m)' },
    ],
    [
      'Resize nearest, whole factor',
      { io: picture, weights: 'float[4] s = {1, 1, 2, 2}', body: 'y = Resize <mode = "nearest"> (x, , s)' },
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
    ['Softmax over channels', { io: picture, weights: w4, body: 'c = Conv (x, w, b)\ny = Softmax <axis = 1> (c)' }],
    ['Softmax over rows', { io: picture, body: 'y = Softmax <axis = 2> (x)' }],
    ['Softmax of old', { io: picture, opset: 11, body: 'y = Softmax <axis = 2> (x)' }],
    [
      'broadcasting to channels last',
      {
        io: picture,
        weights: `${w4}, float[6,1,1] s = random(3, 0.5, 1)`,
        body: 'c = Conv (x, w, b)\nm = Mul (c, s)\nr = ReduceMean <axes = [1], keepdims = 1> (m)\ny = Sub (m, r)',
      },
    ],
    [
      'Pad constant and reflect',
      {
        io: picture,
        weights: 'int64[8] p = {0,0,1,2,0,1,2,0}, int64[8] q = {0,0,1,1,0,0,1,1}, float v = {0.5}',
        body: 'a = Pad (x, p, v)\ny = Pad <mode = "reflect"> (a, q)',
      },
    ],
    [
      'Slice backwards',
      {
        io: picture,
        weights: `${w4}, int64[2] s = {-1, 4}, int64[2] e = {-100, 0}, int64[2] a = {1, 3}, int64[2] t = {-2, -1}`,
        body: 'c = Conv (x, w, b)\ny = Slice (c, s, e, a, t)',
      },
    ],
    [
      'Split and Concat',
      {
        io: picture,
        weights: w4,
        body: 'c = Conv (x, w, b)\np, q = Split <axis = 1> (c)\ny = Concat <axis = 1> (q, p)',
      },
    ],
    [
      'activations',
      {
        io: picture,
        body: 'a = HardSigmoid (x)\nb = HardSwish (x)\nc = LeakyRelu <alpha = 0.2> (x)\nd = Elu (x)\ne = Softplus (x)\nf = Erf (x)\ng = Clip (x, l, h)\ni = Sum (a, b, c, d, e, f, g)\ny = Tanh (i)',
        weights: 'float l = {-0.5}, float h = {1.5}',
      },
    ],
    [
      'PRelu',
      { io: picture, weights: `${w4}, float[6,1,1] s = random(4, 0, 1)`, body: 'c = Conv (x, w, b)\ny = PRelu (c, s)' },
    ],
    [
      'DepthToSpace',
      {
        io: picture,
        body: 'a = DepthToSpace <blocksize = 2> (x)\nb = DepthToSpace <blocksize = 2, mode = "CRD"> (x)\ny = Add (a, b)',
      },
    ],
    [
      'pixel shuffle by hand',
      {
        io: 'float[1,8,3,3] x) => (float[b,c,h,w] y',
        weights: 'int64[6] s = {1,2,2,2,3,3}, int64[4] t = {1,2,6,6}',
        body: 'a = Reshape (x, s)\nb = Transpose <perm = [0,1,4,2,5,3]> (a)\ny = Reshape (b, t)',
      },
    ],
    [
      'LayerNormalization',
      {
        io: 'float[3,5,8] x) => (float[b,c,l] y',
        weights: 'float[8] s = random(1, 0, 1), float[8] b = random(2, -1, 1)',
        body: 'y = LayerNormalization (x, s, b)',
      },
    ],
    [
      'InstanceNormalization',
      {
        io: picture,
        weights: 'float[4] s = random(1, 0, 1), float[4] b = random(2, -1, 1)',
        body: 'y = InstanceNormalization (x, s, b)',
      },
    ],
    ['MatMul of three axes', { io: 'float[2,3,4] x, float[2,4,5] z) => (float[a,b,c] y', body: 'y = MatMul (x, z)' }],
    [
      'Gemm',
      {
        io: 'float[3,4] x) => (float[a,b] y',
        weights: 'float[5,4] w = random(1, -1, 1), float[5] b = random(2, -1, 1)',
        body: 'y = Gemm <transB = 1, alpha = 0.5, beta = 2.0> (x, w, b)',
      },
    ],
    [
      'Gemm transposed',
      {
        io: 'float[4,3] x) => (float[a,b] y',
        weights: 'float[4,5] w = random(1, -1, 1)',
        body: 'y = Gemm <transA = 1> (x, w)',
      },
    ],
    [
      'comparisons and Where',
      {
        io: picture,
        weights: 'float z = {0.25}',
        body: 'g = Greater (x, z)\nl = Less (x, z)\no = Or (g, l)\nn = Neg (x)\ny = Where (g, x, n)',
      },
    ],
    [
      'Expand, Tile, Cast, reductions',
      {
        io: 'float[2,3,1] x) => (float[a,b] y',
        weights: 'int64[3] s = {2,3,4}, int64[3] r = {1,2,1}',
        body: 'a = Expand (x, s)\nb = Tile (a, r)\nc = ReduceMax <axes = [2], keepdims = 0> (b)\nd = ReduceProd <axes = [2], keepdims = 0> (b)\ny = Add (c, d)',
      },
    ],
    [
      'an output that is an input',
      { io: 'float[2,3] x) => (float[a,b] y, float[c,d] z', body: 'y = Identity (x)\nz = Relu (x)' },
    ],
  ])('%s', async (_, one) => {
    await expectSame(one);
  });
});

it('64-bit integers come in as 32 bits, or stay', async () => {
  const model = parseModel(
    '<ir_version: 8, opset_import: ["" : 17]>\nmain (int64[1,4] ids) => (float[1,4,3] y)\n<float[7,3] table = random(1, -1, 1)>\n{\ny = Gather (table, ids)\n}',
  );
  const ids = {
    name: 'ids',
    shape: [1, 4],
    dtype: 'int64',
    bytes: new Uint8Array(BigInt64Array.of(6n, 0n, 3n, 3n).buffer),
  };
  const golden = { inputs: [ids], outputs: [], tolerance: { rtol: 0, atol: 0 } };
  const graph = await staticGraph(model, golden, new AbortController().signal);
  const files = (['int32', 'keep'] as const).map((integers) =>
    writeLite(convertToLite(graph, { inputs: 'nhwc', weights: 'float32', integers }).graph, 'test'),
  );
  const types = files.map((bytes) => {
    const { tensors, inputs } = readLite(bytes);
    return tensors[inputs[0] ?? 0]?.type;
  });
  expect(types).toEqual(['int32', 'int64']);
  const [narrow, wide] = files.map((bytes) => runLite(bytes)([{ ...ids, file: '' }])[0]);
  const values = new Float32Array(narrow?.bytes.slice().buffer ?? new ArrayBuffer(0));
  expect(narrow).toEqual(wide);
  const { y } = await (await openLite(files[0] ?? new Uint8Array()))({
    ids: { shape: [1, 4], values: Int32Array.of(6, 0, 3, 3) },
  });
  expect([...(y?.values ?? [])]).toEqual([...values]);
});

describe('layout', () => {
  const transposes = async (one: Case): Promise<number> => (await expectSame(one)).count('TRANSPOSE');
  // `inputs: keep` costs one transpose at the input; pictures that go in channels last cost none.

  it('a classifier has no transpose but the one of its input', async () => {
    const weights = `${w4}, float[120,3] d = random(5, -0.1, 0.1)`;
    expect(
      await transposes({
        io: 'float[2,4,7,6] x) => (float[n,k] y',
        weights,
        body: 'c = Conv (x, w, b)\nr = Relu (c)\nf = Flatten (r)\ny = MatMul (f, d)',
      }),
    ).toBe(1);
  });

  it('a detection head that goes to channels last costs nothing', async () => {
    const weights = `${w4}, int64[3] s = {1, -1, 3}`;
    expect(
      await transposes({
        io: 'float[1,4,7,6] x) => (float[n,a,k] y',
        weights,
        body: 'c = Conv (x, w, b)\nt = Transpose <perm = [0,2,3,1]> (c)\nr = Reshape (t, s)\ny = Sigmoid (r)',
      }),
    ).toBe(1);
  });

  it('channels that are shuffled are slices', async () => {
    const weights = `${w4}, int64[5] s = {1,2,3,5,4}, int64[4] t = {1,6,5,4}, float[6,6,1,1] v = random(7, -1, 1)`;
    const body =
      'c = Conv (x, w, b)\na = Reshape (c, s)\np = Transpose <perm = [0,2,1,3,4]> (a)\nr = Reshape (p, t)\ny = Conv (r, v)';
    // In at the beginning, out at the end.
    expect(await transposes({ io: picture, weights, body })).toBe(2);
  });

  it('group normalization stays channels last', async () => {
    const weights = `${w4}, int64[3] g = {1, 3, -1}, int64[4] t = {1, 6, 5, 4}, float[3] s = {0.5, 1.5, 1}, float[3] o = {0, 0.25, -1}, float[6,1,1] k = random(8, 0.5, 1), float[6,6,1,1] v = random(7, -1, 1)`;
    const body =
      'c = Conv (x, w, b)\na = Reshape (c, g)\nn = InstanceNormalization (a, s, o)\nr = Reshape (n, t)\nm = Mul (r, k)\ny = Conv (m, v)';
    // In at the beginning, out at the end.
    expect(await transposes({ io: picture, weights, body })).toBe(2);
  });

  it('softmax over channels between two transposes needs neither', async () => {
    const body =
      'c = Conv (x, w, b)\nt = Transpose <perm = [0,3,2,1]> (c)\ns = Softmax <axis = -1> (t)\ny = Transpose <perm = [0,3,2,1]> (s)';
    expect(await transposes({ io: picture, weights: w4, body })).toBe(2);
  });
});

describe('files', () => {
  const one: Case = {
    io: 'float[1,4,7,6] x) => (float[n,k] y',
    weights: `${w4}, float[120,30] d = random(5, -0.1, 0.1)`,
    body: 'c = Conv (x, w, b)\nr = Relu (c)\nf = Flatten (r)\ny = MatMul (f, d)',
  };

  it('16-bit weights halve the file and stay close', async () => {
    const [whole, half] = [await both(one), await both(one, true)];
    expect(half.bytes.length).toBeLessThan(whole.bytes.length * 0.6);
    const [a, b] = [whole, half].map(({ got }) => new Float32Array(got[0]?.bytes.slice().buffer ?? new ArrayBuffer(0)));
    const worst = Math.max(...Array.from(a ?? [], (value, i) => Math.abs(value - (b?.[i] ?? 0))));
    expect(worst).toBeGreaterThan(0);
    expect(worst).toBeLessThan(5e-3);
  });

  it('are the same bytes twice, and read back', async () => {
    const [a, b] = [(await both(one)).bytes, (await both(one)).bytes];
    expect(Buffer.from(a).equals(b)).toBe(true);
    expect(readLite(a).ops.map(({ code }) => code)).toEqual(['TRANSPOSE', 'CONV_2D', 'RESHAPE', 'FULLY_CONNECTED']);
  });

  it('damaged anywhere, they are refused or answer, but never crash', async () => {
    const { bytes } = await both({ io: 'float[1,3] x) => (float[n,k] y', body: 'y = Relu (x)' });
    for (let at = 0; at < bytes.length; at++) {
      const bad = bytes.slice();
      bad[at] = (bad[at] ?? 0) ^ 0xff;
      try {
        readLite(bad);
      } catch (error) {
        expect((error as { code?: string }).code, `byte ${at}`).toMatch(/^(flatbuffer|tflite-)/);
      }
    }
  });

  it('types that no kernel takes are named', async () => {
    const io = 'float[2,3] x) => (float[n,k] y';
    const cast = (to: number, middle: string): string => `a = Cast <to = ${to}> (x)\n${middle}\ny = Cast <to = 1> (b)`;
    await expect(both({ io, weights: 'int64 c = {3}', body: cast(7, 'b = Div (a, c)') })).rejects.toThrow(
      'DIV of "b" cannot become TensorFlow Lite: its kernel takes float32, int32, and this is int64.',
    );
    await expect(both({ io, body: cast(10, 'b = Add (a, a)') })).rejects.toThrow(/this is float16/);
  });

  it('8 bits come in and go out as the model has them', async () => {
    const text = `<ir_version: 8, opset_import: ["" : 17]>
main (uint8[4] x) => (uint8[4] y) <float s = {0.5}, uint8 z = {100}, float t = {0.25}, uint8 v = {90}> {
  d = DequantizeLinear (x, s, z)
  y = QuantizeLinear (d, t, v)
}`;
    const { graph } = convertToLite(parseModel(text), { inputs: 'keep', weights: 'float32', integers: 'int32' });
    const bytes = Uint8Array.of(100, 102, 90, 0);
    const [got] = runLite(writeLite(graph, 'test'))([{ name: 'x', dtype: 'uint8', shape: [4], bytes, file: '' }]);
    expect([got?.dtype, ...(got?.bytes ?? [])]).toEqual(['uint8', 90, 94, 70, 0]);
    const run = await openLite(writeLite(graph, 'test'));
    expect([...((await run({ x: { shape: [4], values: bytes } }))['y']?.values ?? [])]).toEqual([90, 94, 70, 0]);
  });

  it('unsupported operators are named together, a wrong attribute with its node', async () => {
    const unknown = {
      io: 'float[1,2,3] x) => (float[a,b,c] y',
      body: 'a = Mish (x)\nb = Mish (a)\ny = Celu (b)',
      opset: 18,
    };
    await expect(both(unknown)).rejects.toThrow('no counterpart in TensorFlow Lite here: Celu, Mish (2).');
    await expect(both({ io: picture, body: 'y = Elu <alpha = 0.5> (x)' })).rejects.toThrow(
      /Elu ".*" cannot become TensorFlow Lite: an alpha other than 1/,
    );
  });
});

describe('what was given other numbers without a word', () => {
  const small = 'float[3,5] x) => (float[m,n] y';
  const five = 'float[5,3] w = random(1, -0.5, 0.5)';
  it.each<[string, Case]>([
    [
      'one number for each row of a square product',
      { io: small, weights: `${five}, float[3,1] q = {1,20,300}`, body: 'y = Gemm (x, w, q)' },
    ],
    [
      'bounds the wrong way round',
      { io: rows, weights: 'float lo = {1.0}, float hi = {-1.0}', body: 'y = Clip (x, lo, hi)' },
    ],
    [
      'bounds of whole numbers beyond 32 bits',
      {
        io: rows,
        weights: 'int64 lo = {0}, int64 hi = {9223372036854775807}',
        body: 'a = Cast <to = 7> (x)\nb = Clip (a, lo, hi)\ny = Cast <to = 1> (b)',
      },
    ],
    [
      'whole numbers to the power of a whole float',
      { io: rows, weights: 'float q = {3.0}', body: 'a = Cast <to = 6> (x)\nb = Pow (a, q)\ny = Cast <to = 1> (b)' },
    ],
    [
      'scales of some axes',
      {
        io: 'float[1,2,7,7] x) => (float[b,c,h,w] y',
        opset: 18,
        weights: 'float[2] s = {0.6,0.6}',
        body: 'y = Resize <axes = [-2,-1], mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (x, , s)',
      },
    ],
  ])('%s', async (_, one) => void (await expectSame(one, 1e-5)));

  it.each<[string, Case, string]>([
    [
      'a bias that is computed',
      {
        io: 'float[1,4,5,5] x, float[3] q) => (float[a,b,c,d] y',
        weights: 'float[4,3,2,2] w = random(1, -0.5, 0.5)',
        body: 'y = ConvTranspose (x, w, q)',
      },
      'its bias is computed',
    ],
    [
      'roots of whole numbers',
      { io: rows, weights: 'float q = {0.5}', body: 'a = Cast <to = 6> (x)\nb = Pow (a, q)\ny = Cast <to = 1> (b)' },
      'whole numbers to the power of floats',
    ],
    [
      'fractional scales of some axes',
      {
        io: 'float[1,2,7,7] x) => (float[b,c,h,w] y',
        opset: 18,
        weights: 'float[2] s = {0.6,0.6}',
        body: 'y = Resize <axes = [2,3], mode = "linear"> (x, , s)',
      },
      'a scale that does not give whole extents',
    ],
  ])('refuses %s', async (_, one, why) => {
    await expect(both(one)).rejects.toThrow(why);
  });
});
