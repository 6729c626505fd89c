/**
 * The first opset at which everything that may be float16 in an operator may be bfloat16 too, from the schemas of ONNX 1.23, and the operators
 * of com.microsoft in ONNX Runtime 1.30. Operators that are not listed have no such form.
 */
const since: Readonly<Record<number, string>> = {
  13: 'Abs Add ArgMax ArgMin Cast Ceil Clip Concat Constant DepthToSpace Div Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gemm Greater Hardmax Identity IsNaN LRN Less Log LogSoftmax MatMul Max Mean MeanVarianceNormalization Min Mod Mul Neg NonZero Pad Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape ScatterElements ScatterND Shape Sigmoid Sign Size Slice Softmax SoftmaxCrossEntropyLoss SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Unsqueeze',
  14: 'BatchNormalization CumSum Trilu',
  15: 'CastLike Pow',
  16: 'GreaterOrEqual If LeakyRelu LessOrEqual Loop PRelu Scan Where',
  17: 'BlackmanWindow DFT HammingWindow HannWindow LayerNormalization MelWeightMatrix STFT',
  18: 'CenterCropPad Col2Im GroupNormalization',
  20: 'AffineGrid ConstantOfShape Gelu IsInf',
  22: 'Acos Acosh Asin Asinh Atan Atanh AveragePool Bernoulli Conv ConvTranspose Cos Cosh DeformConv Det Dropout Elu EyeLike GRU GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample HardSigmoid HardSwish InstanceNormalization LSTM LpNormalization LpPool MaxPool MaxRoiPool MaxUnpool Mish Multinomial NegativeLogLikelihoodLoss RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike RoiAlign Round Selu Sin Sinh Softplus Softsign Tan ThresholdedRelu',
  23: 'Attention RMSNormalization RotaryEmbedding',
  24: 'SplitToSequence Swish TensorScatter TopK',
  26: 'BitCast CumProd',
  27: 'CausalConvWithState LinearAttention Range',
  28: 'Celu Compress Einsum ReverseSequence SwiGLU Unique',
};

const contrib =
  'Attention BiasDropout BiasGelu FastGelu FusedMatMul GatedAdd GatedRMSNorm Gelu GroupQueryAttention LinearAttention MultiHeadAttention QuickGelu RotaryEmbedding SkipLayerNormalization SkipSimplifiedLayerNormalization SparseAttention TransposeMatMul Trilu';

const byOperator = new Map<string, number>([
  ...Object.entries(since).flatMap(([opset, ops]) => ops.split(' ').map((op) => [op, Number(opset)] as const)),
  ...contrib.split(' ').map((op) => [`com.microsoft.${op}`, 1] as const),
]);

/** @param key the operator, with its domain in front where that is not the default */
export const takesBfloat16 = (key: string): number | undefined => byOperator.get(key);
