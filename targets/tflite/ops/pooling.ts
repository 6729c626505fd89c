import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Converter, Handler } from '../converter.ts';
import { sameQuant, sinkOf, storedInputs } from '../quant.ts';
import { asPicture, isSame, pictureRows, putPicture, type Window, windowOf } from './convolution.ts';

function pool(node: Node, c: Converter, code: 'MAX_POOL_2D' | 'AVERAGE_POOL_2D'): void {
  const x = node.input(0) as Value;
  const [shape, out] = [c.shape(x), c.shape(node.output())];
  if (shape.length !== 4 && shape.length !== 3) c.fail(node, 'only pools over one or two axes are supported');
  if (node.outputs.length > 1 && node.outputs[1]?.isUsed) c.fail(node, 'indices of maxima have no counterpart');
  const window = windowOf(node, node.ints('kernel_shape') ?? [], shape.slice(2), out.slice(2));
  if (window.dilations.some((d) => d !== 1)) c.fail(node, 'pools with dilations have no counterpart');
  const max = code === 'MAX_POOL_2D';
  // The kernels want one scale for input and output; another one follows as an operator of its own.
  const stored = storedInputs(c, [x])?.[0];
  const sink = sinkOf(c, node, { int8: stored !== undefined, fuses: false });
  const int8 = stored !== undefined && sink.quant !== undefined && (max || isPlainAverage(node, window, shape, out));
  const value = int8 ? sink.value : node.output();
  const name = value.name;
  let from = asPicture(c, name, c.get(int8 && stored ? stored : c.entry(x), 'last'));
  const { type, quant } = c.of(from);
  const same =
    isSame(window, shape.slice(2), out.slice(2)) && (max || !node.int('count_include_pad', 0) || noPads(window));
  const lowest = quant ? (type === 'int8' ? -128 : 0) : -3.4028234663852886e38;
  if (!same) from = c.pad(`${x.name}_padded`, from, pictureRows(window), max ? lowest : undefined);
  const [n = 1] = out;
  const [height, width] = out.length === 3 ? [1, out[2] ?? 1] : [out[2] ?? 1, out[3] ?? 1];
  const result = c.op(
    code,
    [from],
    { name, shape: [n, height, width, out[1] ?? 1], type, quant },
    {
      type: 'Pool2DOptions',
      value: {
        padding: same ? 0 : 1,
        stride_h: window.strides[0],
        stride_w: window.strides[1],
        filter_height: window.kernel[0],
        filter_width: window.kernel[1],
      },
    },
  );
  const corrected = max || same ? result : correctCounts(c, node, { window, result, shape });
  putPicture(c, value, int8 && !sameQuant(quant, sink.quant) ? requantized(c, corrected, sink.quant) : corrected);
  if (int8) for (const done of sink.absorbed) c.finish(done);
}

/** Changes scale and zero point of an 8-bit tensor. */
export function requantized(c: Converter, from: number, quant: ReturnType<Converter['of']>['quant']): number {
  const { name, shape, type } = c.of(from);
  return c.op('QUANTIZE', [from], { name, shape, type, quant });
}

function noPads({ pads }: Window): boolean {
  return pads.every(([a, b]) => a === 0 && b <= 0);
}

function isPlainAverage(node: Node, window: Window, shape: readonly number[], out: readonly number[]): boolean {
  return noPads(window) || (isSame(window, shape.slice(2), out.slice(2)) && node.int('count_include_pad', 0) === 0);
}

/** A mean over a padded window divides by all of it; ONNX may count the elements that are there only, or not those of ceil_mode. */
function correctCounts(
  c: Converter,
  node: Node,
  { window, result, shape }: { window: Window; result: number; shape: readonly number[] },
): number {
  const of = c.of(result);
  const includesPads = node.int('count_include_pad', 0) !== 0;
  const given = node.ints('pads') ?? [];
  const half = given.length / 2;
  const extents = shape.length === 3 ? [1, shape[2] ?? 1] : [shape[2] ?? 1, shape[3] ?? 1];
  const counts = [0, 1].map((axis) => {
    const [before, after] = window.pads[axis] ?? [0, 0];
    const place = axis - (2 - half);
    // Pads that follow from SAME are there; of given ones, what ceil_mode reaches beyond is not.
    const isAuto = (node.string('auto_pad') ?? 'NOTSET').startsWith('SAME');
    const behind = isAuto ? Math.max(after, 0) : place >= 0 ? (given[place + half] ?? 0) : 0;
    const end = (extents[axis] ?? 1) + (includesPads ? behind : 0);
    const begin = includesPads ? -before : 0;
    return Array.from({ length: of.shape[axis + 1] ?? 1 }, (_, at) => {
      const start = at * (window.strides[axis] ?? 1) - before;
      return Math.min(start + (window.kernel[axis] ?? 1), end) - Math.max(start, begin);
    });
  });
  const area = window.kernel[0] * window.kernel[1];
  const factors = (counts[0] ?? []).flatMap((y) => (counts[1] ?? []).map((x) => area / Math.max(1, y * x)));
  if (factors.every((factor) => factor === 1)) return result;
  const factor = c.floats('window_share', [1, of.shape[1] ?? 1, of.shape[2] ?? 1, 1], factors);
  return c.op(
    'MUL',
    [result, factor],
    { name: of.name, shape: of.shape, type: 'float32' },
    { type: 'MulOptions', value: {} },
  );
}

export const maxPool: Handler = (node, c) => pool(node, c, 'MAX_POOL_2D');
export const averagePool: Handler = (node, c) => pool(node, c, 'AVERAGE_POOL_2D');
