import { UserError } from '../../src/errors.ts';
import { elementCount } from '../../src/ir/tensor.ts';
import { f16ToF32 } from '../../src/kernels/f16.ts';
import { decodeMessage } from '../../src/protobuf/decode.ts';
import type { Fields } from '../../src/protobuf/schema.ts';
import type { MilData, MilOp, Ref } from './graph.ts';
import { checkParameters } from './parameters.ts';
import {
  arrayTypes,
  blobAlignment,
  blobSentinel,
  blobTypes,
  coremlMessages,
  type MilType,
  maxRank,
  milTypes,
  opset,
  specificationVersion,
  weightsName,
} from './schema.ts';

/** A program as read, everything in it checked. */
export interface ReadProgram {
  readonly inputs: readonly Ref[];
  readonly outputs: readonly Ref[];
  readonly ops: readonly MilOp[];
  /** Facts that the writer left: names of the ONNX model by those of the program, and its element types. */
  readonly facts: Readonly<Record<string, string>>;
}

const named = /^[A-Za-z_][A-Za-z0-9_@]*$/;

function wrong(why: string): UserError {
  return new UserError('coreml-file', `The Core ML model is not valid: ${why}.`);
}

function list(value: unknown): readonly Fields[] {
  return (value ?? []) as readonly Fields[];
}

/**
 * Reads an ML program strictly: nothing but what this package writes, every name defined before it is read and once, every parameter one that the operation has and of
 * its type, every weight inside the file and of its size.
 * @throws UserError saying what is wrong
 */
export function readProgram(model: Uint8Array, weights: Uint8Array): ReadProgram {
  const root = decodeMessage(coremlMessages, 'Model', model);
  if (root.specificationVersion !== specificationVersion)
    throw wrong(`its specification version is ${String(root.specificationVersion)}, not ${specificationVersion}`);
  const program = root.mlProgram as Fields | undefined;
  if (!program) throw wrong('it holds no ML program');
  if (program.version !== 1) throw wrong(`the program has version ${String(program.version)}, not 1`);
  const functions = program.functions as Record<string, Fields>;
  const main = functions.main;
  if (!main || Object.keys(functions).length !== 1) throw wrong('it has not exactly one function, main');
  const blocks = main.block_specializations as Record<string, Fields>;
  const block = blocks[opset];
  if (main.opset !== opset || !block || Object.keys(blocks).length !== 1)
    throw wrong(`its operators are not those of ${opset}`);
  const blobs = new BlobReader(weights);
  const scope = new Map<string, Ref>();
  const define = (ref: Ref): Ref => {
    if (!named.test(ref.name)) throw wrong(`"${ref.name}" is no name`);
    if (scope.has(ref.name)) throw wrong(`"${ref.name}" is defined twice`);
    scope.set(ref.name, ref);
    return ref;
  };
  const inputs = list(main.inputs).map((field) => define(readNamed(field)));
  const ops = list(block.operations).map((field) => readOp(field, { scope, define, blobs }));
  const outputs = (block.outputs as string[]).map((name) => scope.get(name) ?? missing(name));
  blobs.finish();
  const description = (root.description ?? {}) as Fields;
  checkFeatures('input', list(description.input), inputs);
  checkFeatures('output', list(description.output), outputs);
  const facts = ((description.metadata as Fields | undefined)?.userDefined ?? {}) as Record<string, string>;
  return { inputs, outputs, ops, facts };
}

function missing(name: string): never {
  throw wrong(`"${name}" is read and not made before`);
}

function checkFeatures(side: string, features: readonly Fields[], refs: readonly Ref[]): void {
  if (features.length !== refs.length) throw wrong(`it describes ${features.length} ${side}s and has ${refs.length}`);
  for (const [i, ref] of refs.entries()) {
    const { name, type } = features[i] as Fields;
    const array = (type as Fields | undefined)?.multiArrayType as Fields | undefined;
    const expected = ref.type === 'fp32' || ref.type === 'int32' ? arrayTypes[ref.type] : undefined;
    if (
      name !== ref.name ||
      array?.dataType !== expected ||
      ((array?.shape ?? []) as number[]).join() !== ref.shape.join()
    )
      throw wrong(`${side} "${ref.name}" is not what the description says`);
  }
}

function readType(field: unknown, what: string): { type: MilType; shape: number[] } {
  const tensor = (field as Fields | undefined)?.tensorType as Fields | undefined;
  const type = (Object.keys(milTypes) as MilType[]).find((key) => milTypes[key] === tensor?.dataType);
  if (!tensor || !type) throw wrong(`${what} has no element type that this version knows`);
  const shape = list(tensor.dimensions).map((dimension) =>
    Number((dimension.constant as Fields | undefined)?.size ?? Number.NaN),
  );
  if (shape.length !== (tensor.rank ?? 0) || shape.some((dim) => !(dim > 0))) throw wrong(`${what} has no fixed shape`);
  if (shape.length > maxRank) throw wrong(`${what} has ${shape.length} axes`);
  return { type, shape };
}

