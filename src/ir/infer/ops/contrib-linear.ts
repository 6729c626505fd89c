import { addDims, mulDims } from '../../dim.ts';
import { dtypeFromCode } from '../../dtype.ts';
import type { Dim } from '../../types.ts';
import type { NodeContext, Rule, RuleTable } from '../context.ts';
import { broadcastShapes, plainAxis, withDim } from '../shapes.ts';
import { same } from './elementwise.ts';
import { gemmShape, lastDimTo, matMulRule, matMulShape, swapped } from './linear.ts';
import { dynamicQuantizeLstm } from './recurrent.ts';
import { convRule, poolShape } from './spatial.ts';

/** A [..., K] times packed weights: attribute N is the last dimension. */
const blockMatMul: Rule = (ctx) => ctx.set(0, ctx.dtype(0), lastDimTo(ctx.shape(0), ctx.int('N')));

/** Only where the layout is channels first, the one the shape rules know. */
function channelsFirst(rule: Rule): Rule {
  return (ctx) => {
    if (ctx.int('channels_last', 0) === 0) rule(ctx);
  };
}

const fusedMatMul: Rule = (ctx) => {
  if (ctx.int('transBatchA', 0) !== 0 || ctx.int('transBatchB', 0) !== 0) return ctx.set(0, ctx.dtype(0));
  const a = ctx.int('transA', 0) === 1 ? swapped(ctx.shape(0)) : ctx.shape(0);
  const b = ctx.int('transB', 0) === 1 ? swapped(ctx.shape(1)) : ctx.shape(1);
  ctx.set(0, ctx.dtype(0), matMulShape(a, b));
};

/** A, scale, zero point, B, … : both broadcast, type of A. */
const quantizedBinary: Rule = (ctx) => ctx.set(0, ctx.dtype(0), broadcastShapes(ctx.shape(0), ctx.shape(3)));

const quantizedConcat: Rule = (ctx) => {
  const shapes = Array.from({ length: Math.floor((ctx.inputCount - 2) / 3) }, (_, index) => ctx.shape(2 + 3 * index));
  const [first] = shapes;
  const axis = first && plainAxis(ctx.int('axis'), first.length);
  if (!first || axis === undefined) return ctx.set(0, ctx.dtype(1));
  ctx.set(0, ctx.dtype(1), withDim(first, axis, shapes.map((shape) => shape?.[axis]).reduce(addDims)));
};

const quantizedReduce: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const axes =
    ctx.ints('axes')?.map((axis) => (axis < 0 ? axis + (shape?.length ?? 0) : axis)) ?? shape?.map((_, axis) => axis);
  const keep = ctx.int('keepdims', 1) === 1;
  const out = shape?.flatMap((dim, axis): Dim[] => (axes?.includes(axis) ? (keep ? [1] : []) : [dim]));
  ctx.set(0, ctx.dtype(0), out);
};

const gatherBlockQuantized: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const indices = ctx.shape(1);
  const axis = shape && plainAxis(ctx.int('gather_axis', 0), shape.length);
  if (!shape || !indices || axis === undefined) return ctx.set(0, ctx.dtype(2));
  // Bytes hold several elements along the last axis.
  const packed = ctx.dtype(0) === 'uint8' ? 8 / ctx.int('bits', 4) : 1;
  const full = withDim(shape, shape.length - 1, mulDims(shape.at(-1), packed));
  ctx.set(0, ctx.dtype(2), [...full.slice(0, axis), ...indices, ...full.slice(axis + 1)]);
};

const qGemm: Rule = (ctx) => ctx.set(0, ctx.has(8) ? ctx.dtype(8) : 'float32', gemmShape(ctx, 0, 3));

const floatOf = (index: number) => (ctx: NodeContext) => ctx.dtype(index) ?? 'float32';

export const contribLinear: RuleTable = {
  MatMulNBits: blockMatMul,
  MatMulBnb4: blockMatMul,
  DynamicQuantizeMatMul: matMulRule(() => 'float32'),
  MatMulIntegerToFloat: matMulRule(floatOf(2)),
  MatMulInteger16: matMulRule(() => 'int32'),
  FusedMatMul: fusedMatMul,
  FusedMatMulActivation: fusedMatMul,
  TransposeMatMul: fusedMatMul,
  FusedGemm: (ctx) => ctx.set(0, ctx.dtype(0), gemmShape(ctx, 0, 1)),
  GemmFastGelu: matMulRule((ctx) => ctx.dtype(0)),
  QGemm: qGemm,
  FusedConv: convRule((ctx) => ctx.dtype(0)),
  QLinearConv: channelsFirst(convRule((ctx) => ctx.dtype(7), 3)),
  QLinearAdd: quantizedBinary,
  QLinearMul: quantizedBinary,
  QLinearConcat: quantizedConcat,
  QLinearLeakyRelu: same,
  QLinearSigmoid: same,
  QLinearSoftmax: same,
  QLinearReduceMean: quantizedReduce,
  QLinearAveragePool: channelsFirst((ctx) => ctx.set(0, ctx.dtype(0), poolShape(ctx))),
  QLinearGlobalAveragePool: channelsFirst((ctx) =>
    ctx.set(
      0,
      ctx.dtype(0),
      ctx.shape(0)?.map((dim, axis) => (axis < 2 ? dim : 1)),
    ),
  ),
  QLinearWhere: (ctx) =>
    ctx.set(0, ctx.dtype(1), broadcastShapes(broadcastShapes(ctx.shape(0), ctx.shape(1)), ctx.shape(4))),
  QuantizeLinear: (ctx) => ctx.set(0, ctx.has(2) ? ctx.dtype(2) : 'uint8', ctx.shape(0)),
  DequantizeLinear: (ctx) => ctx.set(0, ctx.dtype(1), ctx.shape(0)),
  GatherBlockQuantized: gatherBlockQuantized,
  GemmFloat8: (ctx) => ctx.set(0, dtypeFromCode(ctx.int('dtype', 1)), gemmShape(ctx, 0, 1)),
  DynamicQuantizeLSTM: dynamicQuantizeLstm,
};
