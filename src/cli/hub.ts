import { existsSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import { makeFolder } from '../make-folder.ts';
import type { Session } from './command.ts';

const files = [
  { name: 'config.json', required: false },
  { name: 'tokenizer.json', required: false },
  { name: 'tokenizer_config.json', required: false },
  { name: 'preprocessor_config.json', required: false },
  { name: 'onnx/model.onnx', required: true },
  { name: 'onnx/model.onnx_data', required: false },
];

/** `owner/name`, the way the hub writes it. */
export function looksLikeHubId(text: string): boolean {
  return /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/.test(text) && !text.endsWith('.onnx');
}

/**
 * Fetches a model in the Hugging Face layout into the user's cache, once.
 * HF_ENDPOINT names another hub and HF_TOKEN opens private models, as in Hugging Face's own tools.
 * @returns the local folder. @throws UserError when the hub cannot be reached or has no ONNX file for the id.
 */
export async function fetchFromHub(id: string, session: Session): Promise<string> {
  const { env } = session.io;
  const hub = (env.HF_ENDPOINT ?? 'https://huggingface.co').replace(/\/+$/, '');
  const cache = join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'mlpack', 'hub', ...id.split('/'));
  if (existsSync(join(cache, 'onnx', 'model.onnx'))) return cache;
  const part = `${cache}.part-${process.pid}`;
  session.io.scratch.add(part);
  try {
    for (const file of files) {
      session.talk.progress(`fetch ${id}`, file.name);
      const url = `${hub}/${id}/resolve/main/${file.name}`;
      const response = await get(url, env.HF_TOKEN, session.io.signal, id);
      if (response.status === 404 || response.status === 401 || response.status === 403) {
        if (!file.required) continue;
        throw new UserError(
          'hub.missing',
          `"${id}" is neither a local path nor a hub model with ${file.name} (${url} answered ${response.status}); check the id, or set HF_TOKEN for a private model.`,
        );
      }
      if (!response.ok) throw new UserError('hub.failed', `${url} answered ${response.status}; try again later.`);
      const place = join(part, file.name);
      await makeFolder(dirname(place));
      await download(response, place, url, session.io.signal);
    }
    await makeFolder(dirname(cache));
    await rename(part, cache);
  } finally {
    await rm(part, { recursive: true, force: true });
    session.io.scratch.delete(part);
  }
  return cache;
}

async function download(response: Response, place: string, url: string, signal: AbortSignal): Promise<void> {
  try {
    if (!response.body) return await writeFile(place, '');
    await writeFile(place, response.body, { signal });
    return;
  } catch (error) {
    signal.throwIfAborted();
    // A full disk names a path and is told as such; what is left is a connection that broke.
    if (error instanceof Error && 'path' in error) throw error;
    throw new UserError('hub.broken', `the download of ${url} broke off; try again.`, { cause: error });
  }
}

async function get(url: string, token: string | undefined, signal: AbortSignal, id: string): Promise<Response> {
  try {
    return await fetch(url, { signal, headers: token ? { authorization: `Bearer ${token}` } : {} });
  } catch (error) {
    signal.throwIfAborted();
    throw new UserError(
      'hub.unreachable',
      `"${id}" is no local path, and the hub cannot be reached (${url}); give a local model.`,
      {
        cause: error,
      },
    );
  }
}
