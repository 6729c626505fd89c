import { open, stat } from 'node:fs/promises';
import * as zlib from 'node:zlib';
import type { Model } from '../ir/graph.ts';
import { filesOf } from './model-size.ts';

/** Larger files are judged by their beginning. */
const sampleBytes = 64e6;

/** Bytes of a download: each file through brotli, quality 5 as servers do it on the fly. */
export async function downloadBytes(path: string, model: Model): Promise<number> {
  return await compressedBytes(path, model, brotli);
}

/** Bytes by compression; zstd where this Node has it (22.15 and later). */
export interface CompressedSizes {
  readonly gzip: number;
  readonly brotli: number;
  readonly zstd: number | null;
}

/** What each compression that servers and stores use makes of a model: gzip at level 6, brotli at 5, zstd at 3, their usual settings. */
export async function compressedSizes(path: string, model: Model): Promise<CompressedSizes> {
  return {
    gzip: await compressedBytes(path, model, (bytes) => zlib.gzipSync(bytes)),
    brotli: await compressedBytes(path, model, brotli),
    zstd: zstd ? await compressedBytes(path, model, zstd) : null,
  };
}

type Compress = (bytes: Uint8Array) => Uint8Array;

const brotli: Compress = (bytes) => {
  const { BROTLI_PARAM_QUALITY: quality, BROTLI_PARAM_SIZE_HINT: hint } = zlib.constants;
  return zlib.brotliCompressSync(bytes, { params: { [quality]: 5, [hint]: bytes.byteLength } });
};

/** Not in the types of Node 20, nor in Node 20. */
const zstd = (zlib as { zstdCompressSync?: Compress }).zstdCompressSync;

/** Bytes of one file through brotli, as above. */
export async function brotliBytes(file: string): Promise<number> {
  return await compressedFile(file, brotli);
}

async function compressedBytes(path: string, model: Model, compress: Compress): Promise<number> {
  let bytes = 0;
  for (const file of filesOf(path, model)) bytes += await compressedFile(file, compress);
  return bytes;
}

async function compressedFile(file: string, compress: Compress): Promise<number> {
  const { size } = await stat(file);
  const sample = await readStart(file, Math.min(size, sampleBytes));
  return Math.round(compress(sample).byteLength * (size / Math.max(sample.byteLength, 1)));
}

async function readStart(path: string, length: number): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const bytes = new Uint8Array(length);
    let at = 0;
    while (at < length) {
      const { bytesRead } = await file.read(bytes, at, length - at, at);
      if (bytesRead === 0) break;
      at += bytesRead;
    }
    return bytes.subarray(0, at);
  } finally {
    await file.close();
  }
}
