/**
 * The ONNX schema as data (onnx-ml.proto of ONNX 1.23, IR version 14): message → field → id and kind. Reader, writer
 * and the TypeScript types of messages all come from this one table. Fields keep the names of the specification.
 */

/** Scalar kinds of the wire format. Enums are int32. */
export interface ScalarTypes {
  int32: number;
  int64: bigint;
  float: number;
  string: string;
  bytes: Bytes;
  /** Numbers of a tensor stored in a typed field: kept as encoded, tags included, and decoded on demand. */
  encoded: Uint8Array;
}

/** Bytes of a field: in memory, or delivered in pieces while writing. The reader always gives a Uint8Array. */
export type Bytes = Uint8Array | Payload;

export interface Payload {
  readonly byteLength: number;
  /** Named in messages when what comes is not what was announced. */
  readonly label: string;
  /** Pieces that add up to exactly `byteLength`. */
  chunks(): Iterable<Uint8Array>;
}

export interface Field<K extends string = string, R extends boolean = boolean> {
  readonly id: number;
  readonly kind: K;
  readonly repeated: R;
  /** At most one field of a group is set: the last one read wins. */
  readonly oneof: boolean;
}

function one<K extends string>(id: number, kind: K): Field<K, false> {
  return { id, kind, repeated: false, oneof: false };
}
function choice<K extends string>(id: number, kind: K): Field<K, false> {
  return { id, kind, repeated: false, oneof: true };
}
function many<K extends string>(id: number, kind: K): Field<K, true> {
  return { id, kind, repeated: true, oneof: false };
}

