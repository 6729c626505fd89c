import { constantOf } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount, float32Pieces, type Tensor } from '../../../src/ir/tensor.ts';
import { type F16Fit, f16Fit } from '../../../src/kernels/f16.ts';

const fits = new WeakMap<Tensor, F16Fit>();

/** How a float32 constant fits into half precision; looked at once. */
export function fitOf(tensor: Tensor): F16Fit {
  const known = fits.get(tensor);
  if (known) return known;
  let fit = f16Fit(new Float32Array(0));
  for (const piece of float32Pieces(tensor)) fit = f16Fit(piece, fit);
  fits.set(tensor, fit);
  return fit;
}

/** Operators that meet "minus infinity" in the form of a huge negative constant: masks before a Softmax. */
const masking = new Set([
  'Add',
  'Sub',
  'Mul',
  'Where',
  'Expand',
  'Concat',
  'Pad',
  'Reshape',
  'Unsqueeze',
  'Tile',
  'Identity',
  'ScatterND',
  'ScatterElements',
]);
/** Operators for which a bound that is clamped stays a bound. */
const bounding = new Set(['Clip', 'Max', 'Min']);

/** Why a constant keeps the node that reads it in float32; undefined when it fits, or may be clamped. */
export function constantProblem(node: Node, value: Value): string | undefined {
  const tensor = constantOf(value);
  if (!tensor) return undefined;
  const { overAbove, overBelow, vanish } = fitOf(tensor);
  const over = overAbove + overBelow;
  if (over > 0 && !(overAbove === 0 && masking.has(node.op)) && !bounding.has(node.op)) {
    return `its constant "${value.name}" has ${over} value${over > 1 ? 's' : ''} beyond ±65504, the largest number of float16`;
  }
  // A weight matrix of numbers near zero would become ±2⁻²⁴ throughout.
  const elements = elementCount(tensor.shape);
  if (elements > 16 && vanish > elements / 2) {
    return `its constant "${value.name}" has ${vanish} of ${elements} values below 3e-8, the smallest number of float16`;
  }
  return undefined;
}
