import { constantOf } from './constant.ts';
import type { DType } from './dtype.ts';
import type { Graph, Model, Node, Value } from './graph.ts';
import { inferShapes } from './infer/infer.ts';
import { raiseResize } from './opset-resize.ts';
import { int64Vector, type Tensor, tensorFrom } from './tensor.ts';
import type { ValueType } from './types.ts';

/**
 * Raises the default domain's opset. What may be raised is written down op by op (the operator changelog of ONNX 1.18): ops
 * whose meaning is the same in both versions pass, a few are put into their new form, everything else is a reason to stay.
 */

/** The first with per-channel QuantizeLinear: what quantization asks for. */
const quantizableOpset = 13;
/** The newest that is written down here. */
export const newestOpset = 23;
/** Below this the broadcasting of Add and Mul, BatchNormalization and others meant something else. */
export const oldestOpset = 7;

/** Puts a node into its newer form, or says why it cannot. `check` only asks. */
type Conversion = (node: Node, site: Site) => string | undefined;

type TensorType = Extract<ValueType, { readonly dtype: DType }>;

interface Site {
  readonly from: number;
  readonly to: number;
  readonly check: boolean;
  /** Element type and shape of a value, inferred where the file does not say. */
  readonly typeOf: (value: Value | undefined) => TensorType | undefined;
  /** A new constant input before the node. */
  readonly constant: (name: string, tensor: Tensor) => Value;
}

/** Ops that mean the same in every version from 7 to 23 in which they exist (types and ranks they accept only grew). */
const unchanged = new Set(
  `Abs AffineGrid Attention Bernoulli BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow CastLike CenterCropPad Col2Im DeformConv Gelu
  HammingWindow HannWindow HardSwish LayerNormalization MaxRoiPool MaxUnpool MelWeightMatrix Mish NegativeLogLikelihoodLoss Optional
  OptionalGetElement OptionalHasElement RMSNormalization RotaryEmbedding RegexFullMatch STFT SequenceAt SequenceConstruct SequenceEmpty
  SequenceErase SequenceInsert SequenceLength SequenceMap SoftmaxCrossEntropyLoss SplitToSequence StringConcat StringNormalizer StringSplit
  TfIdfVectorizer Trilu Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BitShift Cast Ceil Celu Compress Concat
  ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Det Div
  DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gemm
  GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual HardSigmoid Identity If InstanceNormalization IsInf IsNaN
  LRN LSTM LeakyRelu Less LessOrEqual Log Loop LpNormalization LpPool MatMul MatMulInteger Max MaxPool Mean
  MeanVarianceNormalization Min Mod Mul Multinomial Neg NonMaxSuppression NonZero Not OneHot Or PRelu Pow QLinearConv
  QLinearMatMul QuantizeLinear RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal   Relu Reshape
  ReverseSequence Round ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Softplus Softsign
  SpaceToDepth Sqrt Sub Sum Tan Tanh ThresholdedRelu Tile Transpose Unique Where Xor`.split(/\s+/),
);

