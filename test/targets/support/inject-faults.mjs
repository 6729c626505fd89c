/**
 * Loaded into an agent (`node --import`): FAULT=<kind>:<step>:<seed> makes the step-th change of the file system go wrong.
 *   kill    SIGKILL instead of it                 torn    a write stops half-way, then SIGKILL
 *   power   SIGKILL, and what was not synced is lost: data of files, and the latest names (created, renamed) of folders; at the end where it comes that far
 *   full    it and every later one that needs room fail with ENOSPC        io   it fails with EIO
 */

import { existsSync, linkSync, mkdtempSync, renameSync, rmSync, statSync, truncateSync } from 'node:fs';
import fsp from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const [kind, at, seed] = (process.env.FAULT ?? 'none:0:0').split(':');
const target = Number(at);
let step = 0;
let state = Number(seed) >>> 0;

/** Mulberry32. */
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

/** Files with data that is not on the disk yet, and names that their folders may still lose, in order. */
const dirty = new Set();
const names = [];
const attic = kind === 'power' ? mkdtempSync(join(tmpdir(), 'mlpack-attic-')) : '';

function die() {
  process.kill(process.pid, 'SIGKILL');
}

function losePower() {
  for (const path of dirty) {
    if (!existsSync(path) || !statSync(path).isFile()) continue;
    truncateSync(path, Math.floor(random() * (statSync(path).size + 1)));
  }
  // A journal keeps the order: what is lost is a tail of it.
  const lost = Math.floor(random() * (names.length + 1));
  for (const { to, from, before } of names.slice(names.length - lost).reverse()) {
    if (from === undefined) rmSync(to, { recursive: true, force: true });
    else if (existsSync(to)) {
      renameSync(to, from);
      if (before !== undefined) renameSync(before, to);
    }
  }
  rmSync(attic, { recursive: true, force: true });
  die();
}

function failure(code) {
  return Object.assign(new Error(`${code}: injected`), { code, errno: -1, syscall: 'injected' });
}

/** One change of the file system. @param {boolean} needsRoom @param {() => Promise<void>} [half] does half of it */
async function change(needsRoom, half) {
  step++;
  if (kind === 'full' && step >= target && needsRoom) throw failure('ENOSPC');
  if (step !== target) return;
  if (kind === 'io') throw failure('EIO');
  if (kind === 'kill') die();
  if (kind === 'power') losePower();
  if (kind === 'torn' && half) {
    await half();
    die();
  }
}

function watched(handle, path) {
  const { writeFile, sync } = handle;
  handle.writeFile = async (data) => {
    const bytes = Buffer.from(data);
    await change(true, () => writeFile.call(handle, bytes.subarray(0, bytes.length >> 1)));
    if (kind === 'power') dirty.add(path);
    return writeFile.call(handle, bytes);
  };
  handle.sync = async () => {
    await change(false);
    if (kind === 'power' && statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
      for (let i = names.length - 1; i >= 0; i--) if (dirname(names[i].to) === path) names.splice(i, 1);
    } else dirty.delete(path);
    return sync.call(handle);
  };
  return handle;
}

const real = { ...fsp };

function created(path) {
  if (kind === 'power' && !existsSync(path)) names.push({ to: resolve(path) });
}

fsp.open = async (path, flags, mode) => {
  const writes = typeof flags === 'string' && flags !== 'r';
  if (writes) {
    await change(true);
    created(path);
  }
  return watched(await real.open(path, flags, mode), resolve(path));
};
fsp.rename = async (from, to) => {
  await change(false);
  if (kind === 'power') {
    const [a, b] = [resolve(from), resolve(to)];
    const before = existsSync(b) ? join(attic, String(names.length + step * 1000)) : undefined;
    if (before !== undefined) linkSync(b, before);
    names.push({ to: b, from: a, before });
    if (dirty.delete(a)) dirty.add(b);
  }
  return real.rename(from, to);
};
fsp.copyFile = async (from, to, mode) => {
  await change(true);
  created(to);
  if (kind === 'power') dirty.add(resolve(to));
  return real.copyFile(from, to, mode);
};
for (const name of ['mkdir', 'symlink', 'rm']) {
  fsp[name] = async (...args) => {
    await change(name !== 'rm');
    if (name === 'mkdir') created(args[0]);
    if (name === 'symlink') created(args[1]);
    return real[name](...args);
  };
}
syncBuiltinESMExports();

process.on('exit', () => {
  if (process.env.FAULT_STEPS) process.stderr.write(`steps ${step}\n`);
  // Who says that he is done has everything on the disk.
  if (kind === 'power' && step < target) losePower();
});
