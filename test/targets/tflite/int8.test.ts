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

/**
 * Steps of the output's scale between ONNX Runtime and, in this order, the own interpreter and LiteRT. ONNX Runtime calculates in floats (its optimizer
 * is off): its integer kernels saturate on some processors.
 */
async function steps(text: string, shape: readonly number[], scale: number) {
  const model = parseModel(text);
  const session = await ort.InferenceSession.create(encodeModel(model), { graphOptimizationLevel: 'disabled' });
  const count = shape.reduce((product, dim) => product * dim, 1);
  const values = Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7) * 2 + Math.sin(i * 0.31));
  const want = (await session.run({ x: new ort.Tensor('float32', values, shape) })).y as ort.Tensor;
  const input = { name: 'x', shape, dtype: 'float32', bytes: new Uint8Array(values.buffer) };
  const golden = { inputs: [input], outputs: [], tolerance: { rtol: 0, atol: 0 } };
  const graph = await staticGraph(model, golden, new AbortController().signal);
  const { graph: lite } = convertToLite(graph, { inputs: 'keep', weights: 'float32', integers: 'int32' });
  const bytes = writeLite(lite, 'test');
  const [own] = runLite(bytes)([{ ...input, file: '' }]);
  const independent = (await (await openLite(bytes))({ x: { shape, values } })).y;
  const expected = want.data as Float32Array;
  const difference = (got: ArrayLike<number>): number =>
    Math.max(...Array.from(got, (value, i) => Math.abs(value - (expected[i] ?? 0)))) / scale;
  const spread = Math.max(...expected) - Math.min(...expected);
  return {
    own: difference(new Float32Array(own?.bytes.slice().buffer ?? new ArrayBuffer(0))),
    litert: difference(independent?.values ?? []),
    /** How many steps the outputs span: nothing is shown by outputs that are all one value. */
    spread: spread / scale,
    codes: readLite(bytes).ops.map(({ code }) => code),
  };
}

interface Case {
  /** Between the input's DequantizeLinear (`a`) and the value that is quantized for the output (`r`). */
  readonly body: string;
  readonly weights?: string;
  readonly scale: number;
  /** Zero point of the output: where its values lie. */
  readonly zero?: number;
  /** The operator that must have become an integer one. */
  readonly code: string;
  readonly kind?: 'uint8' | 'int8';
  readonly shape?: readonly number[];
}

/** x → 8 bits → body → 8 bits → y. */
function textOf({ body, weights = '', scale, zero = 128, kind = 'uint8', shape = [1, 4, 7, 6] }: Case): string {
  const [zx, zy] = kind === 'uint8' ? [113, zero] : [-15, zero - 128];
  const list = `float sx = {0.025}, ${kind} zx = {${zx}}, float sy = {${scale}}, ${kind} zy = {${zy}}${weights === '' ? '' : `, ${weights}`}`;
  return `<ir_version: 8, opset_import: ["" : 17]>
main (float[${shape.join()}] x) => (float[${shape.map((_, i) => `d${i}`).join()}] y)
<${list}>
{
xq = QuantizeLinear (x, sx, zx)
a = DequantizeLinear (xq, sx, zx)
${body}
q = QuantizeLinear (r, sy, zy)
y = DequantizeLinear (q, sy, zy)
}`;
}

const filters = 'float[6,4,3,3] f = random(1, -0.5, 0.5), float[6] b = random(2, -1, 1)';
const perChannel =
  'float[6] sw = {0.004, 0.005, 0.0041, 0.006, 0.0045, 0.0043}, int8[6] zw = {0, 0, 0, 0, 0, 0}, float[6] sb = {0.0001, 0.000125, 0.0001025, 0.00015, 0.0001125, 0.0001075}, int32[6] zb = {0, 0, 0, 0, 0, 0}';
/** Weights behind QuantizeLinear and DequantizeLinear (folded to integers when shapes are fixed), bias as 32-bit integers. */
const channelConv = (attributes: string): string =>
  `wq = QuantizeLinear <axis = 0> (f, sw, zw)\nw = DequantizeLinear <axis = 0> (wq, sw, zw)\nbq = Div (b, sb)\nbr = Round (bq)\nbi = Cast <to = 6> (br)\nbd = DequantizeLinear <axis = 0> (bi, sb, zb)\nc = Conv ${attributes} (a, w, bd)`;

