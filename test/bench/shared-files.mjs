import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const shared = join(root, '../shared/models');

/** Extents of dynamic dimensions that made-up inputs need. */
const shapes = {
  'yunet-face': ['batch=1', 'height=320', 'width=320'],
  'clinc150-bert': ['batch=1', 'seq=16'],
};

/** Models of this package and, where present, those beside it: slug and place. `only` names slugs; default all. */
export function sharedFiles(only = []) {
  const files = [
    ['digits', join(root, 'models/digits/model.onnx')],
    ['intents', join(root, 'models/intents/onnx/model.onnx')],
    ...[
      'cifar10-resnet20/model.onnx',
      'clinc150-bert/onnx/model.onnx',
      'fastestdet/model.onnx',
      'gtcrn/model.onnx',
      'gtcrn/model_unsimplified.onnx',
      'imagenet-mobilenetv1-050/model.onnx',
      'imagenet-mobilenetv1-050/model_qdq.onnx',
      'mnist-cntk/model.onnx',
      'silero-vad/model.onnx',
      'stories260k-llama/model.onnx',
      'supres/model.onnx',
      'wine-gbdt/model.onnx',
      'wine-mlp/model.onnx',
      'yunet-face/model.onnx',
    ].map((path) => [path.replace(/\/(onnx\/)?model\.onnx$/, '').replace(/\/model_(\w+)\.onnx$/, '-$1'), join(shared, path)]),
  ];
  return files
    .map(([slug, file]) => ({ slug, file }))
    .filter(({ slug, file }) => existsSync(file) && (only.length === 0 || only.includes(slug)));
}

export function shapesOf(slug) {
  return shapes[slug] ?? [];
}
