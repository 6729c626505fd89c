/** What this process may use of the machine: CPUs and bytes, by the container's limits where it has any. */

import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';

/** The text of a file, or undefined where there is none (other systems, other cgroup version). */
function textOf(path) {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (['ENOENT', 'EACCES', 'ENOTDIR', 'EISDIR', 'EINVAL'].includes(error.code)) return undefined;
    throw error;
  }
}

/** Folders of the cgroup hierarchy from this process's own group up to the root: a limit may stand at any of them. */
function groupFolders(root) {
  const own = textOf(`${root}/proc/self/cgroup`)?.match(/^0::(\/.*)$/m)?.[1] ?? '/';
  const parts = own.split('/').filter((part) => part !== '' && part !== '..');
  return parts.map((_, i) => parts.slice(0, parts.length - i).join('/')).concat('');
}

function smallest(values, fallback) {
  const given = values.filter((value) => Number.isFinite(value) && value > 0);
  return given.length === 0 ? fallback : Math.min(fallback, ...given);
}

/**
 * CPUs this process may keep busy: the smallest of what the system offers and the CFS quotas above it. May be a fraction.
 * @param {string} root '' on a real system; another folder in tests
 */
export function cpuLimit(root = '', offered = availableParallelism()) {
  const quotas = groupFolders(root).map((folder) => {
    const [quota, period] = (textOf(`${root}/sys/fs/cgroup/${folder}/cpu.max`) ?? 'max 100000').split(' ').map(Number);
    return quota / period;
  });
  const v1 = Number(textOf(`${root}/sys/fs/cgroup/cpu/cpu.cfs_quota_us`) ?? Number.NaN);
  const period = Number(textOf(`${root}/sys/fs/cgroup/cpu/cpu.cfs_period_us`) ?? Number.NaN);
  return smallest([...quotas, v1 / period], offered);
}

/** Bytes this process may use. */
export function memoryLimit(root = '', offered = totalmem()) {
  const limits = groupFolders(root).map((folder) =>
    Number(textOf(`${root}/sys/fs/cgroup/${folder}/memory.max`) ?? Number.NaN),
  );
  const v1 = Number(textOf(`${root}/sys/fs/cgroup/memory/memory.limit_in_bytes`) ?? Number.NaN);
  return smallest([...limits, v1], offered);
}

/**
 * How many sessions, with how many threads each. One thread a session and as many sessions as CPUs answers most requests
 * (measured on 2 CPUs: 1127 against 1060 pictures/s of a MobileNet, 2422 against 1428 of a ResNet-20, for 2 × 1 against
 * 1 × 2); where that many copies of the model would take more than half of the memory, there are fewer with more threads.
 */
export function sessionPlan({ workers, threads }, { cpus, memory, modelBytes }) {
  const whole = Math.max(1, Math.floor(cpus));
  // A session holds the weights about twice: as loaded and packed for its kernels.
  const affordable = Math.max(1, Math.floor((memory * 0.5) / Math.max(1, modelBytes * 2)));
  const count = workers > 0 ? workers : Math.max(1, Math.min(Math.floor(whole / Math.max(1, threads)), affordable));
  return { workers: count, threads: threads > 0 ? threads : Math.max(1, Math.floor(whole / count)) };
}
