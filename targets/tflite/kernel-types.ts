import { UserError } from '../../src/errors.ts';
import type { LiteGraph, LiteOp, LiteTensor } from './graph.ts';
import type { OpName, TensorType } from './schema.ts';

const floats: readonly TensorType[] = ['float32'];
const numbers: readonly TensorType[] = ['float32', 'int32', 'int64'];
const any: readonly TensorType[] = [...numbers, 'bool', 'int8', 'uint8', 'int16'];
const none: readonly number[] = [];

interface Rule {
  /** Element types of the data that the kernel takes as plain numbers. */
  readonly types: readonly TensorType[];
  /** Operands that must be of one type, which is the output's as well; others are indices, shapes and conditions. */
  readonly data: readonly number[] | 'all';
  /** The output is of another type by its nature. */
  readonly turns?: boolean;
}

const rule = (types: readonly TensorType[], data: Rule['data'] = [0], turns = false): Rule => ({ types, data, turns });

/**
 * What the kernels of LiteRT compute on (lite/kernels, tensorflow 2.21; seen on LiteRT.js: some of them do not refuse another type, they give
 * garbage). Of 8 bits only what has a scale is computed on. Operators that are not listed take floats, or 8 bits with a scale.
 */
const rules: Readonly<Partial<Record<OpName, Rule>>> = {
  ADD: rule(numbers, [0, 1]),
  SUB: rule(numbers, [0, 1]),
  MUL: rule(numbers, [0, 1]),
  DIV: rule(['float32', 'int32'], [0, 1]),
  POW: rule(['float32', 'int32'], [0, 1]),
  FLOOR_MOD: rule(numbers, [0, 1]),
  MAXIMUM: rule(numbers, [0, 1]),
  MINIMUM: rule(numbers, [0, 1]),
  ABS: rule(['float32', 'int32']),
  NEG: rule(numbers),
  SIGN: rule(['float32', 'int32']),
  EQUAL: rule([...numbers, 'bool'], [0, 1], true),
  NOT_EQUAL: rule([...numbers, 'bool'], [0, 1], true),
  LESS: rule(numbers, [0, 1], true),
  LESS_EQUAL: rule(numbers, [0, 1], true),
  GREATER: rule(numbers, [0, 1], true),
  GREATER_EQUAL: rule(numbers, [0, 1], true),
  LOGICAL_AND: rule(['bool'], [0, 1]),
  LOGICAL_OR: rule(['bool'], [0, 1]),
  LOGICAL_NOT: rule(['bool']),
  CAST: rule(any, none, true),
  QUANTIZE: rule(['float32', 'int8', 'uint8'], [0], true),
  DEQUANTIZE: rule(['float16', 'int8', 'uint8'], [0], true),
  RESHAPE: rule(any),
  TRANSPOSE: rule(any),
  PAD: rule(any),
  PADV2: rule(any, [0, 2]),
  MIRROR_PAD: rule(numbers),
  CONCATENATION: rule(any, 'all'),
  GATHER: rule(any),
  STRIDED_SLICE: rule(any),
  BROADCAST_TO: rule(any),
  TILE: rule([...numbers, 'bool', 'int8', 'uint8']),
  SELECT_V2: rule(any, [1, 2]),
  DEPTH_TO_SPACE: rule(numbers),
  RESIZE_NEAREST_NEIGHBOR: rule(['float32', 'int8', 'uint8', 'int16']),
  ARG_MAX: rule(['float32', 'int32', 'int8', 'uint8', 'bool'], [0], true),
  MEAN: rule(numbers),
  SUM: rule(numbers),
  REDUCE_MAX: rule(numbers),
  REDUCE_MIN: rule(numbers),
  REDUCE_PROD: rule(numbers),
  CONV_2D: rule(floats, [0, 1]),
  DEPTHWISE_CONV_2D: rule(floats, [0, 1]),
  FULLY_CONNECTED: rule(floats, [0, 1]),
  BATCH_MATMUL: rule(floats, [0, 1]),
  TRANSPOSE_CONV: rule(floats, [1, 2, 3]),
};

/** @throws UserError `tflite-unsupported` naming the first operator that no kernel computes in the types that it has */
export function checkTypes(graph: LiteGraph): void {
  for (const op of graph.ops) {
    const why = objection(op, graph.tensors);
    if (why === undefined) continue;
    const name = graph.tensors[op.outputs[0] ?? 0]?.name;
    throw new UserError('tflite-unsupported', `${op.code} of "${name}" cannot become TensorFlow Lite: ${why}.`);
  }
}

function objection({ code, inputs, outputs }: LiteOp, tensors: readonly LiteTensor[]): string | undefined {
  const { types, data, turns } = rules[code] ?? rule(floats);
  const places = data === 'all' ? inputs.keys() : data;
  const read = [...places].flatMap((place) => tensors[inputs[place] ?? -1] ?? []);
  const [out] = outputs.flatMap((at) => tensors[at] ?? []);
  const all = turns || !out ? read : [...read, out];
  const found = [...new Set(all.map(({ type }) => type))];
  if (found.length > 1) return `it mixes ${found.join(' and ')}`;
  const [type] = found;
  const scaled = read.every(({ quant }) => quant !== undefined) && (type === 'int8' || type === 'uint8');
  if (type === undefined || types.includes(type) || scaled) return undefined;
  return `its kernel takes ${types.join(', ')}, and this is ${type}`;
}
