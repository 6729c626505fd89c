import { UserError } from '../../errors.ts';
import type { Tensor } from '../../ir/tensor.ts';
import type { StoredBatch } from './shard.ts';

/**
 * A Parquet file with a row for each sample, rows that only fill a batch left out: `batch` (int32), `shapes` (JSON: the shape of each tensor of the
 * sample, which may change from batch to batch) and for each tensor a binary column `kind.name` with its numbers as they lie in memory (little-endian).
 * `dtypes` in the metadata of the file says of which type they are.
 * @throws UserError where a tensor has no axis of samples
 */
export async function encodeParquet(batches: readonly StoredBatch[]): Promise<Uint8Array[]> {
  const { ByteWriter, parquetWrite } = await import('hyparquet-writer');
  const [first] = batches;
  const names = [...(first?.tensors.keys() ?? [])];
  const columns = new Map(names.map((name): [string, Uint8Array[]] => [name, []]));
  const numbers: number[] = [];
  const shapes: string[] = [];
  for (const [index, { size, rows, tensors }] of batches.entries()) {
    const text = JSON.stringify(Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape.slice(1)])));
    for (let row = 0; row < size; row++) {
      numbers.push(index);
      shapes.push(text);
    }
    for (const name of names) columns.get(name)?.push(...rowsOf(name, tensors.get(name), size, rows));
  }
  const dtypes = Object.fromEntries(names.map((name) => [name, first?.tensors.get(name)?.dtype]));
  const writer = new ByteWriter();
  // Numbers of a network hardly repeat: neither dictionaries nor compression would pay.
  await parquetWrite({
    writer,
    columnData: [
      { name: 'batch', data: numbers, type: 'INT32', nullable: false },
      { name: 'shapes', data: shapes, type: 'STRING', nullable: false },
      ...[...columns].map(([name, data]) => ({
        name,
        data,
        type: 'BYTE_ARRAY' as const,
        nullable: false,
        encoding: 'PLAIN' as const,
      })),
    ],
    codec: 'UNCOMPRESSED',
    statistics: false,
    rowGroupSize: Math.max(1, numbers.length),
    kvMetadata: [{ key: 'dtypes', value: JSON.stringify(dtypes) }],
    createdBy: 'mlpack',
  });
  return [new Uint8Array(writer.getBuffer())];
}

/** The bytes of each sample. Labels are as many as count, other tensors may have rows that only fill the batch. */
function rowsOf(name: string, tensor: Tensor | undefined, size: number, rows: number): Uint8Array[] {
  const own = tensor?.shape[0];
  if (!tensor || own === undefined || own !== (name.startsWith('labels.') ? size : rows))
    throw new UserError(
      'teacher.rows',
      `"${name.slice(name.indexOf('.') + 1)}" has the shape [${tensor?.shape.join(', ') ?? ''}], which has no axis of ${rows} samples: it cannot be a row for each in Parquet; take --format safetensors, which holds batches as they are.`,
    );
  const bytes = tensor.bytes();
  const each = bytes.byteLength / own;
  return Array.from({ length: size }, (_, row) => bytes.slice(row * each, (row + 1) * each));
}
