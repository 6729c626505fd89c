import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount, type Tensor, tensorFrom, typedArray } from '../../../src/ir/tensor.ts';

/** The tensor that a DequantizeLinear of constants gives; undefined where one of them is not known. */
export function dequantize(node: Node, constantOf: (value: Value) => Tensor | undefined): Tensor | undefined {
  const [data, scale, zero] = node.inputs;
  const q = data && constantOf(data);
  const s = scale && constantOf(scale);
  if (!q || !s || s.dtype !== 'float32' || node.int('block_size', 0) !== 0) return undefined;
  const z = zero && constantOf(zero);
  const numbers = integers(q);
  if (!numbers) return undefined;
  const scales = typedArray(s, 'float32');
  const zeros = z ? integers(z) : undefined;
  const axis = (node.int('axis', 1) + q.shape.length) % Math.max(1, q.shape.length);
  const inner = elementCount(q.shape.slice(axis + 1));
  const extent = q.shape[axis] ?? 1;
  const out = Float32Array.from(numbers, (value, i) => {
    const channel = scales.length === 1 ? 0 : Math.floor(i / inner) % extent;
    return (value - (zeros?.[channel] ?? 0)) * (scales[channel] ?? 1);
  });
  return tensorFrom('float32', q.shape, out);
}

/** Elements of a small-integer tensor. */
export function integers(tensor: Tensor): ArrayLike<number> | undefined {
  switch (tensor.dtype) {
    case 'int8':
    case 'uint8':
    case 'int16':
    case 'uint16':
    case 'int32':
      return typedArray(tensor, tensor.dtype);
    default:
      return undefined;
  }
}
