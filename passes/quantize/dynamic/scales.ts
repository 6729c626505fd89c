import type { Value } from '../../../src/ir/graph.ts';
import { elementCount, type Tensor } from '../../../src/ir/tensor.ts';
import { axisView, channelRanges, intRanges } from '../../../src/kernels/quantize.ts';
import { floatWeights } from '../linear.ts';
import { rowScales } from './underflow.ts';

/** Symmetric int8 scales for each index into the leading dimensions; a sentence where they would underflow. */
export function channelScales(value: Value, tensor: Tensor, leading: readonly number[]): Float32Array | string {
  const count = elementCount(leading);
  const view = axisView([count, elementCount(tensor.shape) / count], 0);
  const { low, high } = channelRanges(floatWeights(tensor) as Float32Array, view);
  return rowScales(value, low, high, intRanges.int8.symmetric);
}
