import { closeSync, constants, fstatSync, openSync, read, readSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import type { Model } from '../ir/graph.ts';
import { formatBytes } from '../messages.ts';
import { decodeModel } from './decode.ts';
import { defaultLimits, type Limits } from './limits.ts';

export interface LoadOptions {
  readonly limits?: Limits;
  /** Compares data files with the checksums that the model states, which means reading them once more. Default no. */
  readonly checksums?: boolean;
  readonly signal?: AbortSignal;
}

/** Bytes asked from the system at once; reading can be interrupted in between. A file of no more is read without leaving the thread. */
const readBytes = 16 * 1024 * 1024;

/**
 * Reads the model file at `path`. The file is held in memory once, its tensors are views of it; data files beside it are
 * checked now and read when asked for.
 * @throws UserError naming the file
 */
export async function loadModel(path: string, options: LoadOptions = {}): Promise<Model> {
  const limits = options.limits ?? defaultLimits;
  const bytes = await readModelFile(path, limits, options.signal);
  // Where the model is a link (as in the Hugging Face cache), its data may lie beside the real file too.
  const alsoInside = dirname(realpathSync(path));
  try {
    return decodeModel(bytes, { dir: dirname(resolve(path)), alsoInside, limits, checksums: options.checksums });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(error.code, `${path}: ${error.message}`, { cause: error });
  }
}

async function readModelFile(path: string, limits: Limits, signal: AbortSignal | undefined): Promise<Uint8Array> {
  let file: number;
  try {
    // A named pipe would be waited for until somebody writes to it; Windows has neither.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    throw unreadable(path, error);
  }
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) {
      const what = stats.isDirectory() ? 'a folder' : 'not a regular file';
      throw new UserError('model-unreadable', `${path} is ${what}; give the .onnx file.`);
    }
    if (stats.size > limits.fileBytes) {
      throw new UserError(
        'model-limit',
        `${path} has ${formatBytes(stats.size)}, over the limit "fileBytes" (${formatBytes(limits.fileBytes)}): an ONNX file ends ` +
          'at 2 GiB, larger models keep their weights in external data. Is it a model?',
      );
    }
    const bytes = new Uint8Array(stats.size);
    if (stats.size > readBytes) await readInto(bytes, file, path, signal);
    else for (let at = 0; at < stats.size; ) at += arrived(readSync(file, bytes, at, stats.size - at, at), path);
    return bytes;
  } catch (error) {
    throw error instanceof UserError || signal?.aborted ? error : unreadable(path, error);
  } finally {
    closeSync(file);
  }
}

/** Two readers side by side: copying out of the system's cache keeps one core busy, not the disk. */
async function readInto(bytes: Uint8Array, file: number, path: string, signal: AbortSignal | undefined): Promise<void> {
  const state = { next: 0, failed: false };
  const reader = async (): Promise<void> => {
    while (state.next < bytes.byteLength && !state.failed) {
      signal?.throwIfAborted();
      const start = state.next;
      const end = Math.min(start + readBytes, bytes.byteLength);
      state.next = end;
      for (let at = start; at < end; ) {
        at += arrived(await readAt(file, bytes, at, end), path);
      }
    }
  };
  const readers = [reader(), reader()].map((one) =>
    one.catch((error: unknown) => {
      state.failed = true;
      throw error;
    }),
  );
  // Both have to end before the file is closed, also when one fails.
  const [first] = (await Promise.allSettled(readers)).filter((one) => one.status === 'rejected');
  if (first) throw first.reason;
}

const readAt = (file: number, bytes: Uint8Array, at: number, end: number): Promise<number> =>
  new Promise((done, fail) =>
    read(file, bytes, at, end - at, at, (error, count) => (error ? fail(error) : done(count))),
  );

function arrived(count: number, path: string): number {
  if (count === 0) throw new UserError('model-unreadable', `${path} became shorter while it was read.`);
  return count;
}

function unreadable(path: string, error: unknown): UserError {
  const { code, message } = error as NodeJS.ErrnoException;
  const why =
    code === 'ENOENT'
      ? 'does not exist'
      : code === 'EACCES'
        ? 'may not be read (permissions)'
        : `cannot be read: ${message}`;
  return new UserError(code === 'ENOENT' ? 'model-missing' : 'model-unreadable', `${path} ${why}.`, { cause: error });
}
