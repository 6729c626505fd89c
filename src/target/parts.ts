import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';

/**
 * SHA-256 of consecutive parts of a file, for those who verify it while it arrives.
 * @param partBytes length of a part; the last is what is left
 */
export function partHashes(file: string, partBytes: number): string[] {
  const handle = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(partBytes);
    const hashes: string[] = [];
    for (;;) {
      let filled = 0;
      for (let read = -1; read !== 0 && filled < partBytes; filled += read)
        read = readSync(handle, buffer, filled, partBytes - filled, null);
      if (filled === 0) return hashes;
      hashes.push(createHash('sha256').update(buffer.subarray(0, filled)).digest('hex'));
    }
  } finally {
    closeSync(handle);
  }
}
