import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Makes a folder and those above it that are missing. In place of Node's `recursive: true`, which never returns (and holds a thread, so that
 * not even SIGTERM ends the process) where a folder exists, nothing can be made in it, and the system calls that "no such file": /proc,
 * folders of an automounter (Node 20 and 22).
 * @param mode of the folders that are made
 * @throws the system's error: EEXIST where a file has the name, ENOTDIR where one is above it, ENOENT where nothing can be made, …
 */
export async function makeFolder(path: string, mode?: number): Promise<void> {
  const whole = resolve(path);
  const missing: string[] = [];
  for (let at = whole; !isFolder(at); at = dirname(at)) {
    missing.unshift(at);
    if (at === dirname(at)) break;
  }
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      // Another process was faster; or a file is in the way, of which the system itself says what it is to the folder below.
      if (isFolder(folder)) continue;
      if (folder !== whole) mkdirSync(whole);
      throw error;
    }
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
