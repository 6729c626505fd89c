import { numbersOf } from '../data/cast.ts';
import { constantOf, constantScalar } from '../ir/constant.ts';
import { convWindow } from '../ir/conv-window.ts';
import { graphsBelow, type Model, type Node, type Value } from '../ir/graph.ts';
import { elementCount, type Tensor, toNumbers, typedArray } from '../ir/tensor.ts';
import { samplePatches } from '../kernels/patches.ts';
import { randomNumbers } from '../kernels/random.ts';
import { addSaturation, type ProductLayout, type SaturationSums } from '../kernels/saturation.ts';
import { observable, observe, type ReadBatches } from './observe.ts';

/** What adding pairs of products in 16 bits would do to a layer. */
export interface LayerSaturation {
  readonly node: string;
  readonly op: string;
  /** Share of the pairs of products that saturate. */
  readonly share: number;
  /** Products with and without saturation, in decibels; Infinity where no pair saturates. */
  readonly sqnrDb: number;
}

/** A product of u8 or s8 activations with constant s8 weights. */
interface Layer {
  readonly node: Node;
  readonly codes: Value;
  /** Of the activations, as u8. */
  readonly zeroPoint: number;
  readonly shift: 0 | 128;
  readonly weights: Int8Array;
  readonly scales: readonly number[];
  readonly layout: ProductLayout;
  readonly groups: number;
  readonly sums: SaturationSums;
}

/** Rows of activations tried for each layer, as far as so many multiplications allow. */
const mostRows = 256;
const mostProducts = 2e7;

/**
 * Simulates, on samples, the int16 saturation that AVX2 and AVX-512 without VNNI bring into products of u8 and s8 (vpmaddubsw): what a file
 * would lose on those processors. Works on any quantized model, with QuantizeLinear and DequantizeLinear or with operators on integers. Depthwise
 * convolutions never saturate and are left out.
 * @param seed which rows are tried
 */
export async function saturationOf(
  model: Model,
  batches: ReadBatches,
  options: { readonly seed: number; readonly signal?: AbortSignal | undefined },
): Promise<LayerSaturation[]> {
  const layers = new Map<string, Layer[]>();
  for (const graph of graphsBelow(model.graph)) {
    for (const node of graph.nodes) {
      const layer = readLayer(node);
      if (layer) layers.set(layer.codes.name, [...(layers.get(layer.codes.name) ?? []), layer]);
    }
  }
  const values = [...layers.values()].flatMap(([first]) => (first ? [first.codes] : []));
  const next = randomNumbers(options.seed);
  const names = observable(values).map(({ name }) => name);
  await observe(
    model,
    names,
    batches,
    (name, tensor) => {
      for (const layer of layers.get(name) ?? []) addRows(layer, tensor, next);
    },
    { signal: options.signal },
  );
  return [...layers.values()].flat().flatMap(({ node, sums }) => {
    if (sums.pairs === 0) return [];
    const sqnrDb = sums.noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(sums.signal / sums.noise);
    return [{ node: node.name || node.output().name, op: node.op, share: sums.saturated / sums.pairs, sqnrDb }];
  });
}

/** Which inputs hold codes and zero point of the activations, and codes and scale of the weights. */
const integerOps: Readonly<Record<string, readonly [x: number, xZero: number, w: number, wScale: number]>> = {
  QLinearConv: [0, 2, 3, 4],
  QLinearMatMul: [0, 2, 3, 4],
  QGemm: [0, 2, 3, 4],
  MatMulIntegerToFloat: [0, 4, 1, 3],
};

function readLayer(node: Node): Layer | undefined {
  const places = Object.hasOwn(integerOps, node.op) ? integerOps[node.op] : undefined;
  if (places) {
    const [x, xZero, w, wScale] = places;
    return layerOf(node, node.input(x), node.input(xZero), node.input(w), node.input(wScale));
  }
  if (node.domain !== '' || !['Conv', 'MatMul', 'Gemm'].includes(node.op)) return undefined;
  const [x, w] = [node.input(0)?.producer, node.input(1)?.producer];
  if (x?.op !== 'DequantizeLinear' || w?.op !== 'DequantizeLinear') return undefined;
  return layerOf(node, x.input(0), x.input(2), w.input(0), w.input(1));
}

