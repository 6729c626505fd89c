import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Ends of file names for the formats of transformers.js (targets/transformers-js/names.ts; a test holds them equal): `onnx/encoder_model_q4.onnx`. */
export const suffixes = ['_fp16', '_quantized', '_int8', '_uint8', '_q4', '_q4f16', '_bnb4'] as const;

/** Decoders of the first step and of all others, which Optimum joins into decoder_model_merged: transformers.js opens that one. */
const joined = ['decoder_model', 'decoder_with_past_model'];

/**
 * Names (without ending) of the files in `onnx/` that make up the model of a folder, as Optimum and the Hugging Face hub lay them out: encoder_model,
 * decoder_model_merged … Files that are one of them in another format are not among them, nor are other forms of model.onnx. Sorted.
 */
export function partNames(folder: string): string[] {
  return partsAmong(onnxNames(join(folder, 'onnx')));
}

/** As `partNames`, of the names (without ending) of the .onnx files in `onnx/`. */
export function partsAmong(stems: readonly string[]): string[] {
  const isFormat = (stem: string): boolean =>
    suffixes.some((suffix) => stem.endsWith(suffix) && stems.includes(stem.slice(0, -suffix.length)));
  return stems.filter((stem) => !isFormat(stem) && isPartName(stem));
}

/** Of the files that make up a model, those that transformers.js opens. */
export function openedParts(names: readonly string[]): string[] {
  return names.filter((name) => !names.includes('decoder_model_merged') || !joined.includes(name));
}

/** `encoder_model` for onnx/encoder_model.onnx, one of the files that make up a model; undefined for a model by itself. */
export function partName(file: string): string | undefined {
  const stem = basename(file, '.onnx');
  return basename(dirname(file)) === 'onnx' && stem !== 'model' && isPartName(stem) ? stem : undefined;
}

/** Files beside one of several that are it in another format: `_q4` and onnx/encoder_model_q4.onnx for onnx/encoder_model.onnx. */
export function formatsBeside(file: string): { suffix: string; file: string }[] {
  const stem = basename(file, '.onnx');
  return suffixes
    .map((suffix) => ({ suffix, file: join(dirname(file), `${stem}${suffix}.onnx`) }))
    .filter((one) => existsSync(one.file));
}

/** Names of the .onnx files of a folder, without ending, sorted; none where there is no such folder. */
export function onnxNames(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => !entry.isDirectory());
  return files.flatMap(({ name }) => (name.endsWith('.onnx') ? [basename(name, '.onnx')] : [])).sort();
}

/** What can stand in a name of a bundle, and is not model.onnx in another form (model_O3, model_qint8_avx512). */
function isPartName(stem: string): boolean {
  return /^[A-Za-z0-9][\w.-]*$/.test(stem) && !stem.startsWith('model_');
}
