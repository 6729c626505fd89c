import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import type { Model } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import { formatBytes } from '../messages.ts';
import { encode, encodeMessage, protobufLimit, tooLarge } from './encode.ts';
import type { ExternalFile } from './external.ts';
import { type DataFile, planDataFiles } from './layout.ts';
import { OutputFiles } from './output-files.ts';
import { tensorOrigin } from './tensor.ts';
import { pieces } from './writer.ts';

export interface SaveOptions {
  /** Replace files that exist. */
  readonly force?: boolean;
  /** Weights in files beside the model: when it would not fit into one file ('auto', the default), always, or never. */
  readonly externalData?: 'auto' | 'always' | 'never';
  /** Name of the data file; default the model's with `.data` behind it. Models with data files get it even when nothing has changed. */
  readonly dataName?: string;
  /** Bytes; tensors in data files begin at multiples of it. Default 4096, a memory page. */
  readonly alignment?: number;
  /** Bytes; smaller tensors stay in the model file. Default 1024. */
  readonly threshold?: number;
  /** Bytes; data goes into several files where one would get larger. Default: one file. */
  readonly maxFileBytes?: number;
  readonly signal?: AbortSignal;
}

export interface SavedFile {
  /** Relative to the folder of the model. */
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Saved {
  /** All files together. */
  readonly bytes: number;
  /** Of the model file. */
  readonly sha256: string;
  /** The model file, then its data files. */
  readonly files: readonly SavedFile[];
}

/**
 * Writes the model to `path`, all files or none: temporary names, synced, renamed. Weights are streamed one after the
 * other. A model that nothing has changed is written as the bytes it was read from, data files included.
 * @throws UserError when a file exists (without `force`), cannot be written, or the model is too large for one file
 */
export async function saveModel(model: Model, path: string, options: SaveOptions = {}): Promise<Saved> {
  const target = resolve(path);
  const dir = dirname(target);
  await requireFolder(dir);
  const output = new OutputFiles(options.force ?? false, options.signal);
  await output.claim(target);
  try {
    const plan = await planOutput(model, target, options);
    for (const file of plan.data) await output.claim(join(dir, file.name));
    // The model comes last: when it has its name, its data files have theirs.
    const files: SavedFile[] = [];
    for (const file of plan.data) {
      files.push({ name: file.name, ...(await output.write(join(dir, file.name), file.pieces())) });
    }
    const written = await output.write(target, pieces(plan.model));
    await output.commit();
    files.unshift({ name: basename(target), ...written });
    return { bytes: files.reduce((sum, file) => sum + file.bytes, 0), sha256: written.sha256, files };
  } catch (error) {
    await output.discard();
    throw error;
  }
}

interface OutputPlan {
  readonly model: ReturnType<typeof encode>;
  readonly data: readonly { readonly name: string; pieces(): Iterable<Uint8Array> }[];
}

async function planOutput(model: Model, target: string, options: SaveOptions): Promise<OutputPlan> {
  const mode = options.externalData ?? 'auto';
  if (mode === 'auto' && options.dataName === undefined) {
    const copy = await planCopy(model, target, options.force ?? false);
    if (copy) return copy;
  }
  const inline = mode === 'always' ? undefined : encode(model);
  if (inline && inline.byteLength <= protobufLimit) return { model: inline, data: [] };
  if (mode === 'never') throw tooLarge(inline?.byteLength ?? 0);
  const layout = planDataFiles(model, {
    dataName: options.dataName ?? `${basename(target)}.data`,
    alignment: options.alignment ?? 4096,
    threshold: options.threshold ?? 1024,
    maxFileBytes: options.maxFileBytes ?? Number.MAX_SAFE_INTEGER,
  });
  const encoded = encode(model, { external: layout.refs });
  if (encoded.byteLength > protobufLimit) {
    throw new UserError(
      'model-too-large',
      `Without its initializers the model still takes ${formatBytes(encoded.byteLength)}, and ONNX files end at 2 GiB: ` +
        'large tensors in Constant nodes must become initializers first.',
    );
  }
  return { model: encoded, data: layout.files.map((file) => ({ name: file.name, pieces: () => dataPieces(file) })) };
}

/** An untouched model with external data keeps its data files, byte for byte, where their names are free. */
async function planCopy(model: Model, target: string, force: boolean): Promise<OutputPlan | undefined> {
  const sources = new Map<string, ExternalFile>();
  for (const tensor of tensorsOf(model)) {
    const range = tensorOrigin(tensor)?.range;
    if (range) sources.set(range.file.location, range.file);
  }
  if (sources.size === 0 || encodeMessage(model, { keepExternal: true }) !== model.origin) return undefined;
  for (const file of sources.values()) {
    const place = join(dirname(target), file.location);
    if (place === target || (await isTaken(place, file, force))) return undefined;
  }
  return {
    model: encode(model, { keepExternal: true }),
    data: [...sources.values()].map((file) => ({ name: file.location, pieces: () => file.pieces(0, file.size) })),
  };
}

function* tensorsOf(model: Model): Generator<Tensor> {
  for (const graph of model.graphs()) {
    for (const { initializer } of graph.initializers) if (initializer) yield initializer;
    for (const node of graph.nodes) {
      for (const attr of node.attrs.values()) {
        if (attr.type === 'tensor') yield attr.value;
        else if (attr.type === 'tensors') yield* attr.value;
      }
    }
  }
}

/** Whether a file stands there that may not be replaced: any without `force`, and the source itself in any case. */
async function isTaken(place: string, source: ExternalFile, force: boolean): Promise<boolean> {
  const [there, from] = await Promise.all([stat(place).catch(absent), stat(source.path)]);
  if (!there) return false;
  return !force || (there.ino === from.ino && there.dev === from.dev);
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

/** The file's tensors in order, zeros between them up to where the next one begins. */
function* dataPieces(file: DataFile): Generator<Uint8Array> {
  let at = 0;
  for (const { offset, data } of file.entries) {
    if (offset > at) yield new Uint8Array(offset - at);
    yield* pieces({ byteLength: data.byteLength, parts: [data] });
    at = offset + data.byteLength;
  }
}

async function requireFolder(dir: string): Promise<void> {
  const there = await stat(dir).catch(absent);
  if (there?.isDirectory()) return;
  throw new UserError('output-unwritable', `The folder ${dir} does not exist; make it first, or choose another place.`);
}
