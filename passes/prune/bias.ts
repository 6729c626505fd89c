import { constantOf } from '../../src/ir/constant.ts';
import type { Node, Value } from '../../src/ir/graph.ts';
import { type Tensor, tensorFrom, typedArray } from '../../src/ir/tensor.ts';
import { addConstant } from '../../src/rewrite/edit.ts';
import { releaseConstant } from '../../src/rewrite/release-constant.ts';

/** Where a layer has one float32 number for each output that can take up what the pruned weights leave of the mean. */
export interface BiasSlot {
  readonly value: Value;
  readonly tensor: Tensor;
  /** The bias counts as value · factor in the output (beta of a Gemm). */
  readonly factor: number;
  /** It was put in, all zeros, for the purpose. */
  readonly added: boolean;
}

/**
 * The bias of a Conv, Gemm or MatMul that nothing else reads; a Conv and (from opset 11 on) a Gemm without one get one of zeros.
 * @param outputs of the layer
 * @returns undefined where there is none that may be changed
 */
export function biasSlot(node: Node, outputs: number, opset: number): BiasSlot | undefined {
  const place = placeOf(node, opset);
  if (!place) return undefined;
  const { reader, index, factor } = place;
  const value = reader.input(index);
  if (!value) {
    const tensor = tensorFrom('float32', [outputs], new Float32Array(outputs));
    const made = addConstant(node, `${node.name || node.op.toLowerCase()}_bias`, tensor);
    reader.setInput(index, made);
    return { value: made, tensor, factor: 1, added: true };
  }
  const tensor = constantOf(value);
  if (tensor?.dtype !== 'float32' || value.useCount !== 1 || value.isGraphOutput || factor === 0) return undefined;
  const isRow = tensor.shape.at(-1) === outputs && tensor.shape.slice(0, -1).every((dim) => dim === 1);
  return isRow ? { value, tensor, factor, added: false } : undefined;
}

function placeOf(node: Node, opset: number): { reader: Node; index: number; factor: number } | undefined {
  if (node.op === 'Conv') return { reader: node, index: 2, factor: 1 };
  if (node.op === 'Gemm') {
    const bare = node.input(2) === undefined;
    if (bare && opset < 11) return undefined;
    return { reader: node, index: 2, factor: bare ? 1 : node.float('beta', 1) };
  }
  const output = node.outputs[0];
  const [add] = output?.consumers ?? [];
  if (!node.is('MatMul') || !output || !add?.is('Add') || output.useCount !== 1 || output.isGraphOutput)
    return undefined;
  return { reader: add, index: add.input(0) === output ? 1 : 0, factor: 1 };
}

/** The bias with these numbers added to what it gives. */
export function movedBias({ tensor, factor }: BiasSlot, by: Float64Array): Tensor {
  const before = typedArray(tensor, 'float32');
  const after = before.map((b, c) => b + (by[c] as number) / factor);
  return tensorFrom('float32', tensor.shape, after);
}

/** Takes a bias out again that was put in and stayed zero. */
export function withdrawBias({ value, added }: BiasSlot): void {
  const tensor = constantOf(value);
  if (!added || !tensor || typedArray(tensor, 'float32').some((b) => b !== 0)) return;
  const { node, index } = value.uses[0] ?? {};
  if (node === undefined || index === undefined) return;
  node.setInput(index, undefined);
  releaseConstant(value);
}
