import { field, type Messages, message } from '../../src/protobuf/schema.ts';

/**
 * The part of Core ML's model format that ML programs of fixed shapes need, by the numbers of coremltools 9 (mlmodel/format/Model.proto, FeatureTypes.proto,
 * MIL.proto). Names keep those of the specification.
 */
export const coremlMessages: Messages = {
  Model: message(
    field(1, 'specificationVersion', 'int32'),
    field(2, 'description', 'ModelDescription'),
    field(502, 'mlProgram', 'Program'),
  ),
  ModelDescription: message(
    field(1, 'input', 'FeatureDescription', 'many'),
    field(10, 'output', 'FeatureDescription', 'many'),
    field(100, 'metadata', 'Metadata'),
  ),
  FeatureDescription: message(
    field(1, 'name', 'string'),
    field(2, 'shortDescription', 'string'),
    field(3, 'type', 'FeatureType'),
  ),
  FeatureType: message(field(5, 'multiArrayType', 'ArrayFeatureType')),
  ArrayFeatureType: message(field(1, 'shape', 'int64', 'many'), field(2, 'dataType', 'int32')),
  Metadata: message(
    field(1, 'shortDescription', 'string'),
    field(2, 'versionString', 'string'),
    field(3, 'author', 'string'),
    field(4, 'license', 'string'),
    field(100, 'userDefined', 'string', 'map'),
  ),
  Program: message(field(1, 'version', 'int64'), field(2, 'functions', 'Function', 'map')),
  Function: message(
    field(1, 'inputs', 'NamedValueType', 'many'),
    field(2, 'opset', 'string'),
    field(3, 'block_specializations', 'Block', 'map'),
  ),
  Block: message(field(2, 'outputs', 'string', 'many'), field(3, 'operations', 'Operation', 'many')),
  Operation: message(
    field(1, 'type', 'string'),
    field(2, 'inputs', 'Argument', 'map'),
    field(3, 'outputs', 'NamedValueType', 'many'),
    field(5, 'attributes', 'Value', 'map'),
  ),
  Argument: message(field(1, 'arguments', 'Binding', 'many')),
  Binding: message(field(1, 'name', 'string')),
  NamedValueType: message(field(1, 'name', 'string'), field(2, 'type', 'ValueType')),
  ValueType: message(field(1, 'tensorType', 'TensorType')),
  TensorType: message(
    field(1, 'dataType', 'int32'),
    field(2, 'rank', 'int64'),
    field(3, 'dimensions', 'Dimension', 'many'),
  ),
  Dimension: message(field(1, 'constant', 'ConstantDimension')),
  ConstantDimension: message(field(1, 'size', 'uint64')),
  Value: message(
    field(2, 'type', 'ValueType'),
    field(3, 'immediateValue', 'ImmediateValue'),
    field(5, 'blobFileValue', 'BlobFileValue'),
  ),
  ImmediateValue: message(field(1, 'tensor', 'TensorValue')),
  BlobFileValue: message(field(1, 'fileName', 'string'), field(2, 'offset', 'uint64')),
  TensorValue: message(
    field(1, 'floats', 'RepeatedFloats'),
    field(2, 'ints', 'RepeatedInts'),
    field(3, 'bools', 'RepeatedBools'),
    field(4, 'strings', 'RepeatedStrings'),
    field(7, 'bytes', 'RepeatedBytes'),
  ),
  RepeatedFloats: message(field(1, 'values', 'float', 'many')),
  RepeatedInts: message(field(1, 'values', 'int32', 'many')),
  RepeatedBools: message(field(1, 'values', 'bool', 'many')),
  RepeatedStrings: message(field(1, 'values', 'string', 'many')),
  RepeatedBytes: message(field(1, 'values', 'bytes')),
};

/** DataType codes of MIL. */
export const milTypes = { bool: 1, string: 2, fp16: 10, fp32: 11, int32: 23 } as const;

export type MilType = keyof typeof milTypes;

/** ArrayDataType codes of inputs and outputs. */
export const arrayTypes = { fp32: 65_568, int32: 131_104 } as const;

/** Core ML 5 (iOS 15, macOS 12) is the first with ML programs: everything written here is in its set of operators. */
export const specificationVersion = 6;
export const opset = 'CoreML5';

/** Core ML takes tensors of at most five axes. */
export const maxRank = 5;

export const weightsName = '@model_path/weights/weight.bin';
/** BlobDataType codes (MILBlob/Blob/StorageFormat.hpp). */
export const blobTypes = { fp16: 1, fp32: 2 } as const;
export const blobSentinel = 0xdeadbeef;
export const blobAlignment = 64;
