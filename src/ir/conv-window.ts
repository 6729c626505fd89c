import type { ConvWindow } from '../kernels/patches.ts';
import type { Node } from './graph.ts';

/** How a Conv with a kernel of these extents looks at its input. */
export function convWindow(node: Node, kernel: readonly number[]): ConvWindow {
  const auto = node.string('auto_pad') ?? 'NOTSET';
  const ones = kernel.map(() => 1);
  const pads = node.ints('pads') ?? [...kernel, ...kernel].map(() => 0);
  const explicit = { begin: pads.slice(0, kernel.length), end: pads.slice(kernel.length) };
  const none = { begin: kernel.map(() => 0), end: kernel.map(() => 0) };
  return {
    kernel,
    strides: node.ints('strides') ?? ones,
    dilations: node.ints('dilations') ?? ones,
    pads:
      auto === 'SAME_UPPER' ? 'same-upper' : auto === 'SAME_LOWER' ? 'same-lower' : auto === 'VALID' ? none : explicit,
  };
}
