import { UserError } from '../../src/errors.ts';
import { decodeFlatBuffer } from '../../src/flatbuffer/decode.ts';
import type { Table } from '../../src/flatbuffer/schema.ts';
import { elementCount } from '../../src/ir/tensor.ts';
import type { LiteOp, LiteTensor, Quant } from './graph.ts';
import { builtin, type OpName, type TensorType, tensorTypes, tfliteTables } from './schema.ts';

/** A model file in memory, with every index checked. */
export interface ReadModel {
  readonly tensors: readonly LiteTensor[];
  readonly ops: readonly LiteOp[];
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

const widths: Readonly<Record<TensorType, number>> = {
  float32: 4,
  float16: 2,
  int32: 4,
  uint8: 1,
  int64: 8,
  bool: 1,
  int16: 2,
  int8: 1,
  float64: 8,
};

function wrong(why: string): UserError {
  return new UserError('tflite-file', `The TensorFlow Lite file is not valid: ${why}.`);
}

/** Reads and checks a TensorFlow Lite model of one subgraph. @throws UserError saying what is wrong with it */
export function readLite(bytes: Uint8Array): ReadModel {
  const root = decodeFlatBuffer(tfliteTables, 'Model', bytes, 'TFL3');
  if (root.version !== 3) throw wrong(`its schema version is ${String(root.version)}, not 3`);
  const [graph, ...more] = (root.subgraphs ?? []) as Table[];
  if (!graph || more.length > 0) throw wrong('it has not exactly one subgraph');
  const buffers = (root.buffers ?? []) as Table[];
  const names = new Map(Object.entries(builtin).map(([name, code]) => [code, name as OpName] as const));
  const codes = ((root.operator_codes ?? []) as Table[]).map((row) => {
    const code = Number(row.builtin_code ?? row.deprecated_builtin_code ?? 0);
    return names.get(code) ?? code;
  });
  const tensors = ((graph.tensors ?? []) as Table[]).map((row) => readTensor(row, buffers));
  const index = (at: number): number => {
    if (at >= tensors.length || at < -1) throw wrong(`tensor ${at} does not exist`);
    return at;
  };
  const ops = ((graph.operators ?? []) as Table[]).map((row): LiteOp => {
    const code = codes[Number(row.opcode_index ?? 0)];
    if (typeof code !== 'string') throw wrong(`operator code ${code} is none that this version knows`);
    return {
      code,
      inputs: ((row.inputs ?? []) as number[]).map(index),
      outputs: ((row.outputs ?? []) as number[]).map(index),
      options: row.builtin_options as LiteOp['options'],
    };
  });
  const made = new Set(((graph.inputs ?? []) as number[]).map(index));
  for (const [at, { data }] of tensors.entries()) if (data) made.add(at);
  for (const op of ops) {
    const early = op.inputs.find((at) => at >= 0 && !made.has(at));
    if (early !== undefined) throw wrong(`${op.code} reads "${tensors[early]?.name}" before it is made`);
    for (const at of op.outputs) made.add(at);
  }
  const outputs = ((graph.outputs ?? []) as number[]).map(index);
  for (const at of outputs) if (!made.has(at)) throw wrong(`nothing makes the output "${tensors[at]?.name}"`);
  return { tensors, ops, inputs: (graph.inputs ?? []) as number[], outputs };
}

function readTensor(row: Table, buffers: readonly Table[]): LiteTensor {
  const code = Number(row.type ?? 0);
  const type = (Object.keys(tensorTypes) as TensorType[]).find((name) => tensorTypes[name] === code);
  const name = String(row.name ?? '');
  if (!type) throw wrong(`"${name}" has element type ${code}, which this version does not know`);
  const shape = (row.shape ?? []) as number[];
  if (shape.some((dim) => dim < 0)) throw wrong(`"${name}" has a negative extent`);
  const buffer = Number(row.buffer ?? 0);
  const data = buffers[buffer]?.data as Uint8Array | undefined;
  if (buffer >= buffers.length) throw wrong(`"${name}" has buffer ${buffer} of ${buffers.length}`);
  if (data && data.length > 0 && data.length !== elementCount(shape) * widths[type]) {
    throw wrong(`"${name}" has ${data.length} bytes for ${type}[${shape.join(', ')}]`);
  }
  const quantization = row.quantization as Table | undefined;
  const scale = (quantization?.scale ?? []) as number[];
  const zero = ((quantization?.zero_point ?? []) as bigint[]).map(Number);
  const quant: Quant | undefined =
    scale.length > 0 ? { scale, zero, axis: Number(quantization?.quantized_dimension ?? 0) } : undefined;
  return { name, shape, type, quant, ...(data && data.length > 0 && { data }) };
}
