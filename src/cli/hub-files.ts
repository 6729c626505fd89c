import { basename, posix } from 'node:path';
import { companionNames } from './companion-names.ts';
import { openedParts, partsAmong } from './model-parts.ts';

/** A name that is safe as a path below a folder of ours: listings come from a server. */
const safeName = /^\w[\w.-]*(?:\/\w[\w.-]*)*$/;

/** Where a repository keeps the model that is meant when none is named, first come first taken. */
const whole = ['model.onnx', 'onnx/model.onnx'];

/** What is asked for where a hub gives no list, the model first: only that must be there. */
export function usualFiles(file = 'onnx/model.onnx'): string[] {
  return [file, `${file}_data`, ...companionNames];
}

/**
 * Files of a repository that make up its model: the one named, else model.onnx, else the float parts that transformers.js opens (encoder, decoder …),
 * with their external data and what says how to feed them.
 * @param listed all file names of the repository
 * @param file the .onnx file that the user names, relative to the repository
 * @returns none where the repository has no such model
 */
export function hubFiles(listed: readonly string[], file?: string): string[] {
  const names = listed.filter((name) => safeName.test(name));
  const models = modelFiles(names, file);
  if (models.length === 0) return [];
  const data = names.filter((name) => models.some((model) => isDataOf(name, model)));
  return [...models, ...data, ...companionNames.filter((name) => names.includes(name))];
}

/** Names of the .onnx files of a repository. */
export function onnxAmong(listed: readonly string[]): string[] {
  return listed.filter((name) => safeName.test(name) && name.endsWith('.onnx')).sort();
}

function modelFiles(names: readonly string[], file: string | undefined): string[] {
  if (file !== undefined) return names.includes(file) ? [file] : [];
  const one = whole.find((name) => names.includes(name));
  if (one !== undefined) return [one];
  const stems = onnxAmong(names).flatMap((name) => (posix.dirname(name) === 'onnx' ? [basename(name, '.onnx')] : []));
  return openedParts(partsAmong(stems)).map((stem) => `onnx/${stem}.onnx`);
}

/** `model.onnx_data`, `model.onnx_data_1`, `model.onnx.data`, `model.data`, as exporters name what does not fit into model.onnx. */
function isDataOf(name: string, model: string): boolean {
  if (name.endsWith('.onnx')) return false;
  const stem = model.slice(0, -'.onnx'.length);
  return (
    [`${model}_`, `${model}.`].some((start) => name.startsWith(start)) || [`${stem}.data`, `${stem}.bin`].includes(name)
  );
}
