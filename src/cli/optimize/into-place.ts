import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolder } from '../../make-folder.ts';
import { carryOver } from './overwrite.ts';

/**
 * Replaces `out` (allowed by --force) only after the new folder is complete.
 * @returns names of what was in the folder before and is no run's
 */
export async function moveInto(staging: string, out: string): Promise<string[]> {
  await makeFolder(dirname(out));
  if (!existsSync(out)) {
    await rename(staging, out);
    return [];
  }
  const old = `${out}.old-${process.pid}`;
  await rename(out, old);
  try {
    await rename(staging, out);
  } catch (error) {
    await rename(old, out);
    throw error;
  }
  const carried = await carryOver(old, out);
  await rm(old, { recursive: true });
  return carried;
}
