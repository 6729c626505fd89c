import { messageOf, ModelError } from './errors.js';
import { sha256 } from './sha256.js';

function abortable(error, signal) {
  if (signal?.aborted) return new ModelError('cancelled', 'Loading was cancelled.', { cause: error });
  return error;
}

/** The body of a response, which must have exactly `size` bytes. */
async function readBody(response, url, size, onBytes) {
  const bytes = new Uint8Array(size);
  let at = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length > size) {
      await reader.cancel();
      throw new ModelError('integrity', `${url} is longer than the ${size} bytes it should have.`);
    }
    bytes.set(value, at);
    at += value.length;
    onBytes(at);
  }
  if (at !== size) throw new ModelError('integrity', `${url} has ${at} bytes instead of ${size}.`);
  return bytes;
}

/** A response with a 2xx status. */
export async function fetchOk(url, { cache, signal }) {
  let response;
  try {
    response = await fetch(url, { cache, signal });
  } catch (error) {
    throw abortable(new ModelError('network', `Cannot download ${url}: ${messageOf(error)}.`, { cause: error }), signal);
  }
  if (!response.ok) throw new ModelError('network', `Cannot download ${url}: the server answers ${response.status}.`);
  return response;
}

async function fetchOnce(url, file, { cache, signal, onBytes }) {
  const response = await fetchOk(url, { cache, signal });
  let bytes;
  try {
    bytes = await readBody(response, url, file.bytes, onBytes);
  } catch (error) {
    if (error instanceof ModelError) throw error;
    throw abortable(new ModelError('network', `${url} broke off: ${messageOf(error)}.`, { cause: error }), signal);
  }
  if ((await sha256(bytes)) !== file.sha256) {
    throw new ModelError('integrity', `${url} is damaged: its SHA-256 is not the one in model.json.`);
  }
  return bytes;
}

/**
 * Downloads a file and gives its bytes only if size and SHA-256 are what model.json says. A copy that is damaged, or stale in
 * a cache, is fetched once more past the cache.
 * @param file { url, bytes, sha256 } with `url` relative to `base`
 */
export async function download(base, file, { signal, onBytes = () => {} } = {}) {
  const url = new URL(file.url, base);
  // The digest in the query keeps caches from handing out an older model under the same name.
  url.searchParams.set('v', file.sha256.slice(0, 12));
  try {
    return await fetchOnce(url, file, { cache: 'default', signal, onBytes });
  } catch (error) {
    if (error.code !== 'integrity') throw error;
    return fetchOnce(url, file, { cache: 'reload', signal, onBytes });
  }
}
