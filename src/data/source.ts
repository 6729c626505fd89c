import type { DType } from '../ir/dtype.ts';
import type { Tensor } from '../ir/tensor.ts';

export type Split = 'eval' | 'calibration';

/** One model input's samples, read by index. */
export interface Source {
  /** Samples there are; 0 where the split has no files. */
  count(split: Split): number;
  /** Shape of what one sample feeds, batch axis included as null; null too where samples differ in length. */
  readonly shape: readonly (number | null)[];
  /** Type of the fed tensor unless the model wants another. */
  readonly dtype: DType;
  /** The samples `indices`, prepared, as one tensor. `length`: cut axis 1 to this (see trim). */
  read(split: Split, indices: readonly number[], dtype: DType, length?: number): Promise<Tensor>;
  /** Names of the samples, where they are files. */
  readonly names?: (split: Split) => readonly string[];
  close(): Promise<void>;
}
