/** Which inputs and outputs of an operator decide what its kernel must support. */
export interface Tracked {
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** OneHot: the kernel is registered for three types together. */
  readonly triple?: boolean;
}

const firstInput: Tracked = { inputs: [0], outputs: [] };
const firstTwo: Tracked = { inputs: [0, 1], outputs: [] };
const firstOutput: Tracked = { inputs: [], outputs: [0] };

/** Operators of ai.onnx whose kernels depend on the type of their first input. */
const byFirstInput =
  'Abs Add ArgMax ArgMin AveragePool BatchNormalization BitShift Ceil Clip Concat Conv CumSum DequantizeLinear Div Equal Exp Expand Floor Gemm Greater IsNaN Less Log LogSoftmax LpNormalization MatMul Max MaxPool Mean Min Mul Neg NonZero Pad QLinearConv QLinearMatMul Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Resize ReverseSequence RoiAlign Round Scatter ScatterElements ScatterND Shrink Sigmoid Sign Sin Softmax Split SplitToSequence Sqrt Sub Sum Tanh TopK Transpose Unique';

/**
 * Type reduction as ONNX Runtime 1.30 does it (`operator_type_usage_processors.py`). Operators that are not here keep all
 * types: their kernels do not depend on one, or support one only.
 */
const table: ReadonlyMap<string, Tracked> = new Map<string, Tracked>([
  ...byFirstInput.split(' ').map((op): [string, Tracked] => [`ai.onnx:${op}`, firstInput]),
  ...['QLinearAdd', 'QLinearMul', 'QLinearConv'].map((op): [string, Tracked] => [`com.microsoft:${op}`, firstInput]),
  ...['Gather', 'GatherElements', 'Pow', 'Slice'].map((op): [string, Tracked] => [`ai.onnx:${op}`, firstTwo]),
  ...[
    'ConstantOfShape',
    'RandomNormal',
    'RandomNormalLike',
    'RandomUniform',
    'RandomUniformLike',
    'Multinomial',
    'QuantizeLinear',
    'DynamicQuantizeLinear',
  ].map((op): [string, Tracked] => [`ai.onnx:${op}`, firstOutput]),
  ['ai.onnx:Cast', { inputs: [0], outputs: [0] }],
  ['ai.onnx:Where', { inputs: [1], outputs: [] }],
  ['ai.onnx:OneHot', { inputs: [], outputs: [], triple: true }],
]);

export function trackedTypes(key: string): Tracked | undefined {
  return table.get(key);
}
