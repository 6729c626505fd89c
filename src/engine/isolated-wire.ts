import { type DType, dtypeBits } from '../ir/dtype.ts';
import { stringTensor, type Tensor, tensorFromBytes } from '../ir/tensor.ts';

/** A tensor as it goes to a child process. */
export interface WireTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
  readonly strings?: readonly Uint8Array[];
}

export function packTask(feeds: ReadonlyMap<string, Tensor>): WireTensor[] {
  return [...feeds].map(([name, tensor]) => {
    const { dtype, shape } = tensor;
    const strings = tensor.strings?.();
    return { name, dtype, shape: [...shape], bytes: tensor.bytes(), ...(strings && { strings: [...strings] }) };
  });
}

export function unpackTask(wired: readonly WireTensor[]): Map<string, Tensor> {
  return new Map(
    wired.map(({ name, dtype, shape, bytes, strings }) => [
      name,
      dtypeBits(dtype) === 0 ? stringTensor(shape, strings ?? []) : tensorFromBytes(dtype, shape, bytes),
    ]),
  );
}