const conversions: Readonly<Record<string, Conversion>> = {
  Squeeze: attributeToInput('axes', 13),
  Unsqueeze: attributeToInput('axes', 13),
  ReduceSum: attributeToInput('axes', 13),
  Split(node, site) {
    attributeToInput('split', 13)(node, site);
    const { from, to, check } = site;
    if (from >= 18 || to < 18 || check || node.input(1)) return undefined;
    node.setAttr('num_outputs', node.outputs.length);
    return undefined;
  },
  ...Object.fromEntries(
    'L1 L2 LogSum LogSumExp Max Mean Min Prod SumSquare'
      .split(' ')
      .map((name) => [`Reduce${name}`, attributeToInput('axes', 18)]),
  ),
  RoiAlign(node, { from, to, check }) {
    if (from < 16 && to >= 16 && !check) node.setAttr('coordinate_transformation_mode', 'output_half_pixel');
    return undefined;
  },
  GridSample(node, { from, to, check }) {
    const mode = node.string('mode') ?? 'bilinear';
    if (from < 20 && to >= 20 && !check) node.setAttr('mode', mode.replace(/^bi(?=linear|cubic)/, ''));
    return undefined;
  },
  GroupNormalization: unlessCrossing(
    21,
    'its scale has one number for each group before opset 21, and one for each channel since',
  ),
  DFT: unlessCrossing(20, 'its axis became an input in opset 20'),
  BatchNormalization(node, { from, check, typeOf }) {
    if (from >= 14) return undefined;
    // Statistics of the batch among the outputs, read or not, are how training was said (ONNX Runtime trains then, too).
    if (node.outputs.length > 1) return 'it is in training mode';
    // An activation of a matrix is a channel.
    if (node.int('spatial', 1) !== 1 && typeOf(node.input(0))?.shape?.length !== 2)
      return 'it normalizes every activation on its own (spatial = 0)';
    if (!check) node.removeAttr('spatial');
    return undefined;
  },
  Softmax: lastAxis,
  LogSoftmax: lastAxis,
  Hardmax: lastAxis,
  Clip(node, { from, check, constant, typeOf }) {
    if (from >= 11) return undefined;
    if (typeOf(node.input(0))?.dtype !== 'float32') return notFloat32(node, typeOf);
    if (check) return undefined;
    for (const [index, name] of ['min', 'max'].entries()) {
      const bound = node.float(name);
      if (bound !== undefined) node.setInput(index + 1, constant(name, scalar(bound)));
      node.removeAttr(name);
    }
    return undefined;
  },
  Dropout(node, { from, to, check, constant }) {
    const mask = node.outputs[1];
    if (from < 10 && mask?.isUsed) return 'its mask changed from float to boolean';
    // Where nothing is dropped it is nothing but 0 until opset 11, and nothing but 1 since (ONNX Runtime).
    if (from < 12 && to >= 12 && mask?.isUsed)
      return 'its mask says what is dropped before opset 12, and what is kept since';
    if (from >= 12 || check) return undefined;
    // ONNX Runtime holds what is written down for a mask that nothing reads against the operator, too.
    if (from < 10 && to >= 10 && mask) mask.type = undefined;
    const ratio = node.float('ratio');
    if (ratio !== undefined) node.setInput(1, constant('ratio', scalar(ratio)));
    node.removeAttr('ratio');
    return undefined;
  },
  Pad(node, { from, check, constant, typeOf }) {
    if (from >= 11) return undefined;
    const pads = node.ints('pads');
    if (!pads) return 'it has no pads';
    if (node.attr('value') && typeOf(node.input(0))?.dtype !== 'float32') return notFloat32(node, typeOf);
    if (check) return undefined;
    node.setInput(1, constant('pads', int64Vector(pads)));
    const value = node.float('value');
    if (value !== undefined) node.setInput(2, constant('value', scalar(value)));
    node.removeAttr('pads');
    node.removeAttr('value');
    return undefined;
  },
  Slice(node, { from, check, constant }) {
    if (from >= 10) return undefined;
    const [starts, ends] = [node.ints('starts'), node.ints('ends')];
    if (!starts || !ends) return 'it has no starts or ends';
    if (check) return undefined;
    node.setInput(1, constant('starts', int64Vector(starts)));
    node.setInput(2, constant('ends', int64Vector(ends)));
    const axes = node.ints('axes');
    if (axes) node.setInput(3, constant('axes', int64Vector(axes)));
    for (const name of ['starts', 'ends', 'axes']) node.removeAttr(name);
    return undefined;
  },
  TopK(node, { from, check, constant }) {
    if (from >= 10) return undefined;
    const k = node.int('k');
    if (k === undefined) return 'it has no k';
    if (check) return undefined;
    node.setInput(1, constant('k', int64Vector([k])));
    node.removeAttr('k');
    return undefined;
  },
  Resize: raiseResize,
  Upsample: raiseResize,
  /** Opset 11 gave it another name. */
  Scatter(node, { from, to, check }) {
    if (from >= 11) return 'it ended with opset 10';
    if (to >= 11 && !check) node.op = 'ScatterElements';
    return undefined;
  },
  Scan: since(9, 'it had a batch dimension before opset 9'),
};

