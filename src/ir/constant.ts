import type { Value } from './graph.ts';
import { stringTensor, type Tensor, tensorFrom, tensorOf, toNumbers } from './tensor.ts';

const utf8 = new TextEncoder();

/**
 * The tensor a value is known to hold: an initializer that no caller can override, or the output of a Constant node
 * (attributes value, value_float(s), value_int(s), value_string(s); ONNX Constant-13).
 */
export function constantOf(value: Value | undefined): Tensor | undefined {
  if (!value) return undefined;
  if (value.tensor) return value.constant;
  const node = value.producer;
  if (!node?.is('Constant')) return undefined;
  for (const [name, attr] of node.attrs) {
    switch (attr.type) {
      case 'tensor':
        return name === 'value' ? attr.value : undefined;
      case 'int':
        return tensorOf('int64', [], [attr.value]);
      case 'ints':
        return tensorOf('int64', [attr.value.length], attr.value);
      case 'float':
        return tensorFrom('float32', [], Float32Array.of(attr.value));
      case 'floats':
        return tensorFrom('float32', [attr.value.length], Float32Array.from(attr.value));
      case 'string':
        return stringTensor([], [utf8.encode(attr.value)]);
      case 'strings':
        return stringTensor(
          [attr.value.length],
          attr.value.map((text) => utf8.encode(text)),
        );
      default:
    }
  }
  return undefined;
}

/** Small integer or float constants as numbers, undefined when unknown at this point or larger than `limit` elements. */
export function constantNumbers(value: Value | undefined, limit = 4096): number[] | undefined {
  const tensor = constantOf(value);
  if (!tensor || tensor.shape.reduce((a, b) => a * b, 1) > limit) return undefined;
  return toNumbers(tensor);
}

/** A constant of exactly one element, whatever its rank. */
export function constantScalar(value: Value | undefined): number | undefined {
  const tensor = constantOf(value);
  if (!tensor || tensor.shape.some((dim) => dim !== 1)) return undefined;
  return toNumbers(tensor)?.[0];
}
