import type { Node } from '../../../src/ir/graph.ts';

export function window(
  node: Node,
  kernel: readonly number[],
): { kernel: number[]; strides: number[]; dilations: number[] } {
  const size = node.ints('kernel_shape') ?? [...kernel];
  return {
    kernel: size,
    strides: node.ints('strides') ?? size.map(() => 1),
    dilations: node.ints('dilations') ?? size.map(() => 1),
  };
}

/** Padding before and behind each dimension, `auto_pad` resolved. */
export function pads(
  node: Node,
  input: readonly number[],
  output: readonly number[],
  kernel: readonly number[],
  strides: readonly number[],
  dilations: readonly number[],
): [begin: number[], end: number[]] {
  const auto = node.string('auto_pad') ?? 'NOTSET';
  if (auto === 'SAME_UPPER' || auto === 'SAME_LOWER') {
    const total = input.map((extent, i) =>
      Math.max(
        0,
        ((output[i] ?? 1) - 1) * (strides[i] ?? 1) + ((kernel[i] ?? 1) - 1) * (dilations[i] ?? 1) + 1 - extent,
      ),
    );
    const begin = total.map((sum) => (auto === 'SAME_UPPER' ? Math.floor(sum / 2) : Math.ceil(sum / 2)));
    return [begin, total.map((sum, i) => sum - (begin[i] ?? 0))];
  }
  const given = auto === 'VALID' ? undefined : node.ints('pads');
  const rank = input.length;
  return given ? [given.slice(0, rank), given.slice(rank)] : [input.map(() => 0), input.map(() => 0)];
}

/** Both spatial dimensions; what has one only gets `fill` as the first. */
export function twoOf(values: readonly number[], fill: number): [number, number] {
  return values.length === 1 ? [fill, values[0] ?? fill] : [values[0] ?? fill, values[1] ?? fill];
}
