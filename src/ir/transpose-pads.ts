import type { Node } from './graph.ts';

/**
 * What a ConvTranspose takes away in front of each axis of space. Where the extents of the output decide (`output_shape`, `auto_pad`), the odd
 * element goes behind for SAME_UPPER and in front else, as ONNX Runtime has it.
 * @param input extents of space; `kernel` and `output` likewise
 */
export function transposePads(
  node: Node,
  input: readonly number[],
  kernel: readonly number[],
  output: readonly number[],
): number[] {
  const auto = node.string('auto_pad') ?? 'NOTSET';
  const [strides, dilations, extra, given] = ['strides', 'dilations', 'output_padding', 'pads'].map((name) =>
    node.ints(name),
  );
  const follows = node.ints('output_shape') !== undefined || auto.startsWith('SAME');
  return kernel.map((k, axis) => {
    if (!follows) return auto === 'VALID' ? 0 : (given?.[axis] ?? 0);
    const full =
      (strides?.[axis] ?? 1) * ((input[axis] ?? 1) - 1) + (extra?.[axis] ?? 0) + (k - 1) * (dilations?.[axis] ?? 1) + 1;
    const total = Math.max(0, full - (output[axis] ?? 1));
    return auto === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2);
  });
}
