/**
 * Which inputs and outputs of an operator may be float16, from the type constraints of the schemas of ONNX 1.23 (opsets
 * 1 to 28) and of ONNX Runtime 1.30 (com.microsoft). One character per input, `>`, one per output:
 *   A, B, …   a type variable that allows float32 and float16; equal letters have equal types
 *   a, b, …   a type variable that allows float32 but not float16
 *   !         float32 and nothing else (or an input that runtimes read as float32: Resize's roi and scales, the gains of GroupNorm)
 *   ~         a sequence, optional or map that may hold float32
 *   -         never float32
 *   *         behind a character: any number of them
 * Operators are listed with the opset that brought the form (1 where none is given). Control flow is not listed.
 */
const onnx: Readonly<Record<string, string>> = {
  '!!-!!>-': 'NonMaxSuppression@10',
  '!>!': 'Celu@12',
  '!>-!-': 'DynamicQuantizeLinear@11',
  '-!--!-!-->-': 'QLinearConv@10',
  '-!--!-!->-': 'QLinearMatMul@10',
  '-!->!': 'DequantizeLinear@10',
  '---->-': 'ConvInteger@10 MatMulInteger@10',
  '---AA>B': 'MelWeightMatrix@17',
  '-->-': 'And BitShift@11 BitwiseAnd@18 BitwiseOr@18 BitwiseXor@18 Equal Or StringConcat@20 Xor',
  '->!': 'TfIdfVectorizer@9',
  '->-': 'BitwiseNot@18 ImageDecoder@20 Not RegexFullMatch@20 StringNormalizer@10',
  '->--': 'StringSplit@20',
  '->A': 'BlackmanWindow@17 ConstantOfShape@9 HammingWindow@17 HannWindow@17',
  '-A--A-A->-': 'QLinearMatMul@21',
  '-A->A': 'DequantizeLinear@19',
  '-A->B': 'DequantizeLinear@23',
  '-AA>A': 'Where@9',
  '>A': 'Constant RandomNormal RandomUniform',
  '>~': 'SequenceEmpty@11',
  'A!!->A': 'Resize@11',
  'A!>A': 'Resize@10 Upsample@9',
  'A*>A': 'Concat Einsum@12 Max Mean Min Sum',
  'A*>~': 'SequenceConstruct@11',
  'A---->A': 'Slice@10',
  'A-->A': 'Col2Im@18 DFT@20 MaxUnpool@9',
  'A->A':
    'AffineGrid@20 CenterCropPad@18 Compress@9 CumProd@26 CumSum@14 DFT@17 Expand@8 Gather GatherElements@11 GatherND@11 ReduceL1@18 ReduceL2@18 ReduceLogSum@18 ReduceLogSumExp@18 ReduceMax@18 ReduceMean@18 ReduceMin@18 ReduceProd@18 ReduceSum@13 ReduceSumSquare@18 Reshape@5 ReverseSequence@10 Squeeze@13 Tile@6 Trilu@14 Unsqueeze@13',
  'A->A*': 'Split@13',
  'A->A-': 'TopK@10',
  'A->~': 'SplitToSequence@11',
  'A-A->A': 'Pad@18 STFT@17',
  'A-A>A': 'NegativeLogLikelihoodLoss@12 Pad@11 Scatter@9 ScatterElements@11 ScatterND@11',
  'A-A>AA': 'SoftmaxCrossEntropyLoss@12',
  'A>-': 'ArgMax ArgMin IsInf@20 IsNaN@9 Multinomial@7 NonZero@9 OptionalHasElement@18 Shape Size',
  'A>A':
    'Abs Acos@7 Acosh@9 Asin@7 Asinh@9 Atan@7 Atanh@9 AveragePool Ceil Celu@28 Clip Cos@7 Cosh@9 DepthToSpace Det@11 Elu Erf@9 Exp Flatten Floor Gelu@20 GlobalAveragePool GlobalLpPool GlobalMaxPool HardSigmoid HardSwish@14 Hardmax Identity LRN LeakyRelu Log LogSoftmax LpNormalization LpPool MaxPool MeanVarianceNormalization@9 Mish@18 Neg Pad Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round@11 Selu Shrink@9 Sigmoid Sign@9 Sin@7 Sinh@9 Slice Softmax Softplus Softsign SpaceToDepth Sqrt Squeeze Swish@24 Tan@7 Tanh ThresholdedRelu@10 Transpose Unsqueeze Upsample',
  'A>A*': 'Split@2',
  'A>A-': 'Dropout@10 MaxPool@8 TopK',
  'A>A---': 'Unique@11',
  'A>AA': 'Dropout',
  'A>B': 'Bernoulli@15 BitCast@26 Cast EyeLike@9 OptionalGetElement@18 RandomNormalLike RandomUniformLike',
  'A>~': 'Optional@15',
  'AA->-': 'QuantizeLinear@19',
  'AA->A': 'RoiAlign@10 TensorScatter@24',
  'AA>-': 'Equal@11 Greater GreaterOrEqual@12 Less LessOrEqual@12',
  'AA>A': 'Add Div MatMul MaxRoiPool Mod@10 Mul PRelu Pow Sub SwiGLU@28',
  'AA>A*': 'Split',
  'AA>Ab': 'SimplifiedLayerNormalization',
  'AAA->A': 'RotaryEmbedding@23',
  'AAA>A': 'Clip@11 Conv ConvTranspose Gemm GroupNormalization@18 InstanceNormalization Range@27 Tile',
  'AAA>Abb': 'LayerNormalization@17',
  'AAAA-A>AA': 'GRU RNN',
  'AAAA-AAA>AAA': 'LSTM',
  'AAAA>AA': 'CausalConvWithState@27',
  'AAAAA>A': 'DeformConv@19',
  'AAAAA>AAAAA': 'BatchNormalization',
  'AAABAA>AB': 'LinearAttention@27',
  'AAABB>ABB': 'BatchNormalization@14',
  'AABCAB->AABA': 'Attention@24',
  'AABCAB>AABA': 'Attention@23',
  'AB->-': 'QuantizeLinear@23',
  'AB->A-': 'Dropout@12',
  'AB>A': 'GridSample@16 Pow@12',
  'AB>B': 'CastLike@15 RMSNormalization@23',
  'ABBCC>ACC': 'BatchNormalization@15',
  'ABC>C': 'OneHot@9',
  'a!->-': 'QuantizeLinear@10',
  'a->a': 'CumSum@11',
  'a>-': 'IsInf@10',
  'aaa>a': 'Range@11',
  '~->A': 'SequenceAt@11',
  '~->~': 'SequenceErase@11',
  '~>-': 'OptionalHasElement@15 SequenceLength@11',
  '~>A': 'ConcatFromSequence@11 OptionalGetElement@15',
  '~A*>~*': 'SequenceMap@17',
  '~A->~': 'SequenceInsert@11',
};

