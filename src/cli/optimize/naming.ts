import { join } from 'node:path';
import { makeFolder } from '../../make-folder.ts';
import { loadModel } from '../../onnx/load.ts';
import { saveModel } from '../../onnx/save.ts';
import type { Built } from './built.ts';

/** Variants of transformers.js by the end of the file name that it asks for (`dtype`), the first that was built. */
const suffixes: readonly (readonly [suffix: string, variants: readonly string[]])[] = [
  ['', ['fp32', 'base']],
  ['_fp16', ['fp16']],
  // `q8`: unsigned weights where there are convolutions, as its own conversion script chose.
  ['_quantized', ['uint8', 'int8']],
  ['_int8', ['int8']],
  ['_uint8', ['uint8']],
  ['_q4', ['int4']],
  ['_q4f16', ['q4f16']],
  ['_bnb4', ['bnb4']],
];

/** What is built for transformers.js when nobody asks for others. */
export const transformersVariants = ['base', 'fp32', 'fp16', 'int8', 'uint8', 'int4', 'q4f16', 'bnb4'] as const;

/** Writes onnx/model*.onnx, or with the name of the part that the model is (onnx/encoder_model*.onnx). @returns sentences about files that there are none of. */
export async function writeTransformersNames(built: readonly Built[], folder: string, part: string): Promise<string[]> {
  const missing: string[] = [];
  const dir = join(folder, 'onnx');
  await makeFolder(dir);
  for (const [suffix, variants] of suffixes) {
    const known = built.filter(({ name }) => variants.includes(name));
    const one = variants.flatMap((name) => known.find((other) => other.name === name && other.path) ?? [])[0];
    const file = `${part}${suffix}.onnx`;
    if (one?.path) {
      // Read and written again: names of external data stand inside the file.
      await saveModel(await loadModel(one.path), join(dir, file), { dataName: `${file}_data` });
    } else if (known.length > 0)
      missing.push(`no onnx/${file}: ${known.flatMap(({ blockers }) => blockers)[0] ?? 'it could not be built'}`);
  }
  return missing;
}
