import { messageOf, ModelError } from './errors.js';
import { sha256 } from './sha256.js';

/** A connection that gives nothing for so long is taken for lost. */
const stallMs = 30_000;

/** Waits between attempts that bring nothing new; any byte that arrives starts the count anew. */
const waitsMs = [500, 1500, 4000];

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(cancelled());
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

const cancelled = () => new ModelError('cancelled', 'Loading was cancelled.');

/** A response with a 2xx status. @param init of fetch */
export async function fetchOk(url, { signal, ...init }) {
  let response;
  try {
    response = await fetch(url, { signal, ...init });
  } catch (error) {
    if (signal?.aborted) throw cancelled();
    throw new ModelError('network', `Cannot download ${url}: ${messageOf(error)}.`, { cause: error });
  }
  if (response.ok) return response;
  await response.body?.cancel();
  throw Object.assign(new ModelError('network', `Cannot download ${url}: the server answers ${response.status}.`), {
    // Asking again does not help against what is missing or forbidden.
    final: response.status >= 400 && response.status < 500 && ![408, 425, 429].includes(response.status),
  });
}

/** Rejects when nothing arrives for `stallMs`. */
function readOrStall(reader, url) {
  let timer;
  const stalled = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new ModelError('network', `${url} has stopped arriving.`)), stallMs);
  });
  return Promise.race([reader.read(), stalled]).finally(() => clearTimeout(timer));
}

/**
 * Whether the gzip form of a file is what to fetch: not where the host compresses by itself, which the browser then undoes unseen.
 * Hosts that do not say so when asked for the head alone (nginx) hand out the gzip form, which is about what they would have made.
 */
async function wantsPacked(url, signal) {
  if (typeof DecompressionStream !== 'function') return false;
  try {
    const head = await fetch(url, { method: 'HEAD', signal });
    return !(head.ok && head.headers.get('Content-Encoding'));
  } catch {
    if (signal?.aborted) throw cancelled();
    return true;
  }
}

/** Calls `onChunk` with bytes [from, to) of an address, in order. Servers that know no ranges send all of it: the rest is passed over. */
async function streamOnce(url, from, to, size, { signal, cache, onChunk, packed }) {
  const whole = from === 0 && to === size;
  const headers = whole ? undefined : { Range: `bytes=${from}-${to - 1}` };
  const response = await fetchOk(packed ?? url, { signal, cache, headers });
  const start = response.status === 206 ? from : 0;
  let skip = from - start;
  let left = to - from;
  const body = packed ? response.body.pipeThrough(new DecompressionStream('gzip')) : response.body;
  const reader = body.getReader();
  try {
    while (left > 0) {
      const { done, value } = await readOrStall(reader, url);
      if (done) break;
      const passed = Math.min(skip, value.length);
      skip -= passed;
      const chunk = value.subarray(passed, passed + left);
      left -= chunk.length;
      if (chunk.length > 0) onChunk(chunk);
    }
    const more = left === 0 && whole && !(await readOrStall(reader, url)).done;
    if (more) throw new ModelError('integrity', `${url} is longer than the ${size} bytes it should have.`);
  } finally {
    // Frees the connection where the rest is not wanted.
    reader.cancel().catch(() => {});
  }
  if (left > 0) throw new ModelError('network', `${url} broke off: it has ${to - left} bytes instead of ${to}.`);
}

/** The same, going on from where a connection broke. */
async function stream(url, from, to, size, options) {
  let at = from;
  const onChunk = (chunk) => {
    options.onChunk(chunk, at);
    at += chunk.length;
  };
  let packed = options.packed && (await wantsPacked(url, options.signal)) ? options.packed : undefined;
  for (let failures = 0; ; failures++) {
    const before = at;
    try {
      return await streamOnce(url, at, to, size, { ...options, onChunk, packed });
    } catch (error) {
      if (options.signal?.aborted) throw cancelled();
      if (packed) {
        // Missing, cut off or damaged: the file itself has the rest.
        packed = undefined;
        failures = -1;
        continue;
      }
      if (error.code === 'integrity' || error.final) throw error;
      if (at > before) failures = 0;
      const wait = waitsMs[failures];
      if (wait === undefined) {
        throw error instanceof ModelError
          ? error
          : new ModelError('network', `${url} broke off: ${messageOf(error)}.`, { cause: error });
      }
      await pause(wait, options.signal);
    }
  }
}

