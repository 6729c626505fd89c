/**
 * Operators that stay in float32: no half kernels in common runtimes, results that depend on small differences
 * (indices, counts), or sums that lose their small terms. ONNX Runtime's list, and the quantized operators.
 */
const common = 'it is on the list of operators that runtimes do not compute well in float16';

export const blockedOperators: ReadonlyMap<string, string> = new Map([
  ...(
    'CumSum CumProd Max Min NonMaxSuppression Range RoiAlign TopK Upsample RandomUniformLike MaxRoiPool ' +
    'ai.onnx.ml.ArrayFeatureExtractor ai.onnx.ml.Binarizer ai.onnx.ml.CastMap ai.onnx.ml.CategoryMapper ai.onnx.ml.DictVectorizer ' +
    'ai.onnx.ml.FeatureVectorizer ai.onnx.ml.Imputer ai.onnx.ml.LabelEncoder ai.onnx.ml.LinearClassifier ai.onnx.ml.LinearRegressor ' +
    'ai.onnx.ml.Normalizer ai.onnx.ml.OneHotEncoder ai.onnx.ml.SVMClassifier ai.onnx.ml.SVMRegressor ai.onnx.ml.Scaler ' +
    'ai.onnx.ml.TreeEnsembleClassifier ai.onnx.ml.TreeEnsembleRegressor ai.onnx.ml.TreeEnsemble ai.onnx.ml.ZipMap'
  )
    .split(' ')
    .map((op): [string, string] => [op, common]),
  ...'QuantizeLinear DequantizeLinear QLinearConv QLinearMatMul com.microsoft.QuantizeLinear com.microsoft.DequantizeLinear'
    .split(' ')
    .map((op): [string, string] => [
      op,
      'it is quantized already, and kernels for 8-bit arithmetic take float32 scales',
    ]),
  ...'RandomNormal RandomUniform RandomNormalLike Bernoulli EyeLike BlackmanWindow HammingWindow HannWindow MelWeightMatrix'
    .split(' ')
    .map((op): [string, string] => [
      op,
      'it makes values, for which the CPU provider of ONNX Runtime has no float16 kernel',
    ]),
  // Written out as a function where there is no kernel, whose constants are float32 (1.30 refuses it, or fails when it runs).
  ...'AffineGrid MeanVarianceNormalization'
    .split(' ')
    .map((op): [string, string] => [
      op,
      'ONNX Runtime has no float16 kernel for it, and does not run the function that it writes out instead',
    ]),
]);

/** Operators that only move elements: they take the precision of their surroundings. */
export const movers: ReadonlySet<string> = new Set(
  'Identity Reshape Transpose Squeeze Unsqueeze Flatten Slice Gather GatherElements GatherND Concat Split Expand Tile Dropout ReverseSequence DepthToSpace SpaceToDepth Compress Trilu'.split(
    ' ',
  ),
);

/** Operators whose inputs of large magnitude lose too much in half precision. */
export const sensitiveInputs: ReadonlySet<string> = new Set(
  'Softmax LogSoftmax LayerNormalization SimplifiedLayerNormalization RMSNormalization InstanceNormalization GroupNormalization LpNormalization MeanVarianceNormalization com.microsoft.SkipLayerNormalization com.microsoft.SkipSimplifiedLayerNormalization com.microsoft.GroupNorm'.split(
    ' ',
  ),
);

export const operatorKey = (node: { readonly op: string; readonly domain: string }): string =>
  node.domain === '' ? node.op : `${node.domain}.${node.op}`;
