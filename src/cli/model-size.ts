import { open, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import type { Model } from '../ir/graph.ts';
import { externalFiles } from '../onnx/external-files.ts';

/** The model file and its external data files, absolute. */
function filesOf(path: string, model: Model): string[] {
  return [path, ...externalFiles(model).map((name) => join(dirname(path), name))];
}

/** Bytes of a model on disk, external data included. */
export async function modelBytes(path: string, model: Model): Promise<number> {
  let bytes = 0;
  for (const file of filesOf(path, model)) bytes += (await stat(file)).size;
  return bytes;
}

/** Larger files are judged by their beginning. */
const sampleBytes = 64e6;

/** Bytes of a download: each file through brotli, quality 5 as servers do it on the fly. */
export async function downloadBytes(path: string, model: Model): Promise<number> {
  let bytes = 0;
  for (const file of filesOf(path, model)) {
    const { size } = await stat(file);
    const sample = await readStart(file, Math.min(size, sampleBytes));
    const params = { [constants.BROTLI_PARAM_QUALITY]: 5, [constants.BROTLI_PARAM_SIZE_HINT]: sample.byteLength };
    const compressed = brotliCompressSync(sample, { params }).byteLength;
    bytes += Math.round(compressed * (size / Math.max(sample.byteLength, 1)));
  }
  return bytes;
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