function readNamed(field: Fields): Ref {
  const name = String(field.name ?? '');
  return { name, ...readType(field.type, `"${name}"`) };
}

interface Scope {
  readonly scope: ReadonlyMap<string, Ref>;
  readonly define: (ref: Ref) => Ref;
  readonly blobs: BlobReader;
}

function readOp(field: Fields, { scope, define, blobs }: Scope): MilOp {
  const type = String(field.type ?? '');
  const attributes = field.attributes as Record<string, Fields>;
  const allowed = type === 'const' ? ['name', 'val'] : ['name'];
  for (const key of Object.keys(attributes)) if (!allowed.includes(key)) throw wrong(`${type} has an attribute ${key}`);
  const outputs = list(field.outputs).map(readNamed);
  const [first] = outputs;
  if (!first) throw wrong(`${type} makes nothing`);
  if (type === 'const') {
    const value = attributes.val;
    if (!value || outputs.length !== 1) throw wrong(`the constant "${first.name}" has no value`);
    const own = readType(value.type, `"${first.name}"`);
    if (own.type !== first.type || own.shape.join() !== first.shape.join())
      throw wrong(`the value of "${first.name}" has another type`);
    return { type, inputs: {}, outputs: [define({ ...first, data: readData(first, value, blobs) })] };
  }
  const inputs: Record<string, readonly Ref[]> = {};
  for (const [key, argument] of Object.entries(field.inputs as Record<string, Fields>)) {
    inputs[key] = list(argument.arguments).map(({ name }) => scope.get(String(name)) ?? missing(String(name)));
  }
  const why = checkParameters(type, inputs, outputs);
  if (why !== undefined) throw wrong(`${type} "${first.name}": ${why}`);
  return { type, inputs, outputs: outputs.map(define) };
}

function readData({ name, type, shape }: Ref, value: Fields, blobs: BlobReader): MilData {
  const count = elementCount(shape);
  const blob = value.blobFileValue as Fields | undefined;
  if (blob) {
    if (blob.fileName !== weightsName) throw wrong(`"${name}" lies in ${String(blob.fileName)}`);
    if (type !== 'fp16' && type !== 'fp32') throw wrong(`"${name}" is ${type}, which weight files do not hold`);
    return blobs.read(name, Number(blob.offset ?? 0), type, count);
  }
  const tensor = (value.immediateValue as Fields | undefined)?.tensor as Fields | undefined;
  const numbers = (key: string): number[] => ((tensor?.[key] as Fields | undefined)?.values ?? []) as number[];
  let data: MilData;
  if (type === 'string') data = ((tensor?.strings as Fields | undefined)?.values as string[] | undefined)?.[0] ?? '';
  else if (type === 'fp32') data = Float32Array.from(numbers('floats'));
  else if (type === 'int32') data = Int32Array.from(numbers('ints'));
  else if (type === 'bool') data = Int32Array.from(numbers('bools'), Number);
  else {
    const bytes = (tensor?.bytes as Fields | undefined)?.values as Uint8Array | undefined;
    data = f16ToF32(new Uint16Array((bytes ?? new Uint8Array()).slice().buffer));
  }
  if (typeof data !== 'string' && data.length !== count)
    throw wrong(`"${name}" has ${data.length} elements for [${shape.join(', ')}]`);
  return data;
}

/** The weight file, every blob checked when it is read, and at the end that there are no others. */
class BlobReader {
  readonly #bytes: Buffer;
  readonly #seen = new Set<number>();

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < blobAlignment || bytes.length % blobAlignment !== 0 || this.#bytes.readUInt32LE(4) !== 2)
      throw wrong('the weight file has no header of version 2');
  }

  read(name: string, at: number, type: 'fp16' | 'fp32', count: number): Float32Array {
    const bytes = this.#bytes;
    const size = count * (type === 'fp16' ? 2 : 4);
    const start = at + blobAlignment;
    if (at < blobAlignment || at % blobAlignment !== 0 || start + size > bytes.length)
      throw wrong(`"${name}" lies outside the weight file`);
    const fits =
      bytes.readUInt32LE(at) === blobSentinel &&
      bytes.readUInt32LE(at + 4) === blobTypes[type] &&
      bytes.readBigUInt64LE(at + 8) === BigInt(size) &&
      bytes.readBigUInt64LE(at + 16) === BigInt(start) &&
      bytes.subarray(at + 24, start).every((byte) => byte === 0);
    if (!fits) throw wrong(`the weight file describes "${name}" otherwise than the program`);
    this.#seen.add(at);
    const data = new Uint8Array(bytes.subarray(start, start + size)).buffer;
    return type === 'fp16' ? f16ToF32(new Uint16Array(data)) : new Float32Array(data);
  }

  finish(): void {
    const count = this.#bytes.readUInt32LE(0);
    if (count !== this.#seen.size)
      throw wrong(`the weight file says it holds ${count} blobs, and the program reads ${this.#seen.size}`);
  }
}
