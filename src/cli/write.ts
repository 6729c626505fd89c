import { existsSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { UserError } from '../errors.ts';

/**
 * Writes a small file so that nobody ever sees half of it: temporary name, sync, rename.
 * @throws UserError when it exists and `force` is off.
 */
export async function writeAtomically(path: string, text: string, force: boolean): Promise<void> {
  if (existsSync(path) && !force)
    throw new UserError('out.exists', `"${path}" exists; give another --out, or --force to replace it.`);
  // Else the rename would fail, in the name of the temporary file.
  if (existsSync(path) && statSync(path).isDirectory())
    throw new UserError('path', `"${path}" is a folder where a file is expected; check the path.`);
  const part = `${path}.part-${process.pid}`;
  try {
    const file = await open(part, 'wx');
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
  } finally {
    await rm(part, { force: true });
  }
}