export const schema = {
  ModelProto: {
    ir_version: one(1, 'int64'),
    producer_name: one(2, 'string'),
    producer_version: one(3, 'string'),
    domain: one(4, 'string'),
    model_version: one(5, 'int64'),
    doc_string: one(6, 'string'),
    graph: one(7, 'GraphProto'),
    opset_import: many(8, 'OperatorSetIdProto'),
    metadata_props: many(14, 'StringStringEntryProto'),
    training_info: many(20, 'TrainingInfoProto'),
    functions: many(25, 'FunctionProto'),
    configuration: many(26, 'DeviceConfigurationProto'),
  },
  GraphProto: {
    node: many(1, 'NodeProto'),
    name: one(2, 'string'),
    initializer: many(5, 'TensorProto'),
    doc_string: one(10, 'string'),
    input: many(11, 'ValueInfoProto'),
    output: many(12, 'ValueInfoProto'),
    value_info: many(13, 'ValueInfoProto'),
    quantization_annotation: many(14, 'TensorAnnotation'),
    sparse_initializer: many(15, 'SparseTensorProto'),
    metadata_props: many(16, 'StringStringEntryProto'),
  },
  NodeProto: {
    input: many(1, 'string'),
    output: many(2, 'string'),
    name: one(3, 'string'),
    op_type: one(4, 'string'),
    attribute: many(5, 'AttributeProto'),
    doc_string: one(6, 'string'),
    domain: one(7, 'string'),
    overload: one(8, 'string'),
    metadata_props: many(9, 'StringStringEntryProto'),
    device_configurations: many(10, 'NodeDeviceConfigurationProto'),
  },
  AttributeProto: {
    name: one(1, 'string'),
    f: one(2, 'float'),
    i: one(3, 'int64'),
    s: one(4, 'bytes'),
    t: one(5, 'TensorProto'),
    g: one(6, 'GraphProto'),
    floats: many(7, 'float'),
    ints: many(8, 'int64'),
    strings: many(9, 'bytes'),
    tensors: many(10, 'TensorProto'),
    graphs: many(11, 'GraphProto'),
    doc_string: one(13, 'string'),
    tp: one(14, 'TypeProto'),
    type_protos: many(15, 'TypeProto'),
    type: one(20, 'int32'),
    ref_attr_name: one(21, 'string'),
    sparse_tensor: one(22, 'SparseTensorProto'),
    sparse_tensors: many(23, 'SparseTensorProto'),
  },
  TensorProto: {
    dims: many(1, 'int64'),
    data_type: one(2, 'int32'),
    segment: one(3, 'TensorProto.Segment'),
    float_data: many(4, 'encoded'),
    int32_data: many(5, 'encoded'),
    string_data: many(6, 'bytes'),
    int64_data: many(7, 'encoded'),
    name: one(8, 'string'),
    raw_data: one(9, 'bytes'),
    double_data: many(10, 'encoded'),
    uint64_data: many(11, 'encoded'),
    doc_string: one(12, 'string'),
    external_data: many(13, 'StringStringEntryProto'),
    data_location: one(14, 'int32'),
    metadata_props: many(16, 'StringStringEntryProto'),
  },
  'TensorProto.Segment': { begin: one(1, 'int64'), end: one(2, 'int64') },
  SparseTensorProto: { values: one(1, 'TensorProto'), indices: one(2, 'TensorProto'), dims: many(3, 'int64') },
  TensorAnnotation: {
    tensor_name: one(1, 'string'),
    quant_parameter_tensor_names: many(2, 'StringStringEntryProto'),
  },
  ValueInfoProto: {
    name: one(1, 'string'),
    type: one(2, 'TypeProto'),
    doc_string: one(3, 'string'),
    metadata_props: many(4, 'StringStringEntryProto'),
  },
  TypeProto: {
    tensor_type: choice(1, 'TypeProto.Tensor'),
    sequence_type: choice(4, 'TypeProto.Sequence'),
    map_type: choice(5, 'TypeProto.Map'),
    denotation: one(6, 'string'),
    opaque_type: choice(7, 'TypeProto.Opaque'),
    sparse_tensor_type: choice(8, 'TypeProto.SparseTensor'),
    optional_type: choice(9, 'TypeProto.Optional'),
  },
  'TypeProto.Tensor': { elem_type: one(1, 'int32'), shape: one(2, 'TensorShapeProto') },
  'TypeProto.SparseTensor': { elem_type: one(1, 'int32'), shape: one(2, 'TensorShapeProto') },
  'TypeProto.Sequence': { elem_type: one(1, 'TypeProto') },
  'TypeProto.Optional': { elem_type: one(1, 'TypeProto') },
  'TypeProto.Map': { key_type: one(1, 'int32'), value_type: one(2, 'TypeProto') },
  'TypeProto.Opaque': { domain: one(1, 'string'), name: one(2, 'string') },
  TensorShapeProto: { dim: many(1, 'TensorShapeProto.Dimension') },
  'TensorShapeProto.Dimension': {
    dim_value: choice(1, 'int64'),
    dim_param: choice(2, 'string'),
    denotation: one(3, 'string'),
  },
  OperatorSetIdProto: { domain: one(1, 'string'), version: one(2, 'int64') },
  StringStringEntryProto: { key: one(1, 'string'), value: one(2, 'string') },
  FunctionProto: {
    name: one(1, 'string'),
    input: many(4, 'string'),
    output: many(5, 'string'),
    attribute: many(6, 'string'),
    node: many(7, 'NodeProto'),
    doc_string: one(8, 'string'),
    opset_import: many(9, 'OperatorSetIdProto'),
    domain: one(10, 'string'),
    attribute_proto: many(11, 'AttributeProto'),
    value_info: many(12, 'ValueInfoProto'),
    overload: one(13, 'string'),
    metadata_props: many(14, 'StringStringEntryProto'),
  },
  TrainingInfoProto: {
    initialization: one(1, 'GraphProto'),
    algorithm: one(2, 'GraphProto'),
    initialization_binding: many(3, 'StringStringEntryProto'),
    update_binding: many(4, 'StringStringEntryProto'),
  },
  DeviceConfigurationProto: { name: one(1, 'string'), num_devices: one(2, 'int32'), device: many(3, 'string') },
  NodeDeviceConfigurationProto: {
    configuration_id: one(1, 'string'),
    sharding_spec: many(2, 'ShardingSpecProto'),
    pipeline_stage: one(3, 'int32'),
  },
  ShardingSpecProto: {
    tensor_name: one(1, 'string'),
    device: many(2, 'int64'),
    index_to_device_group_map: many(3, 'IntIntListEntryProto'),
    sharded_dim: many(4, 'ShardedDimProto'),
  },
  IntIntListEntryProto: { key: one(1, 'int64'), value: many(2, 'int64') },
  ShardedDimProto: { axis: one(1, 'int64'), simple_sharding: many(2, 'SimpleShardedDimProto') },
  SimpleShardedDimProto: {
    dim_value: choice(1, 'int64'),
    dim_param: choice(2, 'string'),
    num_shards: one(3, 'int64'),
  },
} as const satisfies Record<string, Record<string, Field>>;

export type Schema = typeof schema;
export type MessageName = keyof Schema;

/** A field ready for reading and writing. */
export interface CompiledField extends Field {
  readonly name: string;
  /** The message kind it holds, undefined for scalars. */
  readonly message: MessageName | undefined;
  /** Names of the fields that this one, when read, puts out of place. */
  readonly alternatives: readonly string[];
}
interface CompiledMessage {
  readonly byId: readonly (CompiledField | undefined)[];
  /** By ascending id, the order in which protobuf's own serializers write. */
  readonly ordered: readonly CompiledField[];
}

const compiled = new Map<string, CompiledMessage>();
for (const [name, fields] of Object.entries<Record<string, Field>>(schema)) {
  const byId: (CompiledField | undefined)[] = [];
  const choices = Object.entries(fields).flatMap(([fieldName, field]) => (field.oneof ? [fieldName] : []));
  for (const [fieldName, field] of Object.entries(fields)) {
    const alternatives = field.oneof ? choices.filter((other) => other !== fieldName) : [];
    const message = Object.hasOwn(schema, field.kind) ? (field.kind as MessageName) : undefined;
    byId[field.id] = { ...field, name: fieldName, message, alternatives };
  }
  compiled.set(name, { byId, ordered: byId.filter((field) => field !== undefined) });
}

export function compiledMessage(name: MessageName): CompiledMessage {
  const message = compiled.get(name);
  if (!message) throw new RangeError(`no message ${name} in the schema`);
  return message;
}
