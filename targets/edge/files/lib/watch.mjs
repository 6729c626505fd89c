/**
 * A folder as a queue: what appears in `in/` is answered in `out/`, and goes to `done/` or `failed/`. Writers rename a file into `in/` when it is
 * whole; names that begin with a dot or end in .part or .tmp are left alone. What was being worked on at a crash is done again.
 */

import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RequestError } from './errors.mjs';
import { fileValues } from './files.mjs';
import { predict } from './values.mjs';

async function writeWhole(path, text) {
  await writeFile(`${path}.tmp`, text);
  await rename(`${path}.tmp`, path);
}

/** @returns whether it could be answered; undefined where its writer, or another watcher, took it away meanwhile */
async function answerFile(model, root, name) {
  const source = join(root, 'in', name);
  try {
    const lines = [];
    for (const value of fileValues(name, await readFile(source), model.info))
      lines.push(JSON.stringify(await predict(model, value)));
    await writeWhole(join(root, 'out', `${name}.jsonl`), `${lines.join('\n')}\n`);
    await rename(source, join(root, 'done', name));
    return true;
  } catch (error) {
    if (error.code === 'ENOENT' && !existsSync(source)) return undefined;
    if (!(error instanceof RequestError)) throw error;
    await writeWhole(join(root, 'failed', `${name}.error.txt`), `${error.message}\n`);
    await rename(source, join(root, 'failed', name));
    return false;
  }
}

/** Runs until the signal is aborted. @param say told of each file */
export async function watch(model, root, { pollMs, signal, say }) {
  for (const name of ['in', 'out', 'done', 'failed']) await mkdir(join(root, name), { recursive: true });
  while (!signal.aborted) {
    const entries = await readdir(join(root, 'in'), { withFileTypes: true });
    const names = entries
      .filter((entry) => entry.isFile() && !/^\.|\.(part|tmp)$/.test(entry.name))
      .map(({ name }) => name)
      .sort();
    for (const name of names) {
      if (signal.aborted) return;
      const answered = await answerFile(model, root, name);
      say(`${name}: ${answered === undefined ? 'gone' : answered ? 'answered' : 'failed'}`);
    }
    if (names.length > 0) continue;
    await sleep(pollMs, undefined, { signal }).catch((error) => {
      if (error.name !== 'AbortError') throw error;
    });
  }
}
