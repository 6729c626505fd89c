/** Files that are there whole or not at all, also after the power went. */

import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** A rename or a new name is durable when its folder is synced. */
export async function syncFolder(path) {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some file systems cannot sync a folder, and say so.
    if (!['EINVAL', 'ENOTSUP', 'EPERM', 'EISDIR'].includes(error.code)) throw error;
  } finally {
    await handle.close();
  }
}

/** Replaces a file atomically. */
export async function writeDurable(path, text) {
  const temp = `${path}.tmp`;
  const handle = await open(temp, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temp, path);
  await syncFolder(dirname(path));
}

/** Moves a finished file to its place; the caller syncs folders when all are there. */
export async function moveInto(from, to) {
  await mkdir(dirname(to), { recursive: true });
  await rename(from, to);
}

/** @returns {Promise<string | undefined>} undefined where there is none */
export async function readIfThere(path) {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  }
}

export function removeTree(path) {
  return rm(path, { recursive: true, force: true });
}