/**
 * Raises a model's opset to `to` in place, subgraphs included; a model at `to` or above stays as it is.
 * @returns a sentence when it cannot be raised; nothing is changed then.
 */
export function upgradeOpset(model: Model, to = quantizableOpset): string | undefined {
  const from = model.opset;
  if (from >= to) return undefined;
  if (to > newestOpset) return `this version knows opsets up to ${newestOpset}, not ${to}`;
  if (from < oldestOpset) return `opset ${from} is too old to be raised: export the model with opset ${to} or later`;
  if (model.functions.length > 0) return 'it has functions of its own, which have opsets of their own';
  const nodes: Node[] = [];
  for (const graph of model.graphs()) for (const node of graph.nodes) if (node.domain === '') nodes.push(node);
  const { types } = inferShapes(model, { write: false });
  const typeOf = (value: Value | undefined): TensorType | undefined => {
    const type = value && (types.get(value) ?? value.type);
    return type?.kind === 'tensor' ? type : undefined;
  };
  for (const node of nodes) {
    const why = convert(node, from, to, true, typeOf) ?? lostKernel(node, from, to, typeOf(node.input(0))?.dtype);
    if (why) return `${node} cannot be raised from opset ${from} to ${to}: ${why}`;
  }
  for (const node of nodes) convert(node, from, to, false, typeOf);
  model.opsets.set('', to);
  // Below IR version 4 initializers are constants even where they are inputs too; above they are defaults.
  if (model.irVersion >= 4) model.irVersion = Math.max(model.irVersion, irVersionOf(to));
  return undefined;
}

/** The IR version that came with an opset (ONNX docs, Versioning): a file with an older one is not valid. */
export function irVersionOf(opset: number): number {
  const since: readonly (readonly [opset: number, ir: number])[] = [
    [23, 11],
    [21, 10],
    [19, 9],
    [15, 8],
    [12, 7],
    [11, 6],
    [10, 5],
    [9, 4],
  ];
  return since.find(([from]) => opset >= from)?.[1] ?? 3;
}

/**
 * Operators that ONNX Runtime 1.30 has CPU kernels for in float32 and halves only, and computes in other types by their function
 * bodies at these opsets, not at later ones: first opset that works, the last is 18 for all. (Found by trying every elementwise
 * operator, reduction and pool of opsets 13 to 23 in float64, float16, int32 and int64.)
 */
const functionsUntil18: Readonly<Record<string, number>> = {
  LeakyRelu: 16,
  PRelu: 16,
  Elu: 18,
  HardSigmoid: 18,
  HardSwish: 18,
  Mish: 18,
  Selu: 18,
  Softplus: 18,
  Softsign: 18,
  ThresholdedRelu: 18,
};

/**
 * Operators that ONNX Runtime 1.30 has no CPU kernel for from opset 22 on (all versions of all operators looked up in its registry), by themselves or
 * in their function body (Bernoulli draws with RandomUniformLike).
 */
const kernelsUntil21 = new Set(
  'Bernoulli GlobalLpPool MaxRoiPool Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike RoiAlign'.split(
    ' ',
  ),
);

/** What ONNX Runtime moves QuantizeLinear and DequantizeLinear over (QDQPropagation). */
const carriers: ReadonlySet<string> = new Set(['MaxPool', 'Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Slice']);

const isSigned = (node: Node | undefined): boolean => constantOf(node?.input(2))?.dtype === 'int8';

/**
 * From opset 21 on, ONNX Runtime 1.30 writes the type beside the zero point of pairs that it puts before or behind a carrier, and on x64 then makes
 * unsigned bytes of signed ones without changing that: it cannot load its own result.
 */
function getsSignedPair(node: Node): boolean {
  if (!carriers.has(node.op)) return false;
  const before = node.input(0)?.producer;
  if (before?.is('DequantizeLinear') && isSigned(before) && !constantOf(before.input(0))) return true;
  return node.output().consumers.some((reader) => reader.is('QuantizeLinear') && isSigned(reader));
}

