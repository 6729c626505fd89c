import { createHash, createPublicKey, type KeyObject, randomUUID } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { copyFile, link, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UserError } from '../../errors.ts';
import { makeFolder } from '../../make-folder.ts';
import { isSignedBy } from '../sign/envelope.ts';
import { hashRange } from '../sign/resources.ts';
import { syncFolder } from '../write.ts';
import { type ChannelFile, type ChannelStatement, parseStatement, type SignedStatement } from './statement.ts';

/** What may name a channel: it becomes a file name and a part of an address. */
export function requireChannel(name: string): string {
  if (/^[a-z0-9][a-z0-9-]{0,63}$/.test(name)) return name;
  throw new UserError('channel-name', `"${name}" cannot name a channel; use small letters, digits and "-".`);
}

/** `channels/<channel>.json`, which devices read. */
export function channelPlace(folder: string, channel: string): string {
  return join(folder, 'channels', `${channel}.json`);
}

function historyFolder(folder: string, channel: string): string {
  return join(folder, 'channels', channel);
}

/** Every statement that the channel has made, the oldest first. Empty where there is none yet. */
export async function history(folder: string, channel: string): Promise<ChannelStatement[]> {
  return (await signedHistory(folder, channel)).map(({ statement }) => statement);
}

/**
 * The same, to be signed again: only what `key` has signed itself, for whoever can write into the folder (a web server's) could else put
 * an offer of his own under it.
 * @throws UserError `channel-signature` where the newest statement is by another
 */
export async function ownHistory(folder: string, channel: string, key: KeyObject): Promise<ChannelStatement[]> {
  const past = await signedHistory(folder, channel);
  const own = past.filter(({ file }) => isSignedBy(file, createPublicKey(key)));
  const last = past.at(-1);
  if (last && own.at(-1) !== last)
    throw new UserError(
      'channel-signature',
      `Statement ${last.statement.predicate.sequence} of channel ${channel} is not signed with the key that was given, so what it offers is not signed again; give the key that signed it, or publish a bundle.`,
    );
  return own.map(({ statement }) => statement);
}

/**
 * The same, for a bundle that is to follow it: its number comes after all of them, those of a key before this one too. What another has put
 * there must not let numbers jump: devices take nothing below the highest that they have seen, and beyond 2^53 no number follows.
 * @throws UserError `channel-signature`
 */
export async function historyToFollow(folder: string, channel: string, key: KeyObject): Promise<ChannelStatement[]> {
  const past = await signedHistory(folder, channel);
  let before = 0;
  for (const { file, statement } of past) {
    const { sequence } = statement.predicate;
    if (sequence > before + mostMissing && !isSignedBy(file, createPublicKey(key)))
      throw new UserError(
        'channel-signature',
        `Statement ${sequence} of channel ${channel} comes after ${before === 0 ? 'none' : `statement ${before}`}, and is not signed with the key that was given, so no number is counted on from it; if it is not yours, take it out of ${historyFolder(folder, channel)}.`,
      );
    before = sequence;
  }
  return past.map(({ statement }) => statement);
}

/** Statements that may have been tidied away. */
const mostMissing = 1000;

async function signedHistory(folder: string, channel: string): Promise<SignedStatement[]> {
  const place = historyFolder(folder, channel);
  const names = await readdir(place).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const statements: SignedStatement[] = [];
  for (const name of names.filter((one) => /^\d+\.json$/.test(one)).sort()) {
    const path = join(place, name);
    const signed = parseStatement(await readFile(path, 'utf8'), path);
    const { channel: of } = signed.statement.predicate;
    // Signed with the same key maybe, and still not offered here.
    if (of !== channel)
      throw new UserError('channel-file', `${path} is a statement of channel ${of}, not of ${channel}; take it out.`);
    statements.push(signed);
  }
  return statements.sort((a, b) => a.statement.predicate.sequence - b.statement.predicate.sequence);
}

/** Names of the channels that have a statement. */
export async function channelsIn(folder: string): Promise<string[]> {
  const names = await readdir(join(folder, 'channels')).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -5))
    .sort();
}

/** A name for half a file that no other publisher has: process numbers are the same in every container. */
const partOf = (place: string): string => `${place}.tmp-${randomUUID()}`;

/** Takes away what publishers that were killed left behind, and none that is at work: a part grows, so its time is that of its last byte. */
export async function dropOldParts(folder: string, now: number): Promise<void> {
  const blobs = join(folder, 'blobs');
  const names = await readdir(blobs).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const name of names.filter((one) => one.includes('.tmp'))) {
    const { mtimeMs } = await stat(join(blobs, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return { mtimeMs: now };
      throw error;
    });
    if (now - mtimeMs > 86_400_000) await rm(join(blobs, name), { force: true });
  }
}

/** Puts a file of a bundle under its digest, whole or not at all; in the place of one that is damaged. @throws UserError when it is no longer the file of the bundle. */
export async function putBlob(folder: string, source: string, { bytes, sha256, path }: ChannelFile): Promise<boolean> {
  const place = join(folder, 'blobs', sha256);
  const there = await stat(place).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (there?.size === bytes && (await hashRange(place, 'sha256')) === sha256) return false;
  await makeFolder(dirname(place));
  const temp = partOf(place);
  try {
    const hash = createHash('sha256');
    const handle = await open(temp, 'wx', 0o644);
    try {
      for await (const chunk of createReadStream(source, { highWaterMark: 1 << 20 })) {
        hash.update(chunk as Uint8Array);
        await handle.writeFile(chunk as Uint8Array);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (hash.digest('hex') !== sha256)
      throw new UserError('channel-bundle', `${path} changed while it was being published.`);
    await rename(temp, place);
  } finally {
    await rm(temp, { force: true });
  }
  return true;
}

/**
 * Makes a statement the channel's newest: into its history first, where a number can be taken once only, then in front. It takes its number
 * when it is whole: half of one there would be read by every later command.
 * @throws UserError `channel-busy` when another publisher took that number
 */
export async function putStatement(folder: string, statement: ChannelStatement, text: string): Promise<void> {
  const { channel, sequence } = statement.predicate;
  const past = historyFolder(folder, channel);
  await makeFolder(past);
  const own = join(past, `${String(sequence).padStart(6, '0')}.json`);
  const temp = partOf(own);
  try {
    await writeSynced(temp, text);
    await takeName(temp, own);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new UserError('channel-busy', `Statement ${sequence} of ${channel} was made by someone else meanwhile.`, {
      cause,
    });
  } finally {
    await rm(temp, { force: true });
  }
  await syncFolder(past);
  await replaceFile(channelPlace(folder, channel), text);
}

/** @throws the system's error, EEXIST where the name is taken */
async function takeName(temp: string, own: string): Promise<void> {
  try {
    await link(temp, own);
  } catch (error) {
    // File systems without hard links (exFAT, some network drives) say it in one of these ways.
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL'].includes(code)) throw error;
    await copyFile(temp, own, constants.COPYFILE_EXCL);
  }
}

/** Replaces a small file atomically. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await makeFolder(dirname(path));
  const temp = partOf(path);
  try {
    await writeSynced(temp, text);
    await rename(temp, path);
  } finally {
    await rm(temp, { force: true });
  }
  await syncFolder(dirname(path));
}

async function writeSynced(path: string, text: string): Promise<void> {
  const handle = await open(path, 'wx', 0o644);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
