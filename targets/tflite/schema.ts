import { type Tables, table } from '../../src/flatbuffer/schema.ts';

const ints = { vector: 'int32' } as const;
const tables = (name: string) => ({ vector: { table: name } }) as const;

/** BuiltinOptions: the union's tables in order; those that nothing here writes have no fields of interest. */
const optionNames =
  'Conv2DOptions DepthwiseConv2DOptions ConcatEmbeddingsOptions LSHProjectionOptions Pool2DOptions SVDFOptions RNNOptions FullyConnectedOptions SoftmaxOptions ConcatenationOptions AddOptions L2NormOptions LocalResponseNormalizationOptions LSTMOptions ResizeBilinearOptions CallOptions ReshapeOptions SkipGramOptions SpaceToDepthOptions EmbeddingLookupSparseOptions MulOptions PadOptions GatherOptions BatchToSpaceNDOptions SpaceToBatchNDOptions TransposeOptions ReducerOptions SubOptions DivOptions SqueezeOptions SequenceRNNOptions StridedSliceOptions ExpOptions TopKV2Options SplitOptions LogSoftmaxOptions CastOptions DequantizeOptions MaximumMinimumOptions ArgMaxOptions LessOptions NegOptions PadV2Options GreaterOptions GreaterEqualOptions LessEqualOptions SelectOptions SliceOptions TransposeConvOptions SparseToDenseOptions TileOptions ExpandDimsOptions EqualOptions NotEqualOptions ShapeOptions PowOptions ArgMinOptions FakeQuantOptions PackOptions LogicalOrOptions OneHotOptions LogicalAndOptions LogicalNotOptions UnpackOptions FloorDivOptions SquareOptions ZerosLikeOptions FillOptions BidirectionalSequenceLSTMOptions BidirectionalSequenceRNNOptions UnidirectionalSequenceLSTMOptions FloorModOptions RangeOptions ResizeNearestNeighborOptions LeakyReluOptions SquaredDifferenceOptions MirrorPadOptions AbsOptions SplitVOptions UniqueOptions ReverseV2Options AddNOptions GatherNdOptions CosOptions WhereOptions RankOptions ReverseSequenceOptions MatrixDiagOptions QuantizeOptions MatrixSetDiagOptions HardSwishOptions IfOptions WhileOptions DepthToSpaceOptions NonMaxSuppressionV4Options NonMaxSuppressionV5Options ScatterNdOptions SelectV2Options DensifyOptions SegmentSumOptions BatchMatMulOptions CumsumOptions CallOnceOptions BroadcastToOptions Rfft2dOptions Conv3DOptions HashtableOptions HashtableFindOptions HashtableImportOptions HashtableSizeOptions VarHandleOptions ReadVariableOptions AssignVariableOptions RandomOptions BucketizeOptions GeluOptions'.split(
    ' ',
  );

const activation = ['fused_activation_function', 'int8'] as const;