/** Why ONNX Runtime does not compute in opset `to` what it computes in `from`. */
export function lostKernel(node: Node, from: number, to: number, dtype: DType | undefined): string | undefined {
  if (from < 21 && to >= 21 && getsSignedPair(node))
    return 'it stands beside a QuantizeLinear or DequantizeLinear of signed bytes, and ONNX Runtime cannot load what it makes of that from opset 21 on (quantize after raising, or with unsigned bytes)';
  if (kernelsUntil21.has(node.op) && from < 22 && to >= 22) return 'ONNX Runtime has no kernel for it from opset 22 on';
  const first = functionsUntil18[node.op];
  if (first === undefined || from < first || from > 18 || (to >= first && to <= 18)) return undefined;
  if (!dtype || dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16') return undefined;
  return to < first
    ? `ONNX Runtime computes it in ${dtype} from opset ${first} on only`
    : `ONNX Runtime computes it in ${dtype} up to opset 18 only`;
}

function convert(node: Node, from: number, to: number, check: boolean, typeOf: Site['typeOf']): string | undefined {
  if (unchanged.has(node.op)) return undefined;
  const conversion = Object.hasOwn(conversions, node.op) ? conversions[node.op] : undefined;
  if (!conversion) return `it is not known how ${node.op} changed`;
  const constant = (name: string, tensor: Tensor): Value => addConstant(node.graph, `${node.op}_${name}`, tensor);
  return conversion(node, { from, to, check, constant, typeOf });
}

/** Below IR version 4 an initializer of the main graph must be a graph input as well. */
function addConstant(graph: Graph, name: string, tensor: Tensor): Value {
  const { model } = graph;
  if (model?.graph !== graph || model.irVersion >= 4) return graph.addInitializer(name.toLowerCase(), tensor);
  const value = graph.addInput(graph.freshName(name.toLowerCase()), {
    kind: 'tensor',
    dtype: tensor.dtype,
    shape: tensor.shape,
  });
  graph.attachInitializer(value, tensor);
  return value;
}

/** An attribute that became input 1 in version `since`. */
function attributeToInput(name: string, version: number): Conversion {
  return (node, { from, to, check, constant }) => {
    const values = node.ints(name);
    if (from >= version || to < version || check || !values) return undefined;
    node.setInput(1, constant(name, int64Vector(values)));
    node.removeAttr(name);
    return undefined;
  };
}

function since(version: number, why: string): Conversion {
  return (_, { from }) => (from >= version ? undefined : why);
}

function unlessCrossing(version: number, why: string): Conversion {
  return (_, { from, to }) => (from < version && to >= version ? why : undefined);
}

/**
 * Until opset 12 these flattened their input to a matrix at `axis` (default 1) and worked along its rows; from 13 on they work
 * along `axis` alone (default −1). Both mean the same where `axis` is the last dimension, or only ones follow it.
 */
function lastAxis(node: Node, { from, check, typeOf }: Site): string | undefined {
  if (from >= 13) return undefined;
  const shape = typeOf(node.input(0))?.shape;
  const given = node.int('axis', 1);
  if (!shape)
    return `the rank of its input "${node.input(0)?.name}" is unknown, and its axis means something else since opset 13`;
  const axis = given < 0 ? given + shape.length : given;
  if (shape.slice(axis + 1).some((dim) => dim !== 1))
    return `it works on the dimensions from ${axis} on together, which opset 13 cannot say`;
  if (!check) node.setAttr('axis', axis);
  return undefined;
}

/** What was an attribute must now have the type of the data. */
function notFloat32(node: Node, typeOf: Site['typeOf']): string {
  const input = node.input(0);
  return `its input "${input?.name}" is ${typeOf(input)?.dtype ?? 'of unknown type'}; only float32 is handled`;
}

function scalar(value: number): Tensor {
  return tensorFrom('float32', [], Float32Array.of(value));
}