/** Where the parts of a file lie: { hash, from, to } in the file, and { url, at, size, packed? } in the piece that has it. */
function layOut(base, file) {
  const parts = file.parts.map((hash, n) => ({
    hash,
    from: n * file.partBytes,
    to: Math.min(file.bytes, (n + 1) * file.partBytes),
  }));
  let before = 0;
  const addressOf = (url) => {
    const address = new URL(url, base);
    // The digest in the query keeps caches from handing out an older model under the same name.
    address.searchParams.set('v', file.sha256.slice(0, 12));
    return address.href;
  };
  for (const { url, bytes, packed } of file.pieces) {
    const piece = { url: addressOf(url), size: bytes, packed: packed && addressOf(packed.url) };
    for (const part of parts) {
      if (part.from >= before && part.to <= before + bytes) Object.assign(part, piece, { at: part.from - before });
    }
    before += bytes;
  }
  return parts;
}

/** Consecutive parts of one address that have to be fetched. */
function runsOf(parts) {
  const runs = [];
  for (const part of parts) {
    const last = runs.at(-1)?.at(-1);
    if (last && last.url === part.url && last.to === part.from) runs.at(-1).push(part);
    else runs.push([part]);
  }
  return runs;
}

/**
 * Downloads a file in verified parts. Parts that were kept are not fetched again; each new one is verified as it arrives and
 * kept at once, so that a download that breaks off goes on later. A part that is damaged is fetched once more past all caches.
 * @param file { name, bytes, sha256, partBytes, parts, pieces } of model.json
 * @param store see store.js
 * @param keep names to keep in the store when room is needed
 * @param asBlob gives a Blob, which need not be in memory, instead of bytes
 * @param onBytes called with the bytes that are there
 */
export async function download(base, file, { store, keep, signal, asBlob = false, onBytes = () => {} }) {
  const bytes = asBlob ? undefined : new Uint8Array(file.bytes);
  const blobs = [];
  let loaded = 0;
  const take = (part, data) => {
    loaded += part.to - part.from;
    onBytes(loaded);
    if (asBlob) blobs[file.parts.indexOf(part.hash, Math.floor(part.from / file.partBytes))] = new Blob([data]);
    else if (data.buffer !== bytes.buffer) bytes.set(data, part.from);
  };
  const missing = [];
  for (const part of layOut(base, file)) {
    const blob = await store.get(part.hash);
    const data = blob && new Uint8Array(await blob.arrayBuffer());
    if (signal?.aborted) throw cancelled();
    if (data && data.length === part.to - part.from && (await sha256(data)) === part.hash) take(part, data);
    else missing.push(part);
  }
  for (const run of runsOf(missing)) await fetchRun(run, { file, bytes, store, keep, signal, take });
  return asBlob ? new Blob(blobs) : bytes;
}

/** Streams a run of parts; verifies and keeps each while the next arrives. */
async function fetchRun(run, { file, bytes, store, keep, signal, take }) {
  const first = run[0];
  const last = run.at(-1);
  let n = 0;
  let work = Promise.resolve();
  let failure;
  let buffer = bufferFor(run[0], bytes);
  let filled = 0;
  const finish = (part, data) => {
    work = work
      .then(() => settle(part, data, { file, signal }))
      .then(async (good) => {
        take(part, good);
        await store.put(part.hash, good, keep);
      })
      .catch((error) => {
        failure ??= error;
      });
  };
  const onChunk = (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      const room = Math.min(buffer.length - filled, chunk.length - at);
      buffer.set(chunk.subarray(at, at + room), filled);
      filled += room;
      at += room;
      if (filled < buffer.length) continue;
      finish(run[n++], buffer);
      filled = 0;
      if (n < run.length) buffer = bufferFor(run[n], bytes);
    }
  };
  const to = last.at + last.to - last.from;
  try {
    const packed = first.at === 0 && to === first.size ? first.packed : undefined;
    await stream(first.url, first.at, to, first.size, { signal, cache: 'default', onChunk, packed });
  } finally {
    await work;
  }
  if (failure) throw failure;
}

/** In place, where the file is made in memory. */
function bufferFor({ from, to }, bytes) {
  return bytes ? bytes.subarray(from, to) : new Uint8Array(to - from);
}

/** The part's bytes, verified; fetched again once where they are damaged. */
async function settle(part, data, { file, signal }) {
  if ((await sha256(data)) === part.hash) return data;
  let filled = 0;
  const onChunk = (chunk) => {
    data.set(chunk, filled);
    filled += chunk.length;
  };
  await stream(part.url, part.at, part.at + data.length, part.size, { signal, cache: 'reload', onChunk });
  if ((await sha256(data)) === part.hash) return data;
  throw new ModelError(
    'integrity',
    `${part.url} is damaged: its bytes ${part.at} to ${part.at + data.length} (of ${file.name}) are not those that model.json names.`,
  );
}
