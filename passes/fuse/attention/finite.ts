import { constantOf, constantScalar } from '../../../src/ir/constant.ts';
import type { Value } from '../../../src/ir/graph.ts';
import { type Tensor, typedArray } from '../../../src/ir/tensor.ts';
import { bf16ToF32 } from '../../../src/kernels/bf16.ts';
import { f16ToF32 } from '../../../src/kernels/f16.ts';

/** No element can be infinite: what masks made of numbers are. */
export function isFinite(value: Value | undefined, depth = 0): boolean {
  const number = constantScalar(value);
  if (number !== undefined) return Number.isFinite(number);
  if (!value || depth > 8) return false;
  const tensor = constantOf(value);
  if (tensor) return isDiscrete(value) || holdsFinite(tensor);
  const node = value.producer;
  if (!node || node.domain !== '') return false;
  const inputs = (from: number, to = node.inputs.length): boolean =>
    node.inputs.slice(from, to).every((input) => isFinite(input, depth + 1));
  switch (node.op) {
    case 'Where':
      return inputs(1);
    case 'Add':
    case 'Sub':
    case 'Mul':
      return inputs(0);
    case 'Unsqueeze':
    case 'Squeeze':
    case 'Expand':
    case 'Reshape':
    case 'Slice':
    case 'Transpose':
    case 'Gather':
    case 'Identity':
      return inputs(0, 1);
    case 'Cast':
      return isDiscrete(node.input(0)) || inputs(0, 1);
    default:
      return false;
  }
}

/** Of the types that biases have; masks can be large. */
function holdsFinite(tensor: Tensor): boolean {
  switch (tensor.dtype) {
    case 'float32':
    case 'float64':
      return typedArray(tensor, tensor.dtype).every(Number.isFinite);
    case 'float16':
      return f16ToF32(typedArray(tensor, 'float16')).every(Number.isFinite);
    case 'bfloat16':
      return bf16ToF32(typedArray(tensor, 'bfloat16')).every(Number.isFinite);
    default:
      return false;
  }
}

const comparisons = new Set([
  'And',
  'Or',
  'Not',
  'Xor',
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'IsNaN',
  'IsInf',
]);

/** Integers and booleans are finite, whatever they are made from. */
function isDiscrete(value: Value | undefined): boolean {
  const dtype = value?.dtype;
  if (dtype) return !dtype.startsWith('float') && dtype !== 'bfloat16';
  return value?.producer?.domain === '' && comparisons.has(value.producer.op);
}
