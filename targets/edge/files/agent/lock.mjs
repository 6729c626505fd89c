/** One agent at a time on a device folder. A lock whose owner is gone is no lock. */

import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Names a process also when its number is used again: number and start time, where the system tells that. */
async function identity(pid) {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return `${pid} ${stat.slice(stat.lastIndexOf(')')).split(' ')[20]}`;
  } catch (error) {
    if (!['ENOENT', 'ESRCH', 'EACCES'].includes(error.code)) throw error;
    return String(pid);
  }
}

async function isAlive(owner) {
  const pid = Number(owner.split(' ', 1)[0]);
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return false;
  }
  return (await identity(pid)) === owner;
}

/** @returns {Promise<(() => Promise<void>) | undefined>} what lets go of it; undefined where another process has it */
export async function takeLock(root) {
  const path = join(root, 'lock');
  const own = await identity(process.pid);
  for (let tries = 0; tries < 3; tries++) {
    try {
      const handle = await open(path, 'wx', 0o600);
      try {
        await handle.writeFile(own);
      } finally {
        await handle.close();
      }
      return () => rm(path, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const owner = await readFile(path, 'utf8').catch(() => '');
      if (await isAlive(owner)) return undefined;
      await rm(path, { force: true });
    }
  }
  return undefined;
}
