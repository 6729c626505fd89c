import type { Model } from '../../src/ir/graph.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import type { Artifact } from '../../src/target/target.ts';
import { isObject } from '../browser/json.ts';
import { type ImageTask, imageTask } from '../browser/task-image.ts';

/** ONNX's name of an element type in text, and its number for Cast. */
const floats: Readonly<Record<string, { readonly text: string; readonly to: number }>> = {
  float32: { text: 'float', to: 1 },
  float16: { text: 'float16', to: 10 },
  float64: { text: 'double', to: 11 },
};

export interface Preparation {
  /** What goes in: bytes of pictures, row by row, channels last, red first. */
  readonly pixels: readonly [height: number, width: number, channels: number];
  readonly model: Model;
}

/** The preparation that dataset.json describes, as a model of its own; or the sentence why it cannot be one. */
export function preparation(artifact: Artifact): Preparation | string {
  const sections = artifact.preprocessing;
  if (!isObject(sections)) return 'nothing is known of how inputs are prepared (mlpack bundle --data)';
  const kinds = Object.values(sections).filter(isObject);
  if (kinds.some(({ text }) => text !== undefined))
    return 'the tokenizer is no ONNX model; texts are made tokens by the client';
  if (kinds.some(({ audio }) => audio !== undefined))
    return 'sounds come as the waveform that the model takes; the client decodes and resamples them';
  const task = imageTask(artifact, sections);
  if (task === undefined) return 'the inputs are numbers that go in as they are';
  if (floats[task.dtype] === undefined) return `pictures go in as ${task.dtype}, just as they are`;
  return { pixels: [task.height, task.width, task.factor.length], model: parseModel(textOf(task)) };
}

const list = (values: readonly number[]): string => values.map((value) => Math.fround(value)).join(', ');

/** Pixel (0…255) · factor + offset, by channel as fed, in the order of axes and channels that the model wants. */
function textOf({ height, width, channels, layout, factor, offset, dtype }: ImageTask): string {
  const count = factor.length;
  const { text, to } = floats[dtype] ?? { text: 'float', to: 1 };
  const first = layout === 'NCHW';
  const shape = first ? `batch,${count},${height},${width}` : `batch,${height},${width},${count}`;
  const constants = first ? `1,${count},1,1` : `1,1,1,${count}`;
  const steps = [
    ...(channels === 'BGR' ? ['ordered = Gather <axis = 3> (pixels, turned)'] : ['ordered = Identity (pixels)']),
    ...(first ? ['placed = Transpose <perm = [0, 3, 1, 2]> (ordered)'] : ['placed = Identity (ordered)']),
    'numbers = Cast <to = 1> (placed)',
    'scaled = Mul (numbers, factor)',
    'shifted = Add (scaled, offset)',
    `prepared = Cast <to = ${to}> (shifted)`,
  ];
  const turned = channels === 'BGR' ? ', int64[3] turned = {2, 1, 0}' : '';
  return `<ir_version: 8, opset_import: ["" : 17]>
main (uint8[batch,${height},${width},${count}] pixels) => (${text}[${shape}] prepared)
<float[${constants}] factor = {${list(factor)}}, float[${constants}] offset = {${list(offset)}}${turned}>
{
  ${steps.join('\n  ')}
}`;
}
