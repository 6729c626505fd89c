/** One agent at a time on a device folder. A lock whose owner is gone is no lock. */

import { link, open, readFile, rename, rm } from 'node:fs/promises';
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

let count = 0;

/** A name beside the lock that nobody else uses. */
function beside(path) {
  return `${path}.${process.pid}-${count++}`;
}

async function writeNew(path, text) {
  const handle = await open(path, 'wx', 0o600);
  try {
    await handle.writeFile(text);
  } finally {
    await handle.close();
  }
}

/** The lock appears with its owner's name in it: one without would be taken for that of a process that is gone. @throws EEXIST where there is one */
async function create(path, own) {
  const temp = beside(path);
  try {
    await writeNew(temp, own);
    await link(temp, path);
  } catch (error) {
    // File systems without hard links (exFAT) say it in one of these ways.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL'].includes(error.code)) throw error;
    await writeNew(path, own);
  } finally {
    await rm(temp, { force: true });
  }
}

/** Takes the lock of an owner that is gone away, and no other that has come into its place meanwhile. */
async function clear(path, owner) {
  const aside = beside(path);
  try {
    await rename(path, aside);
  } catch (error) {
    if (error.code === 'ENOENT') return;
    throw error;
  }
  if ((await readFile(aside, 'utf8')) !== owner) await rename(aside, path);
  else await rm(aside);
}

/** @returns {Promise<(() => Promise<void>) | undefined>} what lets go of it; undefined where another process has it */
export async function takeLock(root) {
  const path = join(root, 'lock');
  const own = await identity(process.pid);
  for (let tries = 0; tries < 3; tries++) {
    try {
      await create(path, own);
      return () => rm(path, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const owner = await readFile(path, 'utf8').catch((why) => {
        if (why.code === 'ENOENT') return undefined;
        throw why;
      });
      if (owner === undefined) continue;
      if (await isAlive(owner)) return undefined;
      await clear(path, owner);
    }
  }
  return undefined;
}
