import type { DType } from '../ir/dtype.ts';
import { dtypeBits } from '../ir/dtype.ts';
import { elementCount, stringTensor, type Tensor, tensorFromBytes } from '../ir/tensor.ts';

/** Numbers (or texts) of many samples in a file: the first axis counts the samples. */
export interface Rows {
  readonly path: string;
  /** `string` for texts. */
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Texts of a table: which cell is no number, as a clause; undefined where texts were asked for. */
  readonly notNumbers?: string | undefined;
  /** Rows `first … first + count − 1` as a tensor of shape `[count, …rest]`, little-endian and row-major. */
  rows(first: number, count: number): Promise<Tensor>;
  close(): Promise<void>;
}

/** Rows of a tensor that is in memory. @param path what messages call it */
export function memoryRows(path: string, tensor: Tensor, notNumbers?: string): Rows {
  const { dtype, shape } = tensor;
  const inner = elementCount(shape.slice(1));
  return {
    path,
    dtype,
    shape,
    notNumbers,
    rows(first, count) {
      const rowShape = [count, ...shape.slice(1)];
      if (dtype === 'string') {
        const texts = tensor.strings?.() ?? [];
        return Promise.resolve(stringTensor(rowShape, texts.slice(first * inner, (first + count) * inner)));
      }
      const rowBytes = (inner * dtypeBits(dtype)) / 8;
      const bytes = tensor.bytes().subarray(first * rowBytes, (first + count) * rowBytes);
      // Typed views need their place in memory aligned, which a row in the middle of a file need not be.
      return Promise.resolve(tensorFromBytes(dtype, rowShape, bytes.slice()));
    },
    close: () => Promise.resolve(),
  };
}
