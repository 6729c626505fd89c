import { dtypeCode } from '../ir/dtype.ts';
import { elementCount, type Tensor } from '../ir/tensor.ts';
import { type Message, merge, message } from './message.ts';
import type { Bytes, Payload } from './schema.ts';
import { tensorOrigin } from './tensor.ts';

/** Where a tensor's data goes when it does not stay in the model file. */
export interface ExternalRef {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

export interface EncodeContext {
  /** Tensors that are kept in data files. All others are written into the model. */
  readonly external: ReadonlyMap<Tensor, ExternalRef>;
  /** Tensors that came from data files keep pointing there. */
  readonly keepExternal: boolean;
  /** Whether a dimension of an inner value is named by what the model's inputs declare. Absent: all are taken for that. */
  readonly isOfInputs?: (dim: string) => boolean;
}

const smallBytes = 4096;

const noData = {
  float_data: undefined,
  int32_data: undefined,
  string_data: undefined,
  int64_data: undefined,
  double_data: undefined,
  uint64_data: undefined,
  raw_data: undefined,
  external_data: undefined,
  data_location: undefined,
};

/** The tensor's message: the one it was read from where that still holds. @param name undefined leaves none */
export function encodeTensor(tensor: Tensor, context: EncodeContext, name?: string): Message<'TensorProto'> {
  const origin = tensorOrigin(tensor);
  const before = origin?.message.$name === 'TensorProto' ? origin.message : undefined;
  const ref = context.external.get(tensor);
  if (ref) {
    return merge('TensorProto', before, {
      ...noData,
      ...head(tensor, name),
      data_location: 1,
      external_data: [
        entry('location', ref.location),
        entry('offset', String(ref.offset)),
        entry('length', String(ref.length)),
      ],
    });
  }
  const external = before?.data_location === 1;
  if (before && (!external || context.keepExternal)) return merge('TensorProto', before, { name });
  const data =
    tensor.dtype === 'string' ? { string_data: tensor.strings?.() ?? [] } : { raw_data: dataOf(tensor, name) };
  return merge('TensorProto', before, { ...noData, ...head(tensor, name), ...data });
}

function head(tensor: Tensor, name: string | undefined) {
  return { dims: tensor.shape.map(BigInt), data_type: dtypeCode(tensor.dtype), name };
}

function entry(key: string, value: string): Message<'StringStringEntryProto'> {
  return message('StringStringEntryProto', { key, value });
}

/** Small data is taken now; large data is asked for when it is written, so that it need not be in memory all at once. */
function dataOf(tensor: Tensor, name: string | undefined): Bytes {
  return tensor.byteLength <= smallBytes ? tensor.bytes() : payloadOf(tensor, name ?? '');
}

/** The tensor's data in pieces. */
export function payloadOf(tensor: Tensor, name: string): Payload {
  return {
    byteLength: tensor.byteLength,
    label: `tensor "${name}" (${tensor.dtype}[${tensor.shape.join(',')}], ${elementCount(tensor.shape)} elements)`,
    chunks: () => tensor.chunks?.() ?? [tensor.bytes()],
  };
}