describe('8-bit operators answer as ONNX Runtime does, to the step', () => {
  it.each<[string, Case]>([
    [
      'Conv, weights by channel, integer bias',
      {
        weights: `${filters}, ${perChannel}`,
        body: `${channelConv('<pads = [1,1,1,1]>')}\nr = Identity (c)`,
        scale: 0.05,
        code: 'CONV_2D',
      },
    ],
    [
      'Conv with Relu, int8',
      {
        weights: `${filters}, ${perChannel}`,
        body: `${channelConv('<strides = [2,2], pads = [1,1,1,1]>')}\nr = Relu (c)`,
        scale: 0.03,
        zero: 0,
        kind: 'int8',
        code: 'CONV_2D',
      },
    ],
    [
      'Conv with Clip at 6',
      {
        weights: `${filters}, ${perChannel}, float l = {0}, float h = {6}`,
        body: `${channelConv('')}\nr = Clip (c, l, h)`,
        scale: 0.0235,
        zero: 0,
        code: 'CONV_2D',
      },
    ],
    [
      'Conv, uint8 weights with a wide zero point, float bias',
      {
        weights: `${filters}, float sw = {0.004}, uint8 zw = {55}`,
        body: 'wq = QuantizeLinear (f, sw, zw)\nw = DequantizeLinear (wq, sw, zw)\nr = Conv (a, w, b)',
        scale: 0.05,
        code: 'CONV_2D',
      },
    ],
    [
      'depthwise, weights by channel',
      {
        weights:
          'float[4,1,3,3] f = random(1, -0.5, 0.5), float[4] sw = {0.004, 0.005, 0.0041, 0.006}, int8[4] zw = {0, 0, 0, 0}',
        body: 'wq = QuantizeLinear <axis = 0> (f, sw, zw)\nw = DequantizeLinear <axis = 0> (wq, sw, zw)\nr = Conv <group = 4, pads = [1,1,1,1]> (a, w)',
        scale: 0.025,
        code: 'DEPTHWISE_CONV_2D',
      },
    ],
    [
      'Gemm, weights by column',
      {
        shape: [3, 8],
        weights:
          'float[5,8] f = random(1, -0.5, 0.5), float[5] sw = {0.004, 0.005, 0.0041, 0.006, 0.0045}, int8[5] zw = {0, 0, 0, 0, 0}, float[5] b = random(2, -1, 1)',
        body: 'wq = QuantizeLinear <axis = 0> (f, sw, zw)\nw = DequantizeLinear <axis = 0> (wq, sw, zw)\nr = Gemm <transB = 1> (a, w, b)',
        scale: 0.03,
        code: 'FULLY_CONNECTED',
      },
    ],
    [
      'Add of two scales',
      {
        weights: 'float st = {0.011}, uint8 zt = {90}, float[1,4,1,1] k = {0.5, 0.25, 1.5, -0.5}',
        body: 't = Mul (x, k)\ntq = QuantizeLinear (t, st, zt)\nu = DequantizeLinear (tq, st, zt)\nr = Add (a, u)',
        scale: 0.031,
        code: 'ADD',
      },
    ],
    [
      'Mul',
      {
        weights: 'float st = {0.011}, uint8 zt = {90}, float[1,4,1,1] k = {0.5, 0.25, 1.5, -0.5}',
        body: 't = Mul (x, k)\ntq = QuantizeLinear (t, st, zt)\nu = DequantizeLinear (tq, st, zt)\nr = Mul (a, u)',
        scale: 0.03,
        code: 'MUL',
      },
    ],
    [
      'AveragePool',
      { body: 'r = AveragePool <kernel_shape = [3,3], strides = [2,2]> (a)', scale: 0.02, code: 'AVERAGE_POOL_2D' },
    ],
    [
      'AveragePool, int8',
      {
        body: 'r = AveragePool <kernel_shape = [2,2]> (a)',
        scale: 0.025,
        zero: 113,
        kind: 'int8',
        code: 'AVERAGE_POOL_2D',
      },
    ],
    ['GlobalAveragePool', { body: 'r = GlobalAveragePool (a)', scale: 0.004, code: 'MEAN' }],
    [
      'MaxPool',
      {
        body: 'r = MaxPool <kernel_shape = [3,3], pads = [1,1,1,1]> (a)',
        scale: 0.025,
        zero: 113,
        code: 'MAX_POOL_2D',
      },
    ],
    [
      'Concat of two scales',
      {
        weights: 'float st = {0.011}, uint8 zt = {90}, float[1,4,1,1] k = {0.5, 0.25, 0.5, -0.5}',
        body: 't = Mul (x, k)\ntq = QuantizeLinear (t, st, zt)\nu = DequantizeLinear (tq, st, zt)\nr = Concat <axis = 1> (a, u)',
        scale: 0.025,
        zero: 113,
        code: 'CONCATENATION',
      },
    ],
  ])('%s', async (_, one) => {
    const { own, litert, spread, codes } = await steps(textOf(one), one.shape ?? [1, 4, 7, 6], one.scale);
    expect(codes).toContain(one.code);
    // Nothing of floats is left but the ends.
    expect(codes.filter((code) => code === 'DEQUANTIZE')).toHaveLength(1);
    expect(spread).toBeGreaterThan(20);
    // A tie may round either way: one step, where the bar is two.
    expect(own).toBeLessThan(1.01);
    expect(litert).toBeLessThan(1.01);
  });
});
