import type { Node } from '../../../src/ir/graph.ts';
import type { Compiler, Quantized } from '../compile/compiler.ts';
import { cannot, countOf, type Ref } from '../compile/types.ts';
import { boundsText, type Epilogue, takeEpilogue } from './epilogue.ts';
import { intBias, intWeights } from './int-weights.ts';
import { pads, twoOf, window } from './window.ts';

/** One convolution as the kernels take it: two spatial dimensions (one of them 1 where the model has one only). */
interface ConvShape {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly outputs: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly kh: number;
  readonly kw: number;
  readonly sh: number;
  readonly sw: number;
  readonly dh: number;
  readonly dw: number;
  readonly top: number;
  readonly left: number;
  readonly groups: number;
  readonly batch: number;
}

function shapeOf(compiler: Compiler, node: Node): ConvShape {
  const x = compiler.typeOf(compiler.input(node, 0)).shape;
  const w = compiler.typeOf(compiler.input(node, 1)).shape;
  const y = compiler.typeOf(node.output()).shape;
  if (x.length !== 3 && x.length !== 4)
    cannot(node, `it has ${x.length - 2} spatial dimensions, and one or two are known`);
  const { kernel, strides, dilations } = window(node, w.slice(2));
  const [begin] = pads(node, x.slice(2), y.slice(2), kernel, strides, dilations);
  const groups = node.int('group', 1);
  const [height, width] = twoOf(x.slice(2), 1);
  const [outHeight, outWidth] = twoOf(y.slice(2), 1);
  const [kh, kw] = twoOf(kernel, 1);
  const [sh, sw] = twoOf(strides, 1);
  const [dh, dw] = twoOf(dilations, 1);
  const [top, left] = twoOf(begin, 0);
  return {
    channels: (x[1] ?? 1) / groups,
    height,
    width,
    outputs: (w[0] ?? 1) / groups,
    outHeight,
    outWidth,
    kh,
    kw,
    sh,
    sw,
    dh,
    dw,
    top,
    left,
    groups,
    batch: x[0] ?? 1,
  };
}

/** Floats from the start of one line to the next: what the last tile of a row reads. */
function pitchOf(s: ConvShape, overlaps: boolean): number {
  const tiles = overlaps && s.outWidth >= 16 ? s.outWidth : Math.ceil(s.outWidth / 16) * 16;
  return tiles + Math.floor(((s.kw - 1) * s.dw) / s.sw);
}

/** Lines of this many bytes are small beside the tensors of a model; where one channel's need more, they get it. */
const lineBytes = 8192;

export function compileConv(compiler: Compiler, node: Node): void {
  const shape = shapeOf(compiler, node);
  const x = compiler.input(node, 0);
  const quantized = compiler.quantized(x);
  const weights = compiler.input(node, 1);
  if (quantized && weights.producer?.is('DequantizeLinear') && compileIntConv(compiler, node, shape, quantized)) return;
  const w = compiler.ref(weights);
  const bias = node.inputs[2] && compiler.ref(node.inputs[2]);
  const from = compiler.ref(x);
  const epilogue = takeEpilogue(compiler, node, false);
  const y = compiler.define(epilogue.output);
  const reads = [from, w, ...(bias ? [bias] : [])];
  const plane = shape.outHeight * shape.outWidth;
  const pointwise =
    shape.kh * shape.kw === 1 && shape.sh === 1 && shape.sw === 1 && shape.top === 0 && shape.left === 0;
  if (pointwise && plane === shape.height * shape.width && shape.groups === 1) {
    for (let n = 0; n < shape.batch; n++) {
      compileProduct(compiler, `${node}`, {
        a: w,
        m: shape.outputs,
        k: shape.channels,
        b: from,
        n: plane,
        y,
        bias,
        epilogue,
        offsets: { b: n * shape.channels * plane, y: n * shape.outputs * plane },
      });
    }
    return;
  }
  const perChannel = shape.kh * shape.sw * 4;
  const whole = pitchOf(shape, true);
  const block = Math.max(1, Math.min(shape.channels, Math.floor(lineBytes / (perChannel * whole))));
  const pitch = pitchOf(shape, block >= shape.channels);
  const lines = compiler.scratch(block * perChannel * pitch);
  compiler.kernels.add('conv');
  compiler.steps.push({
    title: `${node}`,
    reads,
    writes: [y],
    scratch: lines,
    code: (at) =>
      `${shapeText(shape, block, pitch)}\n  ${batchLoop(shape)}conv(${at(from)}${inputOf(shape)}, ${at(w)}, ${bias ? at(bias) : '0'}, ${at(y)}${outputOf(shape)}, (f32*)${at(lines)}, &shape, ${boundsText(epilogue)});`,
  });
}

