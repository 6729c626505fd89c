import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Real models beside the repository; not part of it. Tests that need them say so and skip where they are absent. */
export const sharedModelsDir = resolve(dirname(fileURLToPath(import.meta.url)), '../../../shared/models');

export const haveSharedModels = existsSync(join(sharedModelsDir, 'CATALOGUE.md'));

if (!haveSharedModels)
  process.stderr.write(`(shared models not found in ${sharedModelsDir}: their tests are skipped)\n`);

export interface SharedTask {
  readonly slug: string;
  readonly type: string;
  readonly model: string;
  readonly [key: string]: unknown;
}

/** Folder of one shared model. */
export function sharedDir(slug: string): string {
  return join(sharedModelsDir, slug);
}

export function sharedTask(slug: string): SharedTask {
  return JSON.parse(readFileSync(join(sharedDir(slug), 'task.json'), 'utf8')) as SharedTask;
}

/** Path of a shared model's .onnx file; `file` where it is not the task's main one. */
export function sharedModel(slug: string, file?: string): string {
  return join(sharedDir(slug), file ?? sharedTask(slug).model);
}

/** Every .onnx file there, the second versions (unsimplified, already quantized) included. */
export const sharedModelFiles: readonly (readonly [slug: string, file: string])[] = [
  ['cifar10-resnet20', 'model.onnx'],
  ['clinc150-bert', 'onnx/model.onnx'],
  ['fastestdet', 'model.onnx'],
  ['gtcrn', 'model.onnx'],
  ['gtcrn', 'model_unsimplified.onnx'],
  ['imagenet-mobilenetv1-050', 'model.onnx'],
  ['imagenet-mobilenetv1-050', 'model_qdq.onnx'],
  ['mnist-cntk', 'model.onnx'],
  ['silero-vad', 'model.onnx'],
  ['stories260k-llama', 'model.onnx'],
  ['supres', 'model.onnx'],
  ['wine-gbdt', 'model.onnx'],
  ['wine-mlp', 'model.onnx'],
  ['yunet-face', 'model.onnx'],
];