const microsoft: Readonly<Record<string, string>> = {
  '!-!-!>!': 'DynamicQuantizeMatMul',
  '!--!-!!!!-!->!!!': 'DynamicQuantizeLSTM',
  '!->!': 'MaxpoolWithMask',
  '!-a*>-': 'QLinearConcat',
  '-!-!->-':
    'QLinearAveragePool QLinearGlobalAveragePool QLinearLeakyRelu QLinearReduceMean QLinearSigmoid QLinearSoftmax',
  '-!--!-!-->-': 'QLinearConv',
  '-!--!-!->-': 'QLinearAdd QLinearMul',
  '-!--!--!->a': 'QGemm',
  '--!--!-!->-': 'QLinearWhere',
  '--------!!!!!----->!-': 'QEmbedLayerNormalization',
  '---->-': 'MulInteger',
  '-->-': 'MatMulInteger16',
  '--A->A': 'GatherBlockQuantized',
  '--AA--A>A': 'MatMulIntegerToFloat',
  '--AAA---A>AA': 'QAttention',
  '--AAAAA-->A-A': 'EmbedLayerNormalization',
  '->-': 'NhwcMaxPool ReduceSumInteger',
  '-A->A': 'DequantizeLinear',
  'A!!>A': 'GroupNorm',
  'A!!A>AA': 'LinearAttentionGate',
  'A!!AA>AA': 'SkipGroupNorm',
  'A-->A': 'RelativePositionBias',
  'A->A': 'ExpandDims GatherND Trilu',
  'A-A>A': 'MatMulBnb4 Pad',
  'A-AA>A': 'MRotaryEmbedding RotaryEmbedding',
  'A-AB-A>A': 'MatMulNBits',
  'A>A': 'Gelu Inverse Irfft QuickGelu Rfft',
  'A>A--': 'Unique',
  'AA->-': 'QuantizeLinear',
  'AA-A>A': 'ConvTransposeWithDynamicPads',
  'AA-AA->AAA': 'VarlenCausalConvWithState',
  'AA-BA-BA-BA---A!!!!BB>A': 'QMoE',
  'AA>A':
    'BiasGelu BiasSoftmax BiasSplitGelu ComplexMul ComplexMulConj FastGelu FusedMatMul FusedMatMulActivation TransposeMatMul',
  'AA>B': 'GridSample',
  'AAA-!!!!!-->A!!': 'GatedDeltaNet',
  'AAA--A>A': 'PackedAttention',
  'AAA-AA->AA': 'Attention',
  'AAA-AA-AA-AA>AAAA': 'MatMulNBitsQkv',
  'AAA-AA-AA>AA': 'MatMulNBitsMlp',
  'AAA>A': 'BiasAdd FusedGemm GatedAdd GatedRMSNorm GemmFastGelu NhwcConv',
  'AAAA--A>A': 'PackedMultiHeadAttention',
  'AAAA-AAA-->AAAB': 'MultiHeadAttention',
  'AAAA>A': 'FusedConv NhwcFusedConv',
  'AAAA>A!!A': 'SkipSimplifiedLayerNormalization',
  'AAAA>AA': 'CausalConvWithState',
  'AAAAA----AA>AAA': 'SparseAttention',
  'AAAAA-AA---->AAA': 'DecoderAttention',
  'AAAAA>A': 'EngramGate',
  'AAAAA>A!!A': 'SkipLayerNormalization',
  'AAAAAA->A': 'GatedRelativePositionBias LongformerAttention',
  'AAAAAAAA>A': 'MoE',
  'AAAB->A-': 'BiasDropout BitmaskBiasDropout',
  'AAABAA>AB': 'LinearAttention',
  'AAABB--AA-AA!!AA>ABBA': 'GroupQueryAttention',
  'AB->A-': 'BitmaskDropout',
  'aa>a': 'CDist',
  'aaa>a': 'Range',
};

