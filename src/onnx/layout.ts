import { UserError } from '../errors.ts';
import type { Model } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import { type ExternalRef, payloadOf } from './encode-tensor.ts';
import type { Payload } from './schema.ts';
import { tensorOrigin } from './tensor.ts';

interface LayoutOptions {
  /** Name of the first data file, relative to the model; further ones get `_1`, `_2`, … behind it. */
  readonly dataName: string;
  /** Each tensor begins at a multiple of this many bytes: whole pages can be mapped into memory. */
  readonly alignment: number;
  /** Tensors of fewer bytes stay in the model file. */
  readonly threshold: number;
  /** A data file ends before it gets larger; a tensor that is larger by itself gets a file of its own. */
  readonly maxFileBytes: number;
}

export interface DataFile {
  readonly name: string;
  readonly bytes: number;
  readonly entries: readonly { readonly offset: number; readonly data: Payload }[];
}

export interface Layout {
  readonly refs: ReadonlyMap<Tensor, ExternalRef>;
  readonly files: readonly DataFile[];
}

/**
 * Decides which initializers go into data files and where, without looking at their data. A tensor used several times,
 * and tensors read from the same place of the same file, are stored once.
 */
export function planDataFiles(model: Model, options: LayoutOptions): Layout {
  checkOptions(options);
  const refs = new Map<Tensor, ExternalRef>();
  const byPlace = new Map<string, ExternalRef>();
  const files: { name: string; bytes: number; entries: { offset: number; data: Payload }[] }[] = [];
  for (const graph of model.graphs()) {
    for (const value of graph.initializers) {
      const tensor = value.initializer;
      if (!tensor || !mayLeave(tensor, options.threshold) || refs.has(tensor)) continue;
      const place = placeOf(tensor);
      const same = place === undefined ? undefined : byPlace.get(place);
      if (same) {
        refs.set(tensor, same);
        continue;
      }
      let file = files.at(-1);
      let offset = file ? Math.ceil(file.bytes / options.alignment) * options.alignment : 0;
      if (!file || (offset > 0 && offset + tensor.byteLength > options.maxFileBytes)) {
        const name = files.length === 0 ? options.dataName : `${options.dataName}_${files.length}`;
        file = { name, bytes: 0, entries: [] };
        files.push(file);
        offset = 0;
      }
      file.entries.push({ offset, data: payloadOf(tensor, value.name) });
      file.bytes = offset + tensor.byteLength;
      const ref = { location: file.name, offset, length: tensor.byteLength };
      refs.set(tensor, ref);
      if (place !== undefined) byPlace.set(place, ref);
    }
  }
  return { refs, files };
}

/** Strings cannot leave the model file (ONNX), and sparse initializers stay sparse. */
function mayLeave(tensor: Tensor, threshold: number): boolean {
  if (tensor.dtype === 'string' || tensor.byteLength === 0 || tensor.byteLength < threshold) return false;
  return tensorOrigin(tensor)?.message.$name !== 'SparseTensorProto';
}

function placeOf(tensor: Tensor): string | undefined {
  const range = tensorOrigin(tensor)?.range;
  return range && `${range.offset} ${range.length} ${range.file.path}`;
}

function checkOptions({ alignment, threshold, maxFileBytes }: LayoutOptions): void {
  const positive = (name: string, value: number, least: number): void => {
    if (Number.isSafeInteger(value) && value >= least) return;
    throw new UserError(
      'external-data-options',
      `${name} must be a whole number of bytes from ${least} on, not ${value}.`,
    );
  };
  positive('alignment', alignment, 1);
  positive('threshold', threshold, 0);
  positive('maxFileBytes', maxFileBytes, 1);
}