function layerOf(
  node: Node,
  codes: Value | undefined,
  zero: Value | undefined,
  weight: Value | undefined,
  scale: Value | undefined,
): Layer | undefined {
  const tensor = constantOf(weight);
  const scales = constantOf(scale);
  if (!codes || tensor?.dtype !== 'int8' || !scales) return undefined;
  const dtype = zero?.dtype ?? codes.dtype;
  if (dtype !== 'uint8' && dtype !== 'int8') return undefined;
  const isConv = node.op === 'Conv' || node.op === 'QLinearConv';
  const groups = isConv ? node.int('group', 1) : 1;
  const layout = isConv ? convLayout(tensor.shape, groups) : matrixLayout(node, tensor.shape);
  if (!layout || (!isConv && node.int('transA', 0) !== 0)) return undefined;
  const shift = dtype === 'int8' ? 128 : 0;
  return {
    node,
    codes,
    zeroPoint: (zero ? (constantScalar(zero) ?? 0) : 0) + shift,
    shift,
    weights: typedArray(tensor, 'int8'),
    scales: (toNumbers(scales) ?? []).map(Number),
    layout,
    groups,
    sums: { pairs: 0, saturated: 0, signal: 0, noise: 0 },
  };
}

function convLayout(shape: readonly number[], groups: number): ProductLayout | undefined {
  const [channels = 1, inner = 1] = shape;
  const taps = elementCount(shape.slice(2));
  if (inner === 1 && groups === channels) return undefined;
  const channelStride = inner * taps;
  return { channels, channelStride, taps, tapStride: 1, inner, innerStride: taps, perGroup: channels / groups };
}

function matrixLayout(node: Node, shape: readonly number[]): ProductLayout | undefined {
  if (shape.length !== 2) return undefined;
  const [rows = 1, columns = 1] = shape;
  const turned = node.int('transB', 0) !== 0;
  const [k, n] = turned ? [columns, rows] : [rows, columns];
  return {
    channels: n,
    channelStride: turned ? k : 1,
    taps: 1,
    tapStride: 0,
    inner: k,
    innerStride: turned ? 1 : n,
    perGroup: n,
  };
}

function addRows(layer: Layer, tensor: Tensor, next: () => number): void {
  const { layout, groups, sums, zeroPoint, shift, weights, scales } = layer;
  const k = layout.taps * layout.inner;
  const left = (mostProducts - 2 * sums.pairs) / Math.max(1, k * layout.channels);
  const count = Math.min(mostRows, Math.floor(left));
  if (count < 1) return;
  const isConv = layer.node.op.endsWith('Conv');
  const data = Float32Array.from(numbersOf(tensor), (code) => code + shift - zeroPoint);
  const patches = isConv ? patchesOf(layer, data, tensor.shape, count, next) : [rowsOf(data, k, count, next)];
  const row = new Uint8Array(k);
  for (const [group, patch] of patches.entries()) {
    const from = (group * layout.channels) / groups;
    for (let at = 0; at < patch.length; at += k) {
      for (let tap = 0, i = 0; tap < layout.taps; tap++)
        for (let c = 0; c < layout.inner; c++) row[i++] = (patch[at + c * layout.taps + tap] as number) + zeroPoint;
      addSaturation(sums, row, zeroPoint, weights, layout, scales, from, from + layout.channels / groups);
    }
  }
}

/** Padding holds the zero point, which is 0 here. */
function patchesOf(
  { node, layout, groups }: Layer,
  data: Float32Array,
  shape: readonly number[],
  count: number,
  next: () => number,
): Float32Array[] {
  const kernel = constantOf(node.op === 'Conv' ? node.input(1)?.producer?.input(0) : node.input(3))?.shape.slice(2);
  if (!kernel || shape[1] !== layout.inner * groups) return [];
  return samplePatches(data, shape, convWindow(node, kernel), groups, count, next);
}

function rowsOf(data: Float32Array, k: number, count: number, next: () => number): Float32Array {
  const rows = Math.floor(data.length / k);
  const chosen = new Float32Array(rows === 0 ? 0 : count * k);
  for (let at = 0; at < chosen.length; at += k) {
    const row = Math.floor(next() * rows) * k;
    chosen.set(data.subarray(row, row + k), at);
  }
  return chosen;
}