export interface Signature {
  readonly inputs: string;
  readonly outputs: string;
  readonly variadicInputs: boolean;
  readonly variadicOutputs: boolean;
}

const byOperator = new Map<string, { since: number; signature: Signature }[]>();
for (const [prefix, forms] of [
  ['', onnx],
  ['com.microsoft.', microsoft],
] as const) {
  for (const [form, operators] of Object.entries(forms)) {
    const [inputs = '', outputs = ''] = form.split('>');
    const signature: Signature = {
      inputs: inputs.replace('*', ''),
      outputs: outputs.replace('*', ''),
      variadicInputs: inputs.endsWith('*'),
      variadicOutputs: outputs.endsWith('*'),
    };
    for (const operator of operators.split(' ')) {
      const [name = '', since = '1'] = operator.split('@');
      const versions = byOperator.get(prefix + name) ?? [];
      byOperator.set(
        prefix + name,
        [...versions, { since: Number(since), signature }].sort((a, b) => b.since - a.since),
      );
    }
  }
}

/** The form of an operator at an opset; undefined for operators that are not in the table. */
export function signatureOf(op: string, domain: string, opset: number): Signature | undefined {
  const key = domain === '' ? op : `${domain}.${op}`;
  return byOperator.get(key)?.find(({ since }) => since <= (domain === '' ? opset : 1))?.signature;
}

/** Whether a later opset of the operator takes float16 where `signature` does not: the opset, for advice. */
export function laterHalf(op: string, domain: string, opset: number): number | undefined {
  const versions = domain === '' ? byOperator.get(op) : undefined;
  return versions
    ?.filter(({ since, signature }) => since > opset && /[A-Z]/.test(signature.inputs + signature.outputs))
    .at(-1)?.since;
}

export function inputClass(signature: Signature, index: number): string {
  const { inputs, variadicInputs } = signature;
  return inputs[variadicInputs ? Math.min(index, inputs.length - 1) : index] ?? '-';
}

export function outputClass(signature: Signature, index: number): string {
  const { outputs, variadicOutputs } = signature;
  return outputs[variadicOutputs ? Math.min(index, outputs.length - 1) : index] ?? '-';
}

/** The class stands for a variable that may be float16. */
export const canBeHalf = (letter: string): boolean => letter >= 'A' && letter <= 'Z';
