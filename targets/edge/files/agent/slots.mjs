/** The two places for a version. The one that runs is never written to. */

import { constants } from 'node:fs';
import { copyFile, lstat, mkdir, open, readdir, readFile, readlink, rm, statfs, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { download, hashFile } from './download.mjs';
import { moveInto, readIfThere, removeTree, syncFolder, writeDurable } from './durable.mjs';
import { Refused } from './refused.mjs';
import { isSafePath } from './trust.mjs';

export const releaseName = '.release.json';

/** Room that stays free beside what an update needs. */
const spareBytes = 8 * 2 ** 20;

async function sizeOf(path) {
  try {
    const info = await lstat(path);
    return info.isFile() ? info.size : -1;
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return -1;
    throw error;
  }
}

/** Whether a file is what it must be; one that the disk does not give back any more is not. */
async function isThere(path, { bytes, sha256 }) {
  try {
    return (await sizeOf(path)) === bytes && (await hashFile(path)) === sha256;
  } catch (error) {
    if (error.code === 'EIO') return false;
    throw error;
  }
}

/** Every file and link below a slot but the runtime's, relative to it. */
async function listSlot(slot) {
  const found = [];
  const walk = async (under) => {
    const entries = await readdir(join(slot, under), { withFileTypes: true }).catch((error) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    for (const entry of entries) {
      const path = under === '' ? entry.name : `${under}/${entry.name}`;
      if (path === 'node_modules' || path === releaseName) continue;
      if (entry.isDirectory()) await walk(path);
      else found.push(path);
    }
  };
  await walk('');
  return found;
}

/** The runtime is shared by both slots: `runtime/node_modules`, put there when the device was set up. */
async function linkRuntime(root, slot) {
  const place = join(slot, 'node_modules');
  const wanted = '../../runtime/node_modules';
  const runtime = await lstat(join(root, 'runtime/node_modules')).catch((error) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!runtime) return;
  const there = await readlink(place).catch((error) => {
    if (['ENOENT', 'EINVAL'].includes(error.code)) return undefined;
    throw error;
  });
  if (there === wanted) return;
  await removeTree(place);
  await symlink(wanted, place);
}

async function requireRoom(root, files, slot, downloads) {
  let needed = 0;
  for (const file of files) {
    if (await isThere(join(slot, file.path), file)) continue;
    needed += file.bytes - Math.max(0, await sizeOf(join(downloads, `${file.sha256}.part`)));
  }
  const { bavail, bsize } = await statfs(root);
  if (needed > 0 && bavail * bsize < needed + spareBytes)
    throw new Refused('space', `the update needs ${needed} bytes and ${bavail * bsize} are free`);
}

async function copyChecked(from, to, file) {
  await copyFile(from, to, constants.COPYFILE_FICLONE);
  const handle = await open(to, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  return isThere(to, file);
}

/**
 * Makes a slot hold exactly these files. What is there already stays, what the running slot has is copied, the rest is downloaded to `downloads/` and moved
 * here when its hash is right; so it goes on where an earlier try ended.
 * @param {{ root, slot, from, url, files, record: string, options }} what folders of the slot and of the running one, files, the signed text that announced them
 */
export async function fillSlot({ root, slot, from, url, files, record, options }) {
  const downloads = join(root, 'downloads');
  await mkdir(downloads, { recursive: true });
  await mkdir(slot, { recursive: true });
  await rm(join(slot, releaseName), { force: true });
  const wanted = new Set(files.map(({ path }) => path));
  for (const path of await listSlot(slot)) if (!wanted.has(path)) await rm(join(slot, path), { force: true });
  await requireRoom(root, files, slot, downloads);
  const folders = new Set([slot]);
  for (const file of files) {
    const place = join(slot, file.path);
    for (let up = dirname(place); up !== slot; up = dirname(up)) folders.add(up);
    if (await isThere(place, file)) continue;
    await removeTree(place);
    await mkdir(dirname(place), { recursive: true });
    const own = from === undefined ? undefined : join(from, file.path);
    if (own !== undefined && (await sizeOf(own)) === file.bytes && (await copyChecked(own, place, file))) continue;
    const part = join(downloads, `${file.sha256}.part`);
    await download(`${url}/blobs/${file.sha256}`, part, file, options);
    await moveInto(part, place);
  }
  await linkRuntime(root, slot);
  for (const folder of folders) await syncFolder(folder);
  await syncFolder(dirname(slot));
  // Last: a slot with its record is a whole one.
  await writeDurable(join(slot, releaseName), record);
}

/** What is wrong with a slot, or undefined: every file by its hash, nothing else, no links. */
export async function slotProblem(slot, files) {
  const wanted = new Map(files.map((file) => [file.path, file]));
  for (const path of await listSlot(slot)) if (!wanted.has(path)) return `${path} does not belong there`;
  for (const file of files)
    if (!(await isThere(join(slot, file.path), file))) return `${file.path} is damaged or missing`;
  return undefined;
}

/** Files of a slot by its own manifest, whose digest the state knows. @returns undefined where the manifest is another */
export async function filesOfSlot(slot, manifest) {
  const path = join(slot, 'mlpack.json');
  const text = await readIfThere(path);
  if (text === undefined || (await hashFile(path)) !== manifest) return undefined;
  const { files } = JSON.parse(text);
  const rows = files.filter((row) => isSafePath(row.path));
  if (rows.length !== files.length) return undefined;
  const own = [{ path: 'mlpack.json', bytes: Buffer.byteLength(text), sha256: manifest }];
  // Sums and signature are made of the manifest, which does not name them.
  for (const name of ['SHA256SUMS', 'model.sig']) {
    const bytes = await sizeOf(join(slot, name));
    if (bytes >= 0) own.push({ path: name, bytes, sha256: await hashFile(join(slot, name)) });
  }
  return [...rows, ...own];
}

/** Whether the slot still holds what the state says. */
export async function isWhole(slot, manifest) {
  const files = await filesOfSlot(slot, manifest).catch((error) => {
    if (error instanceof SyntaxError || error.code === 'EIO') return undefined;
    throw error;
  });
  return files !== undefined && (await slotProblem(slot, files)) === undefined;
}

/** Versions of what a release may ask for, of this device. */
export async function runtimesOf(root) {
  const runtimes = { node: process.versions.node };
  const place = join(root, 'runtime/node_modules/onnxruntime-node/package.json');
  const text = await readIfThere(place);
  if (text !== undefined) runtimes['onnxruntime-node'] = JSON.parse(await readFile(place, 'utf8')).version;
  return runtimes;
}
