import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Model } from '../ir/graph.ts';
import { externalFiles } from '../onnx/external-files.ts';

/** The model file and its external data files, absolute. */
export function filesOf(path: string, model: Model): string[] {
  return [path, ...externalFiles(model).map((name) => join(dirname(path), name))];
}

/** Bytes of a model on disk, external data included. */
export function modelBytes(path: string, model: Model): number {
  return filesOf(path, model).reduce((bytes, file) => bytes + statSync(file).size, 0);
}
