import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type SharedTask, sharedDir, sharedTask } from './shared-models.ts';

interface TaskInput {
  readonly name: string;
  readonly file: string;
  readonly calib?: string;
  readonly affine?: { readonly scale: number[]; readonly bias: number[]; readonly axis?: number };
  readonly nhwc?: boolean;
  readonly dropBatch?: boolean;
}

interface Converted {
  readonly json: Record<string, unknown>;
  /** Files and folders of the model's folder that the data set needs. */
  readonly files: readonly string[];
  /** Files to write: name and text. */
  readonly written?: Readonly<Record<string, string>>;
}

/** Turns a shared model's task.json into a folder with a dataset.json, in a temporary place. */
export async function convertTask(slug: string): Promise<{ dir: string; remove: () => Promise<void> }> {
  const task = sharedTask(slug);
  const { json, files, written } = await convert(slug, task);
  const dir = await mkdtemp(join(tmpdir(), `mlpack-${slug}-`));
  for (const file of new Set(files)) await cp(join(sharedDir(slug), file), join(dir, file), { recursive: true });
  for (const [name, text] of Object.entries(written ?? {})) await writeFile(join(dir, name), text);
  const head = { schema: 'mlpack.dataset/1', name: slug };
  await writeFile(join(dir, 'dataset.json'), JSON.stringify({ ...head, ...json }, undefined, 2));
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}

function convert(slug: string, task: SharedTask): Promise<Converted> | Converted {
  switch (task.type) {
    case 'classify':
    case 'compare':
      return arrays(task);
    case 'classify-tokens':
      return tokens(task);
    case 'classify-images':
      return images(slug, task);
    case 'superres':
      return restoration(task);
    case 'lm':
      return language(task);
    case 'stream':
      return stream(task);
    default:
      throw new Error(`tasks of type ${task.type} have no form as dataset.json`);
  }
}

function arrays(task: SharedTask): Converted {
  const inputs: Record<string, unknown> = {};
  const files: string[] = [];
  for (const input of task.inputs as TaskInput[]) {
    inputs[input.name] = {
      file: input.file,
      calibration: input.calib,
      dtype: 'float32',
      scale: input.affine?.scale,
      bias: input.affine?.bias,
      axis: input.affine?.axis,
      layout: input.nhwc ? 'NHWC' : undefined,
      dropBatch: input.dropBatch,
    };
    files.push(input.file, ...(input.calib ? [input.calib] : []));
  }
  if (task.labels === undefined) return { json: { inputs, batch: task.batch }, files };
  const labels = { file: task.labels, names: task.classes };
  return {
    json: { inputs, labels, output: task.output, metric: 'top1', batch: task.batch },
    files: [...files, task.labels as string],
  };
}

function tokens(task: SharedTask): Converted {
  const inputs = {
    input_ids: { file: task.ids, trim: { pad: 0 } },
    attention_mask: { from: 'input_ids', notEqual: 0 },
    token_type_ids: { constant: 0, like: 'input_ids' },
  };
  const json = { inputs, labels: { file: task.labels }, output: task.output, metric: 'top1', batch: task.batch };
  return { json, files: [task.ids as string, task.labels as string] };
}

async function images(slug: string, task: SharedTask): Promise<Converted> {
  const pairs = JSON.parse(await readFile(join(sharedDir(slug), task.labels as string), 'utf8')) as [string, number][];
  const size = task.size as number;
  const input = {
    images: task.images,
    calibration: task.calibImages,
    size: [size, size],
    resize: task.resize,
    crop: 'center',
    mean: task.mean,
    scale: task.scale,
    channels: task.channels,
  };
  return {
    json: {
      inputs: { [task.input as string]: input },
      labels: { file: 'labels.json', offset: task.labelOffset },
      output: task.output,
      metric: 'top1',
      batch: 8,
    },
    files: [task.images as string, task.calibImages as string],
    written: { 'labels.json': JSON.stringify(Object.fromEntries(pairs)) },
  };
}

function restoration(task: SharedTask): Converted {
  const inputs = { [task.input as string]: { file: task.x, dtype: 'float32', scale: 1 / 255 } };
  const targets = { file: task.y, dtype: 'float32', scale: 1 / 255 };
  return {
    json: { inputs, targets, output: task.output, metric: 'psnr', batch: 1 },
    files: [task.x as string, task.y as string],
  };
}

/** Token ids as rows, an empty past, and the tokens themselves as what is to be predicted. */
function language(task: SharedTask): Converted {
  const [, ...past] = task.pastShape as number[];
  const inputs = {
    input_ids: { file: task.ids, dtype: 'int64', trim: { pad: task.pad } },
    attention_mask: { from: 'input_ids', notEqual: task.pad },
    position_ids: { from: 'input_ids', positions: true },
    'past_key_values.*': { constant: 0, shape: ['batch', ...past], dtype: 'float32' },
  };
  return { json: { inputs, output: 'logits', metric: 'perplexity', batch: 4 }, files: [task.ids as string] };
}

/** Frames one behind the other, each fed with the states that the one before left. */
function stream(task: SharedTask): Converted {
  const states = Object.entries(task.state as Record<string, { from: string; shape: number[] }>);
  const constants = Object.entries(
    (task.constants ?? {}) as Record<string, { dtype: string; value: number; shape: number[] }>,
  );
  const inputs = {
    [task.input as string]: { file: task.audio, shape: task.inputShape, dropBatch: true },
    ...Object.fromEntries(states.map(([name, { from, shape }]) => [name, { state: from, shape, dtype: 'float32' }])),
    ...Object.fromEntries(
      constants.map(([name, { dtype, value, shape }]) => [name, { constant: value, shape, dtype }]),
    ),
  };
  const judged = task.labels
    ? { labels: { file: task.labels }, metric: { name: 'accuracy', threshold: task.threshold } }
    : { targets: { file: task.target }, metric: 'si-snr' };
  const files = [task.audio, task.labels ?? task.target] as string[];
  return { json: { inputs, ...judged, output: task.output }, files };
}
