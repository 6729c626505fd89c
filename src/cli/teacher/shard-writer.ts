import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { castTensor } from '../../data/cast.ts';
import type { Batch } from '../../data/dataset.ts';
import { UserError } from '../../errors.ts';
import { type Tensor, tensorFrom, typedArray } from '../../ir/tensor.ts';
import { writeAtomically } from '../write.ts';
import type { Manifest } from './manifest.ts';
import { encodeParquet } from './parquet.ts';
import { encodeSafetensors } from './safetensors.ts';
import type { Shard, ShardFormat, StoredBatch } from './shard.ts';

/** Collects batches and writes them as one file, under its final name only when it is whole. */
export class ShardWriter {
  readonly #dir: string;
  readonly #format: ShardFormat;
  #number: number;
  #batches: StoredBatch[] = [];
  samples = 0;
  bytes = 0;

  constructor(dir: string, first: number, format: ShardFormat) {
    this.#dir = dir;
    this.#number = first;
    this.#format = format;
  }

  add(
    batch: Batch,
    feeds: ReadonlyMap<string, Tensor>,
    results: ReadonlyMap<string, Tensor>,
    { outputs, hidden }: Pick<Manifest, 'outputs' | 'hidden'>,
    half: boolean,
  ): void {
    const tensors = new Map<string, Tensor>();
    const put = (kind: string, name: string, tensor: Tensor | undefined): void => {
      if (!tensor) return;
      const stored = half && tensor.dtype === 'float32' && kind !== 'inputs' ? halved(name, tensor) : tensor;
      tensors.set(`${kind}.${name}`, stored);
      this.bytes += stored.byteLength;
    };
    for (const [name, tensor] of feeds) put('inputs', name, tensor);
    for (const { name } of outputs) put('outputs', name, results.get(name));
    for (const name of hidden) put('hidden', name, results.get(name));
    if (batch.labels)
      put('labels', 'labels', tensorFrom('int64', [batch.labels.length], BigInt64Array.from(batch.labels, BigInt)));
    this.#batches.push({ size: batch.size, rows: rowsOf(batch), tensors });
    this.samples += batch.size;
  }

  async close(): Promise<Shard | undefined> {
    if (this.#batches.length === 0) return undefined;
    const file = `shard-${String(this.#number++).padStart(5, '0')}.${this.#format}`;
    const pieces = await encode[this.#format](this.#batches);
    const hash = createHash('sha256');
    let bytes = 0;
    for (const piece of pieces) {
      hash.update(piece);
      bytes += piece.byteLength;
    }
    await writeAtomically(join(this.#dir, file), pieces, true);
    const shard = { file, sha256: hash.digest('hex'), bytes, batches: this.#batches.length, samples: this.samples };
    this.#batches = [];
    this.samples = 0;
    this.bytes = 0;
    return shard;
  }
}

/** Magnitudes from here on round to infinity in float16. */
const tooLarge = 65520;

/** @throws UserError where a finite number would become infinite: a student taught by that learns NaN */
function halved(name: string, tensor: Tensor): Tensor {
  const lost = typedArray(tensor, 'float32').find((value) => Number.isFinite(value) && Math.abs(value) >= tooLarge);
  if (lost !== undefined)
    throw new UserError(
      'teacher.half',
      `"${name}" reaches ${lost.toPrecision(3)}, more than float16 holds (65504): leave --half out, and give --force or another --out to begin anew.`,
    );
  return castTensor(tensor, 'float16');
}

const encode: Readonly<Record<ShardFormat, (batches: readonly StoredBatch[]) => Uint8Array[] | Promise<Uint8Array[]>>> =
  {
    safetensors(batches) {
      const tensors = new Map(
        batches.flatMap((batch, index) =>
          [...batch.tensors].map(([name, tensor]) => [`${String(index).padStart(5, '0')}.${name}`, tensor] as const),
        ),
      );
      return encodeSafetensors(tensors, {
        format: 'pt',
        sizes: JSON.stringify(batches.map(({ size }) => size)),
        rows: JSON.stringify(batches.map(({ rows }) => rows)),
      });
    },
    parquet: encodeParquet,
  };

/** Extents of what the model gives may be those of time: what is fed has a row for each sample, unless the one sample is fed without that axis. */
function rowsOf({ feeds, states, size, unbatched }: Batch): number {
  if (unbatched) return size;
  const extents = [...feeds].filter(([name]) => !states.has(name)).map(([, { shape }]) => shape[0] ?? 0);
  return Math.max(size, ...extents);
}
