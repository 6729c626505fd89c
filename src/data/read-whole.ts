import { readFile, stat } from 'node:fs/promises';
import { UserError } from '../errors.ts';

/** Whole files are read into memory up to this size; .npy files are streamed whatever theirs. */
const mostBytes = 2 ** 31;

/** @throws UserError when the file is missing, cannot be read, is none, or is larger than `most` bytes */
export async function readWhole(path: string, most = mostBytes): Promise<Uint8Array> {
  try {
    const found = await stat(path);
    const { size } = found;
    // A pipe would be waited for until somebody writes to it.
    if (!found.isFile() && !found.isDirectory())
      throw new UserError('data-open', `Cannot read ${path}: it is no regular file.`);
    if (size > most)
      throw new UserError(
        'data-size',
        `${path} has ${size} bytes; at most ${most} are read into memory. Split it, or save a .npy file.`,
      );
    const bytes = await readFile(path);
    // A plain array: `slice` of a Buffer is no copy.
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`;
    throw new UserError('data-open', `Cannot read ${path}: ${why}.`, { cause: error });
  }
}
