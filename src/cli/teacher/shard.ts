import type { Tensor } from '../../ir/tensor.ts';

export type ShardFormat = 'safetensors' | 'parquet';

/** One batch: its tensors by `kind.name`, and how many of its rows count. */
export interface StoredBatch {
  readonly size: number;
  /** Rows that were fed: those that count, and what fills up a fixed batch. A tensor with as many along its first axis has one for each. */
  readonly rows: number;
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** A file of an export, as teacher.json names it. */
export interface Shard {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly batches: number;
  readonly samples: number;
}
