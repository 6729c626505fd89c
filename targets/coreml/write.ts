import { createHash } from 'node:crypto';
import { f32ToF16 } from '../../src/kernels/f16.ts';
import { encodeMessage } from '../../src/protobuf/encode.ts';
import type { Fields } from '../../src/protobuf/schema.ts';
import type { MilGraph, MilOp, Ref } from './graph.ts';
import {
  arrayTypes,
  blobAlignment,
  blobSentinel,
  blobTypes,
  coremlMessages,
  type MilType,
  milTypes,
  opset,
  specificationVersion,
  weightsName,
} from './schema.ts';

export interface Package {
  readonly model: Uint8Array;
  readonly weights: Uint8Array;
  readonly manifest: string;
}

export interface PackageInfo {
  readonly description: string;
  readonly license: string | undefined;
  readonly version: string | undefined;
  /** Further facts, shown by Xcode. */
  readonly facts: Readonly<Record<string, string>>;
}

/** The three files of an `.mlpackage`. The same graph gives the same bytes: identifiers come from the content. */
export function writePackage(graph: MilGraph, info: PackageInfo): Package {
  const blobs = new BlobWriter();
  const operations = graph.ops.map((op) => operation(op, blobs));
  const model = encodeMessage(coremlMessages, 'Model', {
    specificationVersion,
    description: {
      input: graph.inputs.map(feature),
      output: graph.outputs.map(feature),
      metadata: {
        shortDescription: info.description,
        versionString: info.version,
        author: 'mlpack',
        license: info.license,
        userDefined: info.facts,
      },
    },
    mlProgram: {
      version: 1,
      functions: {
        main: {
          inputs: graph.inputs.map(named),
          opset,
          block_specializations: { [opset]: { outputs: graph.outputs.map(({ name }) => name), operations } },
        },
      },
    },
  });
  const weights = blobs.finish();
  return { model, weights, manifest: manifestText(model, weights) };
}

function feature({ name, type, shape }: Ref): Fields {
  const dataType = arrayTypes[type === 'int32' ? 'int32' : 'fp32'];
  return { name, type: { multiArrayType: { shape, dataType } } };
}

function named({ name, type, shape }: Ref): Fields {
  return { name, type: valueType(type, shape) };
}

function valueType(type: MilType, shape: readonly number[]): Fields {
  const dimensions = shape.map((size) => ({ constant: { size } }));
  return { tensorType: { dataType: milTypes[type], rank: shape.length, dimensions } };
}

function text(value: string): Fields {
  return { type: valueType('string', []), immediateValue: { tensor: { strings: { values: [value] } } } };
}

function operation({ type, inputs, outputs }: MilOp, blobs: BlobWriter): Fields {
  const [first] = outputs;
  const name = text(first?.name ?? type);
  if (type === 'const' && first) {
    return { type, outputs: [named(first)], attributes: { name, val: constantValue(first, blobs) } };
  }
  const bound = Object.entries(inputs).map(([key, refs]) => [
    key,
    { arguments: refs.map((ref) => ({ name: ref.name })) },
  ]);
  return { type, inputs: Object.fromEntries(bound), outputs: outputs.map(named), attributes: { name } };
}

/** Floats of ten elements and more go to the weight file, as coremltools writes them; integers have no place there before Core ML 8. */
function constantValue({ type, shape, data = '' }: Ref, blobs: BlobWriter): Fields {
  const own = valueType(type, shape);
  if (typeof data === 'string') return { ...text(data), type: own };
  if (type === 'fp16' || type === 'fp32') {
    const floats = Float32Array.from(data);
    const stored = type === 'fp16' ? f32ToF16(floats) : floats;
    const bytes = new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
    if (data.length >= 10)
      return { type: own, blobFileValue: { fileName: weightsName, offset: blobs.add(type, bytes) } };
    const tensor = type === 'fp16' ? { bytes: { values: bytes } } : { floats: { values: floats } };
    return { type: own, immediateValue: { tensor } };
  }
  const tensor =
    type === 'bool' ? { bools: { values: Array.from(data, (value) => value !== 0) } } : { ints: { values: data } };
  return { type: own, immediateValue: { tensor } };
}

/** The weight file: a header, then for each blob 64 bytes that describe it and its data, all at multiples of 64. */
class BlobWriter {
  readonly #parts: Uint8Array[] = [];
  readonly #known = new Map<string, number>();
  #at = blobAlignment;
  #count = 0;

  /** @returns where the description begins, which is how values refer to a blob */
  add(type: 'fp16' | 'fp32', data: Uint8Array): number {
    const key = `${type}${createHash('sha256').update(data).digest('hex')}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const start = this.#at;
    const head = Buffer.alloc(blobAlignment);
    head.writeUInt32LE(blobSentinel, 0);
    head.writeUInt32LE(blobTypes[type], 4);
    head.writeBigUInt64LE(BigInt(data.length), 8);
    head.writeBigUInt64LE(BigInt(start + blobAlignment), 16);
    const padding = new Uint8Array((blobAlignment - (data.length % blobAlignment)) % blobAlignment);
    this.#parts.push(head, data, padding);
    this.#at += blobAlignment + data.length + padding.length;
    this.#count++;
    this.#known.set(key, start);
    return start;
  }

  finish(): Uint8Array {
    const header = Buffer.alloc(blobAlignment);
    header.writeUInt32LE(this.#count, 0);
    header.writeUInt32LE(2, 4);
    return new Uint8Array(Buffer.concat([header, ...this.#parts]));
  }
}

/** An identifier in the form of a UUID that follows from the content. */
function uuid(...content: readonly (Uint8Array | string)[]): string {
  const hash = createHash('sha256');
  for (const part of content) hash.update(part);
  const hex = hash.digest('hex').toUpperCase();
  const variant = ((Number.parseInt(hex[16] ?? '0', 16) & 3) | 8).toString(16).toUpperCase();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function manifestText(model: Uint8Array, weights: Uint8Array): string {
  const [modelId, weightsId] = [uuid('model', model), uuid('weights', weights)];
  const author = 'com.apple.CoreML';
  const items = {
    [modelId]: {
      author,
      description: 'CoreML Model Specification',
      name: 'model.mlmodel',
      path: `${author}/model.mlmodel`,
    },
    [weightsId]: { author, description: 'CoreML Model Weights', name: 'weights', path: `${author}/weights` },
  };
  const itemInfoEntries = Object.fromEntries(Object.entries(items).sort(([a], [b]) => (a < b ? -1 : 1)));
  const manifest = { fileFormatVersion: '1.0.0', itemInfoEntries, rootModelIdentifier: modelId };
  return `${JSON.stringify(manifest, null, 4)}\n`;
}
