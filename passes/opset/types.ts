/** Element types that came later than opset 13 (operator changelog of ONNX 1.23), to all operators or to single ones. */
import type { Node } from '../../src/ir/graph.ts';
import type { ValueTypes } from '../../src/rewrite/rule.ts';

const everywhere: readonly (readonly [opset: number, dtypes: RegExp])[] = [
  [25, /^u?int2$/],
  [24, /^float8e8m0$/],
  [23, /^float4/],
  [21, /^u?int4$/],
  [19, /^float8/],
];

/** Operators by the opset since when they take these types. */
const widened: readonly (readonly [opset: number, dtypes: string, ops: string])[] = [
  [14, 'int8 int16 uint8 uint16', 'Add Sub Mul Div'],
  [14, 'int8 int16 int32 int64', 'Relu'],
  [14, 'float16 bfloat16', 'CumSum'],
  [14, 'bfloat16', 'BatchNormalization'],
  [16, 'bfloat16', 'GreaterOrEqual LeakyRelu LessOrEqual PRelu Scan Where'],
  [19, 'float16 bfloat16', 'QuantizeLinear DequantizeLinear'],
  [19, 'string', 'Equal'],
  [20, 'bool', 'ReduceMax ReduceMin'],
  [20, 'float16 bfloat16', 'IsInf'],
  [21, 'int16 uint16', 'QuantizeLinear DequantizeLinear'],
  [21, 'float16 bfloat16', 'QLinearMatMul'],
  [
    22,
    'bfloat16',
    `Acos Acosh Asin Asinh Atan Atanh AveragePool Bernoulli Conv ConvTranspose Cos Cosh DeformConv Det Dropout Elu EyeLike GRU
    GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample HardSigmoid HardSwish InstanceNormalization LSTM LpNormalization LpPool
    MaxPool MaxRoiPool MaxUnpool Mish Multinomial NegativeLogLikelihoodLoss RNN RandomNormalLike RandomUniformLike RoiAlign Round Selu
    Sin Sinh Softplus Softsign Tan ThresholdedRelu`,
  ],
  [24, 'bfloat16', 'SplitToSequence TopK'],
];

const widenedBy = new Map<string, number>();
for (const [opset, dtypes, ops] of widened)
  for (const op of ops.split(/\s+/)) for (const dtype of dtypes.split(' ')) widenedBy.set(`${op} ${dtype}`, opset);

/** Why an element type of the node cannot be in opset `to`. */
export function typeObstacle(node: Node, to: number, types: ValueTypes): string | undefined {
  for (const value of [...node.inputs, ...node.outputs]) {
    const dtype = types.dtypeOf(value);
    if (!dtype) continue;
    const since = everywhere.find(([, dtypes]) => dtypes.test(dtype))?.[0] ?? 0;
    if (since > to) return `${dtype} came with opset ${since}`;
    const taken = widenedBy.get(`${node.op} ${dtype}`) ?? 0;
    if (taken > to) return `${node.op} takes ${dtype} since opset ${taken}`;
  }
  return undefined;
}
