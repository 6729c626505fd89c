import { dtypeCode, dtypeFromCode } from '../ir/dtype.ts';
import type { Value } from '../ir/graph.ts';
import type { Dim, Shape, ValueType } from '../ir/types.ts';
import { defaultLimits, type Limits, limitError } from './limits.ts';
import { type Message, merge } from './message.ts';
import { encodeProps } from './props.ts';
import { readMessage } from './reader.ts';
import { joined, writeMessage } from './writer.ts';

/** What a value was declared as, and the type that was read from it: while the value keeps that type, it is re-emitted. */
export class ValueOrigin {
  readonly info: Message<'ValueInfoProto'>;
  readonly type: ValueType | undefined;
  constructor(info: Message<'ValueInfoProto'>, type: ValueType | undefined) {
    this.info = info;
    this.type = type;
  }
}

export function valueOrigin(value: Value): ValueOrigin | undefined {
  return value.origin instanceof ValueOrigin ? value.origin : undefined;
}

/** Whether the value still has the type it was declared with. */
export function typeUntouched(value: Value): boolean {
  const origin = valueOrigin(value);
  return origin !== undefined && origin.type === value.type;
}

/**
 * @param label names the value in messages
 * @returns undefined where the message says nothing (no element type)
 */
export function decodeType(
  type: Message<'TypeProto'> | undefined,
  label: string,
  limits: Limits,
): ValueType | undefined {
  if (!type) return undefined;
  const tensor = type.tensor_type ?? type.sparse_tensor_type;
  if (tensor) {
    const shape = tensor.shape && decodeShape(tensor.shape, label, limits);
    if (!tensor.elem_type) return undefined;
    const dtype = dtypeFromCode(tensor.elem_type);
    if (!dtype) return opaque(type);
    const kind = type.tensor_type ? 'tensor' : 'sparse_tensor';
    return shape ? { kind, dtype, shape } : { kind, dtype };
  }
  const list = type.sequence_type ?? type.optional_type;
  if (list) {
    const element = decodeType(list.elem_type, label, limits);
    return element ? { kind: type.sequence_type ? 'sequence' : 'optional', element } : opaque(type);
  }
  if (type.map_type) {
    const key = dtypeFromCode(type.map_type.key_type ?? 0);
    const value = decodeType(type.map_type.value_type, label, limits);
    return key && value ? { kind: 'map', key, value } : opaque(type);
  }
  return type.opaque_type || type.$unknown ? opaque(type) : undefined;
}

function opaque(type: Message<'TypeProto'>): ValueType {
  return { kind: 'opaque', bytes: joined(writeMessage(type)) };
}

function decodeShape(shape: Message<'TensorShapeProto'>, label: string, limits: Limits): Shape {
  const dims = shape.dim ?? [];
  if (dims.length > limits.rank) throw limitError(limits, 'rank', label, dims.length);
  return dims.map((dim) => {
    const value = dim.dim_value;
    if (value !== undefined && value > limits.elements) {
      throw limitError(limits, 'elements', `a dimension of ${label}`, value);
    }
    return decodeDim(dim);
  });
}

/** Negative extents, which some exporters write for "unknown", are unknown. */
function decodeDim(dim: Message<'TensorShapeProto.Dimension'>): Dim {
  if (dim.dim_value !== undefined) return dim.dim_value < 0n ? undefined : Number(dim.dim_value);
  return dim.dim_param === '' ? undefined : dim.dim_param;
}

/**
 * The ValueInfoProto of a value.
 * @param declared the message it was read from, where that is known better than from the value's own origin
 * @param type what is said of it where that is less than is known
 */
export function encodeValueInfo(
  value: Value,
  declared = valueOrigin(value)?.info,
  type = value.type,
): Message<'ValueInfoProto'> {
  return merge('ValueInfoProto', declared, {
    name: value.name,
    type: declared && typeUntouched(value) ? declared.type : encodeType(type, declared?.type),
    doc_string: value.doc,
    metadata_props: encodeProps(declared?.metadata_props, value.meta),
  });
}

