import { existsSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { UserError } from '../errors.ts';
import { requireFileName } from './output.ts';

/**
 * Writes a file so that nobody ever sees half of it: temporary name, sync, rename.
 * @param flag that names the place, for messages
 * @throws UserError when it exists and `force` is off.
 */
export async function writeAtomically(
  path: string,
  content: string | readonly Uint8Array[],
  force: boolean,
  flag = '--out',
): Promise<void> {
  // Else the rename would fail, in the name of the temporary file; and no --force helps.
  requireFileName(path, path);
  if (existsSync(path) && !force)
    throw new UserError('out.exists', `"${path}" exists; give another ${flag}, or --force to replace it.`);
  const part = `${path}.part-${process.pid}`;
  // In a container every run may have the same number, and one that was killed have left its part.
  await rm(part, { force: true });
  try {
    const file = await open(part, 'wx');
    try {
      for (const piece of typeof content === 'string' ? [content] : content) await file.writeFile(piece);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
  } finally {
    await rm(part, { force: true });
  }
}
