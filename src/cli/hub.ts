import { existsSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import { makeFolder } from '../make-folder.ts';
import type { Session } from './command.ts';
import { hubFiles, onnxAmong, usualFiles } from './hub-files.ts';

/** A repository on the hub, and the file that is meant where one is named. */
export interface HubName {
  /** `owner/name` */
  readonly id: string;
  /** `onnx/decoder_model_q4.onnx`; undefined: the repository's model. */
  readonly file: string | undefined;
}

/** `owner/name`, the way the hub writes it, or `owner/name/path/to/file.onnx`; undefined for all else. */
export function hubName(text: string): HubName | undefined {
  const segments = text.split('/');
  const [owner = '', name = '', ...path] = segments;
  const isName = segments.every((segment) => /^\w[\w.-]*$/.test(segment)) && /^[A-Za-z0-9].*\/[A-Za-z0-9]/.test(text);
  if (!isName || name === '' || (path.length === 0) === text.endsWith('.onnx')) return undefined;
  return { id: `${owner}/${name}`, file: path.length === 0 ? undefined : path.join('/') };
}

/**
 * Fetches a model into the user's cache, once: one file, or all that make it up, with their external data, tokenizer and configuration.
 * HF_ENDPOINT names another hub and HF_TOKEN opens private models, as in Hugging Face's own tools.
 * @returns the local folder, or the .onnx file that is named
 * @throws UserError when the hub cannot be reached or has no such ONNX file
 */
export async function fetchFromHub({ id, file }: HubName, session: Session): Promise<string> {
  const { env } = session.io;
  const [owner = '', name = ''] = id.split('/');
  const root = join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'mlpack', 'hub', owner);
  // A folder of single files never passes for the whole model.
  const cache = join(root, file === undefined ? name : `${name}@files`);
  const found = file === undefined ? cache : join(cache, file);
  if (existsSync(found)) return found;
  const part = `${cache}.part-${process.pid}`;
  session.io.scratch.add(part);
  try {
    const names = await download({ id, file }, part, session);
    await makeFolder(dirname(cache));
    if (existsSync(cache)) await moveInto(cache, part, names);
    else await rename(part, cache);
  } finally {
    await rm(part, { recursive: true, force: true });
    session.io.scratch.delete(part);
  }
  return found;
}

/** Models go last: one that is there has its data. */
async function moveInto(cache: string, part: string, names: readonly string[]): Promise<void> {
  for (const name of [...names].reverse()) {
    await makeFolder(dirname(join(cache, name)));
    await rename(join(part, name), join(cache, name));
  }
}

/** @returns the names of what was fetched, models first */
async function download({ id, file }: HubName, folder: string, session: Session): Promise<string[]> {
  const { env, signal } = session.io;
  const hub = (env.HF_ENDPOINT ?? 'https://huggingface.co').replace(/\/+$/, '');
  const listed = await list(`${hub}/api/models/${id}`, id, session);
  const names = listed ? hubFiles(listed, file) : usualFiles(file);
  if (listed && names.length === 0) throw noModel({ id, file }, onnxAmong(listed));
  const fetched: string[] = [];
  for (const name of names) {
    session.talk.progress(`fetch ${id}`, name);
    const url = `${hub}/${id}/resolve/main/${name}`;
    const response = await get(url, id, session);
    if (isDenied(response)) {
      if (!listed && name !== names[0]) continue;
      throw new UserError(
        'hub.missing',
        `"${id}" is neither a local path nor a hub model with ${name} (${url} answered ${response.status}); check the id, or set HF_TOKEN for a private model.`,
      );
    }
    if (!response.ok) throw failed(url, response);
    const place = join(folder, name);
    await makeFolder(dirname(place));
    await store(response, place, url, signal);
    fetched.push(name);
  }
  return fetched;
}

/** Names of all files of a repository; undefined where this hub has no such list (a mirror of plain files). */
async function list(url: string, id: string, session: Session): Promise<string[] | undefined> {
  const response = await get(url, id, session);
  if (isDenied(response)) return undefined;
  if (!response.ok) throw failed(url, response);
  const info = (await response.json().catch(() => undefined)) as { siblings?: unknown } | null | undefined;
  if (!Array.isArray(info?.siblings)) return undefined;
  const names = info.siblings.map((one: { rfilename?: unknown } | null) => one?.rfilename);
  return names.filter((name): name is string => typeof name === 'string');
}

function isDenied({ status }: Response): boolean {
  return status === 404 || status === 401 || status === 403;
}

function failed(url: string, { status }: Response): UserError {
  return new UserError('hub.failed', `${url} answered ${status}; try again later.`);
}

/** Names shown of a repository that has others. */
const shownNames = 6;

function noModel({ id, file }: HubName, others: readonly string[]): UserError {
  const shown = others.slice(0, shownNames).map((name) => `${id}/${name}`);
  const more = others.length > shownNames ? ` and ${others.length - shownNames} more` : '';
  const advice =
    others.length === 0
      ? 'has no ONNX file; export it to ONNX first, or look for a repository that has one.'
      : `has no ${file ?? 'model.onnx'}, but ${shown.join(', ')}${more}; name one of them.`;
  return new UserError('hub.missing', `the hub's "${id}" ${advice}`);
}

async function store(response: Response, place: string, url: string, signal: AbortSignal): Promise<void> {
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

async function get(url: string, id: string, session: Session): Promise<Response> {
  const { env, signal } = session.io;
  try {
    return await fetch(url, { signal, headers: env.HF_TOKEN ? { authorization: `Bearer ${env.HF_TOKEN}` } : {} });
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