/**
 * The type of an inner value without names of dimensions that neither its declaration has nor inputs: those of extents that depend on data. Two equal ones
 * would be a promise to the runtime: ONNX Runtime turns `Reshape (x, [Shape (y)[0], 4])` into `Reshape (x, [0, -1])` where x and y share the name of
 * their first dimension, and that fails on the day on which nothing is found (a detector's level without candidates). Those of inputs stay: ONNX Runtime
 * joins Add and LayerNormalization only where it knows that shapes are equal.
 */
export function ownNames(
  { type }: Value,
  declared: ValueType | undefined,
  isOfInputs: (dim: string) => boolean,
): ValueType | undefined {
  if (type?.kind !== 'tensor' || !type.shape?.some((dim) => typeof dim === 'string' && !isOfInputs(dim))) return type;
  const before = declared?.kind === 'tensor' ? declared.shape : undefined;
  return {
    ...type,
    shape: type.shape.map((dim, axis) =>
      typeof dim === 'string' && before?.[axis] !== dim && !isOfInputs(dim) ? undefined : dim,
    ),
  };
}

/** What the type says; denotations and unknown fields of the earlier one stay where they still have a place. */
function encodeType(
  type: ValueType | undefined,
  before: Message<'TypeProto'> | undefined,
): Message<'TypeProto'> | undefined {
  if (!type) return undefined;
  const none = {
    tensor_type: undefined,
    sparse_tensor_type: undefined,
    sequence_type: undefined,
    optional_type: undefined,
    map_type: undefined,
    opaque_type: undefined,
  };
  switch (type.kind) {
    case 'tensor':
      return merge('TypeProto', before, {
        ...none,
        tensor_type: merge('TypeProto.Tensor', before?.tensor_type, {
          elem_type: dtypeCode(type.dtype),
          shape: encodeShape(type.shape, before?.tensor_type?.shape),
        }),
      });
    case 'sparse_tensor':
      return merge('TypeProto', before, {
        ...none,
        sparse_tensor_type: merge('TypeProto.SparseTensor', before?.sparse_tensor_type, {
          elem_type: dtypeCode(type.dtype),
          shape: encodeShape(type.shape, before?.sparse_tensor_type?.shape),
        }),
      });
    case 'sequence': {
      const elem_type = encodeType(type.element, before?.sequence_type?.elem_type);
      const sequence_type = merge('TypeProto.Sequence', before?.sequence_type, { elem_type });
      return merge('TypeProto', before, { ...none, sequence_type });
    }
    case 'optional': {
      const elem_type = encodeType(type.element, before?.optional_type?.elem_type);
      const optional_type = merge('TypeProto.Optional', before?.optional_type, { elem_type });
      return merge('TypeProto', before, { ...none, optional_type });
    }
    case 'map': {
      const value_type = encodeType(type.value, before?.map_type?.value_type);
      const map_type = merge('TypeProto.Map', before?.map_type, { key_type: dtypeCode(type.key), value_type });
      return merge('TypeProto', before, { ...none, map_type });
    }
    case 'opaque':
      return readMessage('TypeProto', type.bytes, defaultLimits);
  }
}

function encodeShape(
  shape: Shape | undefined,
  before: Message<'TensorShapeProto'> | undefined,
): Message<'TensorShapeProto'> | undefined {
  if (!shape) return undefined;
  const dims = before?.dim?.length === shape.length ? before.dim : [];
  return merge('TensorShapeProto', before, {
    dim: shape.map((dim, axis) => {
      const old = dims[axis];
      // Compared by meaning: an extent of 0 and an unknown one differ only in which field is present.
      if (old && decodeDim(old) === dim) return old;
      return merge('TensorShapeProto.Dimension', old && withoutExtent(old), {
        ...(typeof dim === 'number' ? { dim_value: BigInt(dim) } : {}),
        ...(typeof dim === 'string' ? { dim_param: dim } : {}),
      });
    }),
  });
}

/** The dimension with only what is not its extent: denotation and unknown fields. */
function withoutExtent(dim: Message<'TensorShapeProto.Dimension'>): Message<'TensorShapeProto.Dimension'> {
  const bare = merge('TensorShapeProto.Dimension', undefined, { denotation: dim.denotation });
  bare.$unknown = dim.$unknown;
  return bare;
}
