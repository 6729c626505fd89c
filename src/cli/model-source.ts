import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import type { Session } from './command.ts';
import { fetchFromHub, hubName } from './hub.ts';
import { onnxNames, openedParts, partNames } from './model-parts.ts';

/** Where a model came from and what stands beside it. */
export interface ModelSource {
  /** The .onnx file. */
  readonly file: string;
  /** The file as the user would name it: what was typed, and the file in it where that is a folder. */
  readonly shown: string;
  /** Folder-safe name: `digits` for models/digits/model.onnx, `resnet` for resnet.onnx. */
  readonly name: string;
  /** A dataset that belongs to the model: `eval/` or a dataset.json beside it. */
  readonly data: string | undefined;
}

/** File names tried in a model folder, in this order: ours and the Hugging Face layout. */
const candidates = ['model.onnx', 'onnx/model.onnx'];

/**
 * Finds the model that `<model>` on the command line means: an .onnx file, a folder (ours or in the Hugging Face
 * layout), or a hub id, alone or with an .onnx file of it, which is fetched into the user's cache.
 * @throws UserError when there is none, or more than one file could be meant.
 */
export async function resolveModel(text: string, session: Session): Promise<ModelSource> {
  if (text === '') throw new UserError('model.none', 'which model? The name given is empty.');
  const path = resolve(session.io.cwd, text);
  if (!existsSync(path)) {
    const remote = await fromHub(text, session);
    if (remote !== undefined) return resolveModel(remote, session);
    throw new UserError(
      'model.missing',
      `there is no model at "${text}"; give an .onnx file, a model folder or a hub id (owner/name).`,
    );
  }
  const found = statSync(path);
  if (!found.isDirectory()) {
    // Opening a pipe would wait for ever.
    if (!found.isFile()) throw new UserError('model.kind', `"${text}" is no regular file; give the .onnx file itself.`);
    const stem = basename(path).replace(/\.onnx$/i, '');
    const name = stem === 'model' ? folderName(dirname(path)) : stem;
    return { file: path, shown: text, name: safeName(name), data: datasetNear(dirname(path)) };
  }
  const inside = candidates.find((name) => existsSync(join(path, name)));
  if (inside === undefined) {
    const others = ['onnx', '.'].flatMap((place) =>
      onnxNames(join(path, place)).map((name) => join(place, `${name}.onnx`)),
    );
    throw new UserError(
      'model.folder',
      `the folder "${text}" holds no ${candidates.join(' or ')}${others.length === 0 ? '' : `, but ${listed(others)}`}; name the .onnx file itself${partNames(path).length > 1 ? ' (bundle --target transformers-js takes such a folder whole)' : ''}.`,
    );
  }
  return {
    file: join(path, inside),
    shown: join(text, inside),
    name: safeName(basename(path)),
    data: datasetNear(path),
  };
}

/** The local place of what the hub has by that name; undefined for what is a path here, though one where nothing is. */
async function fromHub(text: string, session: Session): Promise<string | undefined> {
  const name = hubName(text);
  const [first = ''] = text.split('/');
  const isHere = name?.file !== undefined && existsSync(resolve(session.io.cwd, first));
  return name === undefined || isHere ? undefined : await fetchFromHub(name, session);
}

/** Names shown where a folder holds many files. */
const shownNames = 6;

function listed(names: readonly string[]): string {
  return `${names.slice(0, shownNames).join(', ')}${names.length > shownNames ? ` and ${names.length - shownNames} more` : ''}`;
}

/**
 * All files that make up the model of a folder in the Hugging Face layout (encoder, decoder …) and that transformers.js opens; else the one model
 * that `<model>` means.
 * @throws UserError as `resolveModel`
 */
export async function resolveParts(text: string, session: Session): Promise<ModelSource[]> {
  const given = resolve(session.io.cwd, text);
  const path = text === '' || existsSync(given) ? given : ((await fromHub(text, session)) ?? given);
  const isFolder = text !== '' && existsSync(path) && statSync(path).isDirectory();
  const names = isFolder && !existsSync(join(path, 'model.onnx')) ? openedParts(partNames(path)) : [];
  if (names.length === 0) return [await resolveModel(path === given ? text : path, session)];
  const name = safeName(basename(path));
  return names.map((part) => ({
    file: join(path, 'onnx', `${part}.onnx`),
    shown: join(text, 'onnx', `${part}.onnx`),
    name,
    data: datasetNear(path),
  }));
}

/** `onnx/model.onnx` belongs to the folder above `onnx`. */
function folderName(folder: string): string {
  const name = basename(folder);
  return name === 'onnx' ? basename(dirname(folder)) : name || 'model';
}

function datasetNear(folder: string): string | undefined {
  const base = basename(folder) === 'onnx' ? dirname(folder) : folder;
  return [join(base, 'eval'), base].find((place) => existsSync(join(place, 'dataset.json')));
}

function safeName(text: string): string {
  return text.replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[.-]+/, '') || 'model';
}
