/** ONNX element type → datatype of the Open Inference Protocol v2. The server bundle carries its own table: it stands alone. */
export const protocolDatatypes: Readonly<Record<string, string>> = {
  bool: 'BOOL',
  string: 'BYTES',
  float16: 'FP16',
  float32: 'FP32',
  float64: 'FP64',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
};