/** Batches are done one sample after the other. */
function batchLoop({ batch }: ConvShape): string {
  return batch === 1 ? '' : `for (int n = 0; n < ${batch}; ++n) `;
}

function inputOf({ batch, channels, groups, height, width }: ConvShape): string {
  return batch === 1 ? '' : ` + n * ${channels * groups * height * width}`;
}

function outputOf({ batch, outputs, groups, outHeight, outWidth }: ConvShape): string {
  return batch === 1 ? '' : ` + n * ${outputs * groups * outHeight * outWidth}`;
}

function shapeText(s: ConvShape, block: number, pitch: number): string {
  const values = [
    s.channels,
    s.height,
    s.width,
    s.outputs,
    s.outHeight,
    s.outWidth,
    s.kh,
    s.kw,
    s.sh,
    s.sw,
    s.dh,
    s.dw,
    s.top,
    s.left,
    s.groups,
  ];
  return `static const conv_shape shape = {${[...values, block, pitch].join(', ')}};`;
}

interface Product {
  readonly a: Ref;
  readonly m: number;
  readonly k: number;
  readonly b: Ref;
  readonly n: number;
  readonly y: Ref;
  /** One for each row. */
  readonly bias: Ref | undefined;
  readonly epilogue: Epilogue;
  /** Elements to skip in `b` and `y`: the sample of a batch. */
  readonly offsets?: { readonly b: number; readonly y: number };
}

/** y[m][n] = a[m][k] · b[k][n], by the kernel that fits its extents. */
export function compileProduct(compiler: Compiler, title: string, one: Product): void {
  const { a, m, k, b, n, y, bias, epilogue, offsets = { b: 0, y: 0 } } = one;
  const kernel = n === 1 ? 'rows_by_rows' : n < 16 ? 'small_product' : 'product';
  compiler.kernels.add(kernel);
  const plus = (text: string, offset: number): string => (offset === 0 ? text : `${text} + ${offset}`);
  compiler.steps.push({
    title,
    reads: [a, b, ...(bias ? [bias] : [])],
    writes: [y],
    code(at) {
      const [pa, pb, py] = [at(a), plus(at(b), offsets.b), plus(at(y), offsets.y)];
      const start = bias ? at(bias) : '0';
      // With one column, b is a row.
      if (n === 1) return `rows_by_rows(${pa}, ${m}, ${pb}, 1, ${k}, ${py}, ${start}, 1, ${boundsText(epilogue)});`;
      return `${kernel}(${pa}, ${m}, ${k}, ${pb}, ${n}, ${py}, ${start}, ${boundsText(epilogue)});`;
    },
  });
}

function compileIntConv(compiler: Compiler, node: Node, shape: ConvShape, x: Quantized): boolean {
  const outputs = shape.outputs * shape.groups;
  const weights = intWeights(compiler, node, outputs);
  if (!weights) return false;
  const units = Float64Array.from(weights.scales, (scale) => scale * x.scale);
  const bias = intBias(compiler, node, units);
  const epilogue = takeEpilogue(compiler, node, true);
  const { quantized } = epilogue;
  const factors = Float32Array.from(units, (unit) => unit / (quantized?.scale ?? 1));
  const [b, f] = [compiler.bytes('i32', [outputs], new Uint8Array(bias.buffer)), compiler.floats(factors)];
  const y = compiler.define(epilogue.output);
  const pitch = pitchOf(shape, false);
  const lines = compiler.scratch(countOf([shape.channels, shape.kh, shape.sw, pitch]) * 2);
  const name = `conv_${x.ref.type}_${y.type}`;
  compiler.kernels.add(name);
  const bounds = quantized ? `${quantized.lo}, ${quantized.hi}` : boundsText(epilogue);
  compiler.steps.push({
    title: `${node} in 8 bits`,
    reads: [x.ref, weights.ref, b, f],
    writes: [y],
    scratch: lines,
    code: (at) =>
      `${shapeText(shape, shape.channels, pitch)}\n  ${batchLoop(shape)}${name}(${at(x.ref)}${inputOf(shape)}, ${at(weights.ref)}, ${at(b)}, ${at(f)}, ${at(y)}${outputOf(shape)}, (i16*)${at(lines)}, &shape, ${x.zeroPoint}, ${weights.zero}, ${quantized?.zeroPoint ?? 0}, ${bounds});`,
  });
  return true;
}
