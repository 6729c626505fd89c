import { statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { bug, UserError } from '../errors.ts';
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
  const written = await write(model, path, options, true);
  const files = written.map((file) => ({ ...file, sha256: file.sha256 ?? bug(`"${file.name}" was not hashed`) }));
  return { bytes: bytesOf(files), sha256: files[0]?.sha256 ?? bug('no model was written'), files };
}

/** The same where nobody asks for hashes: taking them, and loading what takes them, is left out. */
export async function saveUnhashed(model: Model, path: string, options: SaveOptions = {}): Promise<{ bytes: number }> {
  return { bytes: bytesOf(await write(model, path, options, false)) };
}

const bytesOf = (files: readonly { readonly bytes: number }[]): number =>
  files.reduce((sum, { bytes }) => sum + bytes, 0);

/** @returns the model file, then its data files */
async function write(model: Model, path: string, options: SaveOptions, hashed: boolean): Promise<WrittenFile[]> {
  const target = resolve(path);
  const dir = dirname(target);
  requireFolder(dir);
  const output = new OutputFiles(options.force ?? false, options.signal);
  output.claim(target);
  try {
    const plan = planOutput(model, target, options);
    for (const file of plan.data) output.claim(join(dir, file.name));
    // The model comes last: when it has its name, its data files have theirs.
    const files: WrittenFile[] = [];
    for (const file of plan.data) {
      files.push({ name: file.name, ...(await output.write(join(dir, file.name), file.pieces(), hashed)) });
    }
    files.unshift({ name: basename(target), ...(await output.write(target, pieces(plan.model), hashed)) });
    output.commit();
    return files;
  } catch (error) {
    output.discard();
    throw error;
  }
}

interface WrittenFile {
  /** Relative to the folder of the model. */
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string | undefined;
}

interface OutputPlan {
  readonly model: ReturnType<typeof encode>;
  readonly data: readonly { readonly name: string; pieces(): Iterable<Uint8Array> }[];
}

function planOutput(model: Model, target: string, options: SaveOptions): OutputPlan {
  const mode = options.externalData ?? 'auto';
  if (mode === 'auto' && options.dataName === undefined) {
    const copy = planCopy(model, target, options.force ?? false);
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
function planCopy(model: Model, target: string, force: boolean): OutputPlan | undefined {
  const sources = new Map<string, ExternalFile>();
  for (const tensor of tensorsOf(model)) {
    const range = tensorOrigin(tensor)?.range;
    if (range) sources.set(range.file.location, range.file);
  }
  if (sources.size === 0 || encodeMessage(model, { keepExternal: true }) !== model.origin) return undefined;
  for (const file of sources.values()) {
    const place = join(dirname(target), file.location);
    if (place === target || isTaken(place, file, force)) return undefined;
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
function isTaken(place: string, source: ExternalFile, force: boolean): boolean {
  const there = statSync(place, { throwIfNoEntry: false });
  if (!there) return false;
  const from = statSync(source.path);
  return !force || (there.ino === from.ino && there.dev === from.dev);
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

function requireFolder(dir: string): void {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return;
  throw new UserError('output-unwritable', `The folder ${dir} does not exist; make it first, or choose another place.`);
}
