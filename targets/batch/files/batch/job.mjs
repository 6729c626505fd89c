/** Which work a folder holds: gone on with where it is the same, cleared of where it is begun anew. */

import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { modelDigest } from '../lib/model.mjs';
import { readIfThere, removeIfThere, writeWhole } from './parts.mjs';
import { pieceRows } from './tables.mjs';

/** What tells a file from its next version: size and milliseconds since 1970 of the last change. */
async function stampOf(path) {
  const found = await stat(path);
  const { size, mtimeMs } = found;
  // A pipe would be waited for, and holds nothing for whoever goes on after a crash.
  if (!found.isFile()) throw new Error(`${path} is no regular file: a job may read its input again`);
  return [size, Math.round(mtimeMs)];
}

/** What the work depends on. A folder of other work is not gone on with. */
function identity(options, stamps, manifest) {
  const files = options.files.map((path) => [basename(path), ...stamps.get(path)]);
  const { columns, keep, format, count } = options;
  const text = JSON.stringify({ files, columns, keep, format, count, pieceRows, model: modelDigest(manifest) });
  return createHash('sha256').update(text).digest('hex');
}

/** @throws where a file is no longer the one that the job began with: half of the answers would be of one table, half of another */
async function sameFiles(paths, stamps) {
  for (const path of paths) {
    const now = await stampOf(path);
    if (now.join() !== stamps.get(path).join())
      throw new Error(
        `${path} was changed while the job read it; begin anew (--restart) with a copy, or when nobody writes to it any more`,
      );
  }
}

/**
 * The shard's own record, begun anew or gone on with. Holds the batch size, on which last bits may depend.
 * @returns { id, batch, sameFiles, withdraw }; `sameFiles(paths)` throws where one of them was changed meanwhile. `withdraw` takes the record away again, for who fails before anything else is written: mended flags
 *   are other work
 * @throws where the folder holds other work
 */
export async function beginJob(options, model) {
  const path = join(options.out, `_job-${options.index}.json`);
  const stamps = new Map(await Promise.all(options.files.map(async (file) => [file, await stampOf(file)])));
  const id = identity(options, stamps, model.manifest);
  const same = (paths) => sameFiles(paths, stamps);
  if (options.restart) await clear(options, id);
  else {
    const jobs = await jobsIn(options.out);
    if ([...jobs.values()].some((one) => one.id !== id)) {
      throw new Error(
        `${options.out} holds the output of other files, another model or other flags; take another folder, or --restart`,
      );
    }
    if (jobs.has(options.index)) return { ...jobs.get(options.index), sameFiles: same, withdraw: () => undefined };
  }
  const job = { id, batch: options.batch > 0 ? options.batch : model.usefulBatch };
  await writeWhole(path, `${JSON.stringify(job)}\n`);
  return { ...job, sameFiles: same, withdraw: () => removeIfThere(path) };
}

/** Counts of a piece that this work has done; undefined where it has not. */
export async function doneBefore(path, { id }) {
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  const { id: of, rows, errors } = JSON.parse(text);
  return of === id ? { rows, errors } : undefined;
}

/** Removes the files of pieces, by the name of the piece. */
export async function removeParts(out, strange) {
  for (const file of await readdir(out)) {
    const [, name] = file.match(/^(part-\d+-\d+)\./) ?? [];
    if (name !== undefined && strange(name)) await removeIfThere(join(out, file));
  }
}

async function jobsIn(out) {
  const jobs = new Map();
  for (const name of await readdir(out)) {
    const [, index] = name.match(/^_job-(\d+)\.json$/) ?? [];
    const text = index === undefined ? undefined : await readIfThere(join(out, name));
    if (text !== undefined) jobs.set(Number(index), JSON.parse(text));
  }
  return jobs;
}

/**
 * Removes what other work and this shard have left, so that nobody takes it for this work: not a reader of the folder, and not this
 * program after a crash. Other shards of the same work may be at theirs meanwhile.
 */
async function clear({ out, index, count }, id) {
  const jobs = await jobsIn(out);
  const others = (shard) => shard !== index && shard < count && jobs.get(shard)?.id === id;
  const names = await readdir(out);
  const remove = (name) => removeIfThere(join(out, name));
  // Those first that say of others that they are whole.
  for (const name of names) {
    const [, shard] = name.match(/^_SUCCESS(?:-(\d+))?$/) ?? [];
    if (name === '_SUCCESS' || (shard !== undefined && !others(Number(shard)))) await remove(name);
  }
  for (const name of names) {
    const [, piece] = name.match(/^(part-\d+-\d+)\.done$/) ?? [];
    if (piece === undefined) continue;
    const done = JSON.parse((await readIfThere(join(out, name))) ?? '{}');
    if (done.id === id && others(done.shard)) continue;
    await remove(name);
    for (const part of names) if (part.startsWith(`${piece}.`)) await remove(part);
  }
  // What is not done may be in the works, where there are other shards.
  if (count === 1) for (const name of names) if (/^part-\d+-\d+\./.test(name)) await remove(name);
  // A shard within the count begins its own record anew.
  for (const shard of jobs.keys()) if (shard >= count) await remove(`_job-${shard}.json`);
}
