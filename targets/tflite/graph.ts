import { encodeFlatBuffer } from '../../src/flatbuffer/encode.ts';
import type { Table } from '../../src/flatbuffer/schema.ts';
import { builtin, type OpName, type TensorType, tensorTypes, tfliteTables } from './schema.ts';

/** Real value = scale · (stored − zero). One scale, or one for each index of `axis`. */
export interface Quant {
  readonly scale: readonly number[];
  readonly zero: readonly number[];
  readonly axis: number;
}

export interface LiteTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: TensorType;
  readonly quant?: Quant | undefined;
  readonly data?: Uint8Array;
}

export interface LiteOp {
  readonly code: OpName;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly options?: { readonly type: string; readonly value: Table } | undefined;
}

/** Element storage of constants. */
export type ConstData = Float32Array | Int32Array | Int8Array | Uint8Array | BigInt64Array | Uint16Array;

const arrayTypes: Readonly<Record<string, TensorType>> = {
  Float32Array: 'float32',
  Int32Array: 'int32',
  Int8Array: 'int8',
  Uint8Array: 'uint8',
  BigInt64Array: 'int64',
  Uint16Array: 'float16',
};

/** A TensorFlow Lite graph under construction: tensors by index, operators in order. */
export class LiteGraph {
  readonly tensors: LiteTensor[] = [];
  readonly ops: LiteOp[] = [];
  inputs: number[] = [];
  outputs: number[] = [];
  readonly #shared = new Map<string, number>();
  readonly #names = new Set<string>();

  /** A tensor that an operator or the caller fills. */
  tensor(name: string, shape: readonly number[], type: TensorType, quant?: Quant): number {
    return this.tensors.push({ name: this.#unique(name), shape, type, quant }) - 1;
  }

  /** A constant. Small ones that are equal are shared. */
  constant(name: string, shape: readonly number[], data: ConstData, quant?: Quant, type?: TensorType): number {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const own = type ?? arrayTypes[data.constructor.name] ?? 'float32';
    const key =
      bytes.length <= 64 && !quant ? `${own}[${shape.join()}]${Buffer.from(bytes).toString('hex')}` : undefined;
    const known = key === undefined ? undefined : this.#shared.get(key);
    if (known !== undefined) return known;
    const at = this.tensors.push({ name: this.#unique(name), shape, type: own, quant, data: bytes }) - 1;
    if (key !== undefined) this.#shared.set(key, at);
    return at;
  }

  ints(name: string, values: readonly number[], shape: readonly number[] = [values.length]): number {
    return this.constant(name, shape, Int32Array.from(values));
  }

  /** Appends an operator with one output. @returns index of the output */
  op(code: OpName, inputs: readonly number[], output: Omit<LiteTensor, 'data'>, options?: LiteOp['options']): number {
    const out = this.tensor(output.name, output.shape, output.type, output.quant);
    this.ops.push({ code, inputs, outputs: [out], options });
    return out;
  }

  /** Sets the name of a tensor that the outside sees. */
  rename(at: number, name: string): void {
    const tensor = this.tensors[at];
    if (tensor) this.tensors[at] = { ...tensor, name };
  }

  /** Gives plain integers a scale. */
  scale(at: number, quant: Quant): void {
    const tensor = this.tensors[at];
    if (tensor) this.tensors[at] = { ...tensor, quant };
  }

  count(code: OpName): number {
    return this.ops.filter((op) => op.code === code).length;
  }

  #unique(name: string): string {
    let free = name;
    for (let n = 1; this.#names.has(free); n++) free = `${name}_${n}`;
    this.#names.add(free);
    return free;
  }
}

/** The least version of an operator that does what is asked (lite/tools/versioning/op_version.cc). */
function versionOf({ code, inputs }: LiteOp, tensors: readonly LiteTensor[]): number {
  const type = tensors[inputs[0] ?? 0]?.type;
  const int8 = type === 'int8';
  switch (code) {
    case 'CONV_2D':
    case 'DEPTHWISE_CONV_2D':
      return int8 ? 3 : code === 'DEPTHWISE_CONV_2D' ? 2 : 1;
    case 'FULLY_CONNECTED':
      return 5;
    case 'DEQUANTIZE':
      return type === 'float16' ? 3 : int8 ? 2 : 1;
    case 'RESIZE_BILINEAR':
    case 'RESIZE_NEAREST_NEIGHBOR':
      return 3;
    case 'TRANSPOSE':
      return (tensors[inputs[0] ?? 0]?.shape.length ?? 0) > 4 ? 4 : 2;
    case 'TRANSPOSE_CONV':
      return 3;
    case 'BROADCAST_TO':
      return 2;
    case 'RESHAPE':
      return 1;
    case 'QUANTIZE':
      return int8 || type === 'uint8' ? 2 : 1;
    default:
      return int8 ? 2 : 1;
  }
}

/** The bytes of the model. `metadata` are buffers by name. */
export function writeLite(
  graph: LiteGraph,
  description: string,
  metadata: Readonly<Record<string, Uint8Array>> = {},
): Uint8Array {
  const used = usedTensors(graph);
  const buffers: Table[] = [{}];
  const tensors = graph.tensors.filter((_, at) => used.has(at));
  const index = new Map([...used].sort((a, b) => a - b).map((at, place) => [at, place]));
  const place = (at: number): number => (at < 0 ? -1 : (index.get(at) ?? 0));
  const codes = new Map<string, number>();
  const operatorCodes: Table[] = [];
  const operators = graph.ops.map((op): Table => {
    const version = versionOf(op, graph.tensors);
    const key = `${op.code}:${version}`;
    const code = builtin[op.code];
    const opcode =
      codes.get(key) ??
      operatorCodes.push({ deprecated_builtin_code: Math.min(code, 127), version, builtin_code: code }) - 1;
    codes.set(key, opcode);
    return {
      opcode_index: opcode,
      inputs: op.inputs.map(place),
      outputs: op.outputs.map(place),
      builtin_options: op.options,
    };
  });
  const rows = tensors.map(
    (tensor): Table => ({
      shape: tensor.shape,
      type: tensorTypes[tensor.type],
      buffer: tensor.data ? buffers.push({ data: tensor.data }) - 1 : 0,
      name: tensor.name,
      quantization: tensor.quant && {
        scale: tensor.quant.scale,
        zero_point: tensor.quant.zero.map(BigInt),
        quantized_dimension: tensor.quant.axis,
      },
    }),
  );
  const entries = Object.entries(metadata).map(([name, data]): Table => ({ name, buffer: buffers.push({ data }) - 1 }));
  return encodeFlatBuffer(
    tfliteTables,
    'Model',
    {
      version: 3,
      operator_codes: operatorCodes,
      subgraphs: [
        { tensors: rows, inputs: graph.inputs.map(place), outputs: graph.outputs.map(place), operators, name: 'main' },
      ],
      description,
      buffers,
      ...(entries.length > 0 && { metadata: entries }),
    },
    'TFL3',
  );
}

/** Constants that no operator reads any more stay out of the file. */
function usedTensors(graph: LiteGraph): Set<number> {
  const used = new Set([...graph.inputs, ...graph.outputs]);
  for (const { inputs, outputs } of graph.ops) for (const at of [...inputs, ...outputs]) if (at >= 0) used.add(at);
  return used;
}

/** Bytes of all constants that are written. */
export function constantBytes(graph: LiteGraph): number {
  return [...usedTensors(graph)].reduce((sum, at) => sum + (graph.tensors[at]?.data?.length ?? 0), 0);
}
