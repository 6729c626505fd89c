import { constantOf } from '../../src/ir/constant.ts';
import type { Node, Value } from '../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { f32ToF16 } from '../../src/kernels/f16.ts';
import type { Edit } from '../../src/rewrite/edit.ts';
import type { Linear } from './linear.ts';

/** The left operand as a plain product takes it: transposed where the Gemm asks for it. */
export function plainActivation(edit: Edit, linear: Linear): Value {
  if (!linear.transA) return linear.a;
  return edit.insert('Transpose', { inputs: [linear.a], attrs: { perm: [1, 0] } }).output();
}

/** Adds the bias of a Gemm to `product` and puts the result in the place of the layer. */
export function finishLinear(edit: Edit, linear: Linear, product: Node): void {
  const bias = scaledBias(edit, linear);
  let last = product;
  if (bias) {
    const type = tensorType(linear.tensor.dtype, linear.node.output().shape);
    last = edit.insert('Add', { inputs: [product.output(), bias], types: [type] });
  }
  edit.replace(linear.node, last);
}

/** beta · c, computed now where c is a float32 constant. */
function scaledBias(edit: Edit, { c, beta, tensor: weights }: Linear): Value | undefined {
  if (!c || beta === 0) return undefined;
  if (beta === 1) return c;
  const tensor = constantOf(c);
  if (tensor?.dtype === 'float32') {
    const data = typedArray(tensor, 'float32').map((x) => x * beta);
    return edit.constant(`${c.name}_scaled`, tensorFrom('float32', tensor.shape, data));
  }
  const factor =
    weights.dtype === 'float16'
      ? tensorFrom('float16', [], f32ToF16(Float32Array.of(beta)))
      : tensorFrom('float32', [], Float32Array.of(beta));
  return edit.insert('Mul', { inputs: [c, edit.constant('beta', factor)] }).output();
}
