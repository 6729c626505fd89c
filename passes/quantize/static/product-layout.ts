import type { Node } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import { mostPair, type ProductLayout, pairPeaks } from '../../../src/kernels/saturation.ts';
import { filledChannels } from './fill-inputs.ts';
import type { QdqLayer } from './refine/layer.ts';
import type { Weighted } from './weighted.ts';

/**
 * How the runtime lays the weights of a unit out along K; undefined where products are added in 32 bits whatever the processor: depthwise
 * convolutions have a kernel of their own (MlasConvDepthwise).
 */
export function productLayout(node: Node, { tensor, transposed, axis, channels }: Weighted): ProductLayout | undefined {
  const { shape } = tensor;
  if (node.op === 'Conv') {
    const inner = shape[1] ?? 1;
    const taps = elementCount(shape.slice(2));
    const groups = Math.max(1, node.int('group', 1));
    if (inner === 1 && groups === channels) return undefined;
    return {
      channels,
      channelStride: inner * taps,
      taps,
      tapStride: 1,
      inner,
      innerStride: taps,
      perGroup: Math.max(1, channels / groups),
      mayBeFilled: filledChannels(node, tensor) !== undefined,
    };
  }
  const [rows = 1, columns = 1] = shape.slice(-2);
  // Batched weights have one scale for all: as if every matrix were more rows of one.
  const batch = elementCount(shape.slice(0, -2));
  const byColumns = axis === undefined ? false : (axis === 1) !== transposed;
  const matrix = byColumns || axis === undefined;
  const [k, n] = matrix ? [rows, columns] : [columns, rows];
  return {
    channels: n,
    channelStride: matrix ? 1 : k,
    taps: batch,
    tapStride: rows * columns,
    inner: k,
    innerStride: matrix ? n : 1,
    perGroup: n,
  };
}

/** Output channels in which a sum of two neighbouring products of these codes [n, k] can leave 16 bits. */
export function saturatingChannels(
  { node, weighted, n, k }: QdqLayer,
  codes: Int8Array,
  largest: ArrayLike<number>,
): number[] {
  const conv = node.op === 'Conv';
  const layout = conv
    ? productLayout(node, weighted)
    : { channels: n, channelStride: k, taps: 1, tapStride: 0, inner: k, innerStride: 1, perGroup: n };
  if (!layout) return [];
  return [...pairPeaks(Float32Array.from(codes), layout, largest)].flatMap((peak, row) =>
    peak > mostPair ? [row] : [],
  );
}
