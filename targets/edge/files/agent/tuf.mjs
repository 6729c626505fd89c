/** The channel's statement as a target of a TUF repository: keys can be replaced, and old metadata is refused, by the rules of TUF. Needs tuf-js. */

import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfThere, writeDurable } from './durable.mjs';
import { Refused } from './refused.mjs';

/** Errors of tuf-js that say that somebody is at work, by the names of their classes. */
const refusals = {
  UnsignedMetadataError: 'signature',
  BadVersionError: 'replayed',
  EqualVersionError: 'replayed',
  ExpiredMetadataError: 'expired',
  DownloadLengthMismatchError: 'hash',
  LengthOrHashMismatchError: 'hash',
  RepositoryError: 'signature',
  ValueError: 'format',
};

/** tuf-js writes its files in place: one that a crash left half-written is taken from the root that the device was set up with. */
async function mendRoot(dir) {
  const text = await readIfThere(join(dir, 'root.json'));
  try {
    if (text !== undefined && JSON.parse(text).signed) return;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  await writeDurable(join(dir, 'root.json'), await readFile(join(dir, 'first-root.json'), 'utf8'));
}

/** @returns {Promise<{ payload: string, record: string }>} @throws Refused */
export async function readTuf(root, config, { stallMs = 30_000 } = {}) {
  const { Updater } = await import('tuf-js');
  const metadataDir = join(root, 'tuf');
  const targetDir = join(root, 'tuf/targets');
  await mkdir(targetDir, { recursive: true });
  await mendRoot(metadataDir);
  const updater = new Updater({
    metadataDir,
    metadataBaseUrl: `${config.url}/metadata`,
    targetDir,
    targetBaseUrl: `${config.url}/targets`,
    config: { fetchTimeout: stallMs, fetchRetry: 2 },
  });
  try {
    await updater.refresh();
    const name = `${config.channel}.json`;
    const info = await updater.getTargetInfo(name);
    if (!info) throw new Refused('channel', `the repository has no target ${name}`);
    const payload = await readFile(await updater.downloadTarget(info), 'utf8');
    return { payload, record: payload };
  } catch (error) {
    const code = refusals[error.constructor?.name];
    if (code === undefined) throw error;
    throw new Refused(code, `TUF: ${error.message}`);
  }
}
