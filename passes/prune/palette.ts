import { dtypeCode } from '../../src/ir/dtype.ts';
import type { Value } from '../../src/ir/graph.ts';
import { computedTensor, type Tensor, tensorFrom, tensorFromBytes } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { f32ToF16 } from '../../src/kernels/f16.ts';
import { addConstant } from '../../src/rewrite/edit.ts';
import { releaseConstant } from '../../src/rewrite/release-constant.ts';
import { placeFor } from '../quantize/linear.ts';
import { type Clustered, expand } from './clustered.ts';
import { putConstant } from './store.ts';
import type { WeightTable } from './tables.ts';

/** Floats of few values in the place of the weights. */
export function storeValues({ value, tensor }: WeightTable, clustered: Clustered): void {
  const half = tensor.dtype === 'float16';
  putConstant(
    value,
    computedTensor(tensor.dtype, tensor.shape, () => {
      const data = expand(clustered);
      return new Uint8Array((half ? f32ToF16(data) : data).buffer);
    }),
  );
}

/** codes uint8 → Cast → (Add of each channel's first number) → Gather → (Mul by each channel's factor). */
export function storePalette(
  { value, tensor, node, axis }: WeightTable,
  { codes, centers, scales }: Clustered,
  channels: number,
): void {
  const { dtype, shape } = tensor;
  // A Transpose may stand in front of the node.
  const anchor = value.producer ?? placeFor(value, value.consumers[0] ?? node);
  const { graph } = anchor;
  const floats = (dims: readonly number[], numbers: Float32Array): Tensor =>
    dtype === 'float16' ? tensorFrom('float16', dims, f32ToF16(numbers)) : tensorFrom('float32', dims, numbers);
  const perChannel = shape.map((extent, at) => (at === axis ? extent : 1));
  const stored = addConstant(anchor, `${value.name}_codes`, tensorFromBytes('uint8', shape, codes));
  const cast = graph.insertBefore(anchor, 'Cast', {
    inputs: [stored],
    attrs: { to: dtypeCode('int32') },
    types: [tensorType('int32', shape)],
  });
  let numbers: Value = cast.output();
  if (channels > 1) {
    const count = centers.length / channels;
    const offsets = Int32Array.from({ length: channels }, (_, c) => c * count);
    const first = addConstant(anchor, `${value.name}_first`, tensorFrom('int32', perChannel, offsets));
    numbers = graph
      .insertBefore(anchor, 'Add', { inputs: [numbers, first], types: [tensorType('int32', shape)] })
      .output();
  }
  const palette = addConstant(anchor, `${value.name}_palette`, floats([centers.length], centers));
  const gather = graph.insertBefore(anchor, 'Gather', {
    inputs: [palette, numbers],
    types: [tensorType(dtype, shape)],
  });
  let expanded = gather.output();
  if (scales) {
    const factors = addConstant(anchor, `${value.name}_scale`, floats(perChannel, scales.factors));
    expanded = graph
      .insertBefore(anchor, 'Mul', { inputs: [expanded, factors], types: [tensorType(dtype, shape)] })
      .output();
  }
  graph.replaceUses(value, expanded);
  releaseConstant(value);
}