/** Tables of a TensorFlow Lite model, schema version 3 (tensorflow 2.21, lite/schema/schema.fbs). */
export const tfliteTables: Tables = {
  ...Object.fromEntries(optionNames.map((name) => [name, table()])),
  Model: table(
    ['version', 'uint32'],
    ['operator_codes', tables('OperatorCode')],
    ['subgraphs', tables('SubGraph')],
    ['description', 'string'],
    ['buffers', tables('Buffer')],
    ['metadata_buffer', ints],
    ['metadata', tables('Metadata')],
  ),
  OperatorCode: table(
    ['deprecated_builtin_code', 'int8'],
    ['custom_code', 'string'],
    ['version', 'int32', 1],
    ['builtin_code', 'int32'],
  ),
  SubGraph: table(
    ['tensors', tables('Tensor')],
    ['inputs', ints],
    ['outputs', ints],
    ['operators', tables('Operator')],
    ['name', 'string'],
  ),
  Tensor: table(
    ['shape', ints],
    ['type', 'int8'],
    ['buffer', 'uint32'],
    ['name', 'string'],
    ['quantization', { table: 'QuantizationParameters' }],
  ),
  QuantizationParameters: table(
    ['min', { vector: 'float32' }],
    ['max', { vector: 'float32' }],
    ['scale', { vector: 'float32' }],
    ['zero_point', { vector: 'int64' }],
    ['details_type', 'uint8'],
    null,
    ['quantized_dimension', 'int32'],
  ),
  Buffer: table(['data', 'bytes']),
  Metadata: table(['name', 'string'], ['buffer', 'uint32']),
  Operator: table(
    ['opcode_index', 'uint32'],
    ['inputs', ints],
    ['outputs', ints],
    ['builtin_options', { union: optionNames }],
  ),
  Conv2DOptions: table(
    ['padding', 'int8'],
    ['stride_w', 'int32'],
    ['stride_h', 'int32'],
    activation,
    ['dilation_w_factor', 'int32', 1],
    ['dilation_h_factor', 'int32', 1],
  ),
  DepthwiseConv2DOptions: table(
    ['padding', 'int8'],
    ['stride_w', 'int32'],
    ['stride_h', 'int32'],
    ['depth_multiplier', 'int32'],
    activation,
    ['dilation_w_factor', 'int32', 1],
    ['dilation_h_factor', 'int32', 1],
  ),
  Pool2DOptions: table(
    ['padding', 'int8'],
    ['stride_w', 'int32'],
    ['stride_h', 'int32'],
    ['filter_width', 'int32'],
    ['filter_height', 'int32'],
    activation,
  ),
  FullyConnectedOptions: table(activation, ['weights_format', 'int8'], ['keep_num_dims', 'bool']),
  ConcatenationOptions: table(['axis', 'int32'], activation),
  AddOptions: table(activation, ['pot_scale_int16', 'bool', 1]),
  SubOptions: table(activation, ['pot_scale_int16', 'bool', 1]),
  MulOptions: table(activation),
  DivOptions: table(activation),
  SoftmaxOptions: table(['beta', 'float32']),
  ReshapeOptions: table(['new_shape', ints]),
  ResizeBilinearOptions: table(null, null, ['align_corners', 'bool'], ['half_pixel_centers', 'bool']),
  ResizeNearestNeighborOptions: table(['align_corners', 'bool'], ['half_pixel_centers', 'bool']),
  DepthToSpaceOptions: table(['block_size', 'int32']),
  GatherOptions: table(['axis', 'int32'], ['batch_dims', 'int32']),
  ReducerOptions: table(['keep_dims', 'bool']),
  StridedSliceOptions: table(
    ['begin_mask', 'int32'],
    ['end_mask', 'int32'],
    ['ellipsis_mask', 'int32'],
    ['new_axis_mask', 'int32'],
    ['shrink_axis_mask', 'int32'],
  ),
  CastOptions: table(['in_data_type', 'int8'], ['out_data_type', 'int8']),
  TransposeConvOptions: table(['padding', 'int8'], ['stride_w', 'int32'], ['stride_h', 'int32'], activation),
  ArgMaxOptions: table(['output_type', 'int8']),
  MirrorPadOptions: table(['mode', 'int8']),
  LeakyReluOptions: table(['alpha', 'float32']),
  BatchMatMulOptions: table(['adj_x', 'bool'], ['adj_y', 'bool']),
  GeluOptions: table(['approximate', 'bool']),
};

/** BuiltinOperator codes of what this writes and reads. */
export const builtin = {
  ...{ ADD: 0, AVERAGE_POOL_2D: 1, CONCATENATION: 2, CONV_2D: 3, DEPTHWISE_CONV_2D: 4, DEPTH_TO_SPACE: 5 },
  ...{ DEQUANTIZE: 6, FLOOR: 8, FULLY_CONNECTED: 9, LOGISTIC: 14, MAX_POOL_2D: 17, MUL: 18, RELU: 19, RELU6: 21 },
  ...{ RESHAPE: 22, RESIZE_BILINEAR: 23, SOFTMAX: 25, TANH: 28, PAD: 34, GATHER: 36, TRANSPOSE: 39, MEAN: 40, SUB: 41 },
  ...{
    DIV: 42,
    STRIDED_SLICE: 45,
    EXP: 47,
    LOG_SOFTMAX: 50,
    CAST: 53,
    PRELU: 54,
    MAXIMUM: 55,
    ARG_MAX: 56,
    MINIMUM: 57,
  },
  ...{ LESS: 58, NEG: 59, PADV2: 60, GREATER: 61, GREATER_EQUAL: 62, LESS_EQUAL: 63, SLICE: 65, SIN: 66 },
  ...{ TRANSPOSE_CONV: 67, TILE: 69, EQUAL: 71, NOT_EQUAL: 72, LOG: 73, SUM: 74, SQRT: 75, RSQRT: 76, POW: 78 },
  ...{
    REDUCE_PROD: 81,
    REDUCE_MAX: 82,
    LOGICAL_OR: 84,
    LOGICAL_AND: 86,
    LOGICAL_NOT: 87,
    REDUCE_MIN: 89,
    FLOOR_MOD: 95,
  },
  ...{ RESIZE_NEAREST_NEIGHBOR: 97, LEAKY_RELU: 98, SQUARED_DIFFERENCE: 99, MIRROR_PAD: 100, ABS: 101, CEIL: 104 },
  ...{ COS: 108, ELU: 111, QUANTIZE: 114, ROUND: 116, HARD_SWISH: 117, SELECT_V2: 123, BATCH_MATMUL: 126 },
  ...{ BROADCAST_TO: 130, GELU: 150, SIGN: 158 },
} as const;

export type OpName = keyof typeof builtin;

/** TensorType codes. */
export const tensorTypes = {
  float32: 0,
  float16: 1,
  int32: 2,
  uint8: 3,
  int64: 4,
  bool: 6,
  int16: 7,
  int8: 9,
  float64: 10,
} as const;

export type TensorType = keyof typeof tensorTypes;

/** ActivationFunctionType codes. */
export const activations = { none: 0, relu: 1, relu6: 3 } as const;

export type Activation = keyof typeof activations;
