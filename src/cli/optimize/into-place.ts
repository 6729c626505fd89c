import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolder } from '../../make-folder.ts';
import { swapFolder } from '../../swap-folder.ts';
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
  await swapFolder(staging, out, old);
  const carried = await carryOver(old, out);
  await rm(old, { recursive: true });
  return carried;
}
