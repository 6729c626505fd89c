import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Model } from '../ir/graph.ts';
import { externalFiles } from '../onnx/external-files.ts';

/** The model file and its external data files, absolute. */
export function filesOf(path: string, model: Model): string[] {
  return [path, ...externalFiles(model).map((name) => join(dirname(path), name))];
}

/** Bytes of a model on disk, external data included. */
export async function modelBytes(path: string, model: Model): Promise<number> {
  let bytes = 0;
  for (const file of filesOf(path, model)) bytes += (await stat(file)).size;
  return bytes;
}
