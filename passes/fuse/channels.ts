/** Which weights belong to which output channel, for the operators that are linear in their input. */
import type { Node } from '../../src/ir/graph.ts';
import type { Tensor } from '../../src/ir/tensor.ts';
import { finiteTensor, floatRoom, floatsOf } from './floats.ts';

/** The weight seen as `outer × channels × inner`; `channel` says which output channel a block belongs to. */
export interface WeightLayout {
  /** Output channels. */
  readonly channels: number;
  readonly outer: number;
  readonly blocks: number;
  readonly inner: number;
  channel(outer: number, block: number): number;
}

/** Operators with a weight in input 1 and an optional bias in input 2, whose output has its channels on axis 1. */
export const convOps = ['Conv', 'ConvTranspose'];

/**
 * Weight layouts by operator spec: Conv [M, C/group, k…]; ConvTranspose [C, M/group, k…], whose output channel is
 * group · M/group + j; Gemm [K, N], or [N, K] with transB; MatMul [K, N].
 * @returns a sentence where the shape does not fit the operator.
 */
export function weightLayout(node: Node, shape: readonly number[]): WeightLayout | string {
  const [a = 0, b = 0] = shape;
  const rest = shape.slice(2).reduce((x, y) => x * y, 1);
  if (node.op === 'Conv') {
    return { channels: a, outer: 1, blocks: a, inner: b * rest, channel: (_, block) => block };
  }
  if (node.op === 'ConvTranspose') {
    const group = node.int('group', 1);
    if (group < 1 || a % group !== 0) return `${node} has ${a} input channels in ${group} groups`;
    const perGroup = a / group;
    return {
      channels: b * group,
      outer: a,
      blocks: b,
      inner: rest,
      channel: (outer, block) => Math.floor(outer / perGroup) * b + block,
    };
  }
  if (shape.length !== 2) return `the weight of ${node} is of rank ${shape.length}, not a matrix`;
  if (node.op === 'Gemm' && node.int('transB', 0) !== 0) {
    return { channels: a, outer: 1, blocks: a, inner: b, channel: (_, block) => block };
  }
  return { channels: b, outer: a, blocks: b, inner: 1, channel: (_, block) => block };
}

/** `weight` with every output channel times its factor; undefined when the result is not finite in its own type. */
export function scaleChannels(weight: Tensor, layout: WeightLayout, scale: ArrayLike<number>): Tensor | undefined {
  const from = floatsOf(weight);
  if (!from) return undefined;
  const to = floatRoom(weight.dtype, from.length);
  let i = 0;
  for (let outer = 0; outer < layout.outer; outer++) {
    for (let block = 0; block < layout.blocks; block++) {
      const factor = scale[layout.channel(outer, block)] as number;
      for (let inner = 0; inner < layout.inner; inner++, i++) to[i] = (from[i] as number) * factor;
    }
  }
  return finiteTensor(weight.dtype, weight.shape, to);
}

/**
 * A constant operand as one number per channel, when it broadcasts over everything but the channels.
 * @param rank of the other operand @param axis of its channels, from the left
 * @returns a sentence where it varies along another axis, or widens the result.
 */
export function perChannel(
  tensor: Tensor,
  name: string,
  { rank, axis, channels }: { rank: number; axis: number; channels: number },
): Float64Array | string {
  const shown = `"${name}" of shape [${tensor.shape.join(',')}]`;
  if (tensor.shape.length > rank) return `${shown} has more dimensions than the ${rank} of the value it meets`;
  const offset = rank - tensor.shape.length;
  for (const [i, dim] of tensor.shape.entries()) {
    if (dim === 1) continue;
    if (i + offset !== axis) return `${shown} varies along axis ${i + offset} of the result, channels are axis ${axis}`;
    if (dim !== channels) return `${shown} does not give one number for each of the ${channels} channels`;
  }
  const values = floatsOf(tensor);
  if (!values) return `"${name}" is of type ${tensor.dtype}, which is not folded`;
  return Float64Array.from({ length: channels }, (_, i) => values[values.length === 1 ? 0 : i] as number);
}
