import { closeSync, openSync, readSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

/** A second copy on the host's disk has to spare visitors this much; weights as they are trained lose 7 to 15 %, the runtime's code 74 %. */
const worthwhile = 0.75;
/** Beyond, the packed pieces would not fit into memory beside each other. */
const mostPacked = 512 * 2 ** 20;
const sampled = 64;
const sampleBytes = 2 ** 14;

/** Whether gzip makes enough of a file, by samples all over it. */
export function gzipPays(source: string, bytes: number): boolean {
  if (bytes > mostPacked) return false;
  const step = Math.max(sampleBytes, Math.floor(bytes / sampled));
  const samples: Buffer[] = [];
  for (let at = 0; at < bytes; at += step) samples.push(readRange(source, at, Math.min(bytes, at + sampleBytes)));
  const joined = Buffer.concat(samples);
  return gzipSync(joined).length < worthwhile * joined.length;
}

/** Bytes of a file from `start` up to `end` as gzip. */
export function gzipOf(file: string, start: number, end: number): Uint8Array {
  return gzipSync(readRange(file, start, end));
}

function readRange(file: string, start: number, end: number): Buffer {
  const handle = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(end - start);
    const read = readSync(handle, buffer, 0, buffer.length, start);
    return buffer.subarray(0, read);
  } finally {
    closeSync(handle);
  }
}
