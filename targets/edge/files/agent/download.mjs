/** Files by their digest, resumed where a connection broke. Nothing is believed before its hash is right. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Refused } from './refused.mjs';

export async function hashFile(path) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return hash.digest('hex');
}

async function sizeOf(path) {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (error.code === 'ENOENT') return 0;
    throw error;
  }
}

/** A request that ends when nothing has come for `stallMs`. */
async function request(url, headers, stallMs) {
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(new Error(`nothing came for ${stallMs} ms`)), stallMs);
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(new Error(`nothing came for ${stallMs} ms`)), stallMs);
  };
  const done = () => {
    clearTimeout(timer);
    stop.abort();
  };
  try {
    const response = await fetch(url, { headers, signal: stop.signal });
    alive();
    return { response, alive, done };
  } catch (error) {
    done();
    throw error;
  }
}

/** A small text. @throws Refused `format` beyond `limit` bytes, Error for what another try may cure */
export async function fetchText(url, { limit = 2 ** 22, stallMs = 30_000 } = {}) {
  const { response, alive, done } = await request(url, { 'cache-control': 'no-cache' }, stallMs);
  try {
    if (response.status !== 200) throw new Error(`${url} answers ${response.status}`);
    const chunks = [];
    let bytes = 0;
    for await (const chunk of response.body) {
      alive();
      bytes += chunk.length;
      if (bytes > limit) throw new Refused('format', `${url} has more than ${limit} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  } finally {
    done();
  }
}

/** Ranges count the bytes of the file, not of a packed form of it. */
const plain = { 'accept-encoding': 'identity' };

/**
 * An answer that has come to its end, and of which no more will come, must be all of the file: a page to log in at, or a file that was put on the server
 * half, would be asked for without end.
 * @throws Refused `hash` where it is not; Error where another connection may have the rest
 */
function requireAll(url, { at, bytes, response, resumed }) {
  if (at === bytes) return;
  const { headers } = response;
  // An answer that only the end of its connection ends may have been cut.
  const whole = headers.get('content-length') ?? (headers.has('transfer-encoding') ? at : undefined);
  const total = resumed ? headers.get('content-range')?.split('/')[1] : whole;
  if (total !== undefined && Number(total) < bytes)
    throw new Refused('hash', `${url} has ${total} bytes, less than the ${bytes} that were announced`);
  throw new Error(`${url} ends after ${at} of ${bytes} bytes`);
}

/** One connection's worth of a file, appended to what is there. */
async function fetchPart(url, part, bytes, stallMs) {
  const have = await sizeOf(part);
  const { response, alive, done } = await request(
    url,
    have > 0 ? { ...plain, range: `bytes=${have}-` } : plain,
    stallMs,
  );
  try {
    const resumed = response.status === 206 && response.headers.get('content-range')?.startsWith(`bytes ${have}-`);
    if (!resumed && response.status !== 200) {
      // What lies here is no beginning of the file: begin anew.
      if (response.status === 416 || response.status === 206) await rm(part, { force: true });
      throw new Error(`${url} answers ${response.status}`);
    }
    const handle = await open(part, resumed ? 'a' : 'w', 0o600);
    try {
      let at = resumed ? have : 0;
      for await (const chunk of response.body) {
        alive();
        at += chunk.length;
        if (at > bytes) throw new Refused('hash', `${url} has more than the ${bytes} bytes that were announced`);
        await handle.writeFile(chunk);
      }
      await handle.sync();
      requireAll(url, { at, bytes, response, resumed });
    } finally {
      await handle.close();
    }
  } finally {
    done();
  }
}

/**
 * Brings a file of known size and digest to `part`. A connection that breaks is taken up again where it broke, `tries` times without getting further than
 * before.
 * @throws Refused `hash` when what the server has is not the file; Error when it cannot be reached
 */
export async function download(url, part, { bytes, sha256 }, { stallMs = 30_000, tries = 5, pauseMs = 500 } = {}) {
  let furthest = await sizeOf(part);
  for (let failures = 0; ; ) {
    const before = await sizeOf(part);
    if (before > bytes) await rm(part, { force: true });
    if (before === bytes && (bytes > 0 || failures > 0)) break;
    try {
      await fetchPart(url, part, bytes, stallMs);
      if (bytes === 0) break;
    } catch (error) {
      if (error instanceof Refused) {
        await rm(part, { force: true });
        throw error;
      }
      // A full disk does not get better by trying again.
      if (['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EIO'].includes(error.code)) throw error;
      const now = await sizeOf(part);
      failures = now > furthest ? 0 : failures + 1;
      furthest = Math.max(furthest, now);
      if (failures >= tries) throw error;
      await sleep(pauseMs * 2 ** failures * (0.5 + Math.random()));
    }
  }
  if ((await hashFile(part)) === sha256) return;
  await rm(part, { force: true });
  throw new Refused('hash', `${url} is not the file that was announced`);
}
