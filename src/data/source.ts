import { createHash } from 'node:crypto';
import { UserError } from '../errors.ts';
import type { DType } from '../ir/dtype.ts';
import type { Tensor } from '../ir/tensor.ts';
import type { Geometry } from './metrics/metric.ts';

export type Split = 'eval' | 'calibration';

/** One model input's samples, read by index. */
export interface Source {
  /** Samples there are; 0 where the split has no files. */
  count(split: Split): number;
  /** Shape of what one sample feeds, batch axis included as null; null too where samples differ in length. */
  readonly shape: readonly (number | null)[];
  /** Type of the fed tensor unless the model wants another. */
  readonly dtype: DType;
  /** Texts of a table: which cell is no number, as a clause. */
  readonly notNumbers?: string | undefined;
  /**
   * The samples `indices`, prepared, as one tensor. `length`: cut axis 1 to this (see trim).
   * @throws BadSample for one that cannot be decoded
   */
  read(split: Split, indices: readonly number[], dtype: DType, length?: number): Promise<Tensor>;
  /** Starts preparing these samples; `read` takes them from there. Resolves when nothing more has to be started. */
  readonly prefetch?: (split: Split, indices: readonly number[]) => Promise<void>;
  /** Another product of the same samples: `attention_mask`, `token_type_ids`. */
  readonly take?: (field: string, split: Split, indices: readonly number[], dtype: DType) => Promise<Tensor>;
  /** Names of the samples, where they are files. */
  readonly names?: (split: Split) => readonly string[];
  /** How the sample was brought to its size; known once it was read. */
  readonly geometry?: (split: Split, index: number) => Geometry | undefined;
  /** Hash of what prepares the samples, where that may stand outside of the data folder: a tokenizer, an image processor. */
  readonly preparation?: string | undefined;
  /** What the sample is made of, unprepared: equal samples have equal digests. */
  digest(split: Split, index: number): Promise<string>;
  close(): Promise<void>;
}

/** A sample that cannot be decoded: left out and counted, until there are too many of them. */
export class BadSample extends UserError {
  readonly index: number;
  constructor(index: number, message: string, options?: { cause?: unknown }) {
    super('dataset-sample', message, options);
    this.index = index;
  }
}

export function digestOf(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('base64');
}
