import { addDims, maxDims, minDims, mulDims } from '../../dim.ts';
import type { Dim, Shape } from '../../types.ts';
import type { NodeContext, Rule, RuleTable } from '../context.ts';
import { scalar, vector } from '../data.ts';
import { plainAxes, plainAxis } from '../shapes.ts';
import { same } from './elementwise.ts';

/** Axes as an attribute, or as an input since opset 18 (ReduceSum: 13). */
function reducedAxes(ctx: NodeContext, rank: number): number[] | 'unknown' {
  const { given, values } = ctx.listAt('axes', 1);
  if (given && !values) return 'unknown';
  if (!values || values.length === 0) {
    const none = ctx.int('noop_with_empty_axes', 0) === 1;
    return none ? [] : Array.from({ length: rank }, (_, axis) => axis);
  }
  return plainAxes(values, rank) ?? 'unknown';
}

/** What remains of a shape. Without `keep` and without known axes not even the rank is known. */
function reducedShape(shape: Shape, axes: readonly number[] | 'unknown', keep: boolean): Shape | undefined {
  if (axes === 'unknown') return keep ? shape.map(() => undefined) : undefined;
  if (keep) return shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  return shape.filter((_, axis) => !axes.includes(axis));
}

function reduce(f?: (a: Dim, b: Dim) => Dim): Rule {
  return (ctx) => {
    const shape = ctx.shape(0);
    if (!shape) return ctx.set(0, ctx.dtype(0));
    const keep = ctx.int('keepdims', 1) === 1;
    const axes = reducedAxes(ctx, shape.length);
    ctx.set(0, ctx.dtype(0), reducedShape(shape, axes, keep));
    const data = ctx.data(0);
    if (!f || data?.shape.length !== 1 || data.items.length === 0 || axes === 'unknown' || axes.length !== 1) return;
    if (data.items.some((item) => typeof item === 'number' && !isExactInteger(item))) return;
    const result = data.items.reduce((a, b) => f(a, b));
    ctx.setData(0, keep ? vector([result]) : scalar(result));
  };
}

/** The limit itself stands for all that lies beyond. */
const isExactInteger = (item: number): boolean => Number.isInteger(item) && Math.abs(item) < Number.MAX_SAFE_INTEGER;

const argReduce: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const axis = shape && plainAxis(ctx.int('axis', 0), shape.length);
  if (!shape || axis === undefined) return ctx.set(0, 'int64');
  ctx.set(0, 'int64', reducedShape(shape, [axis], ctx.int('keepdims', 1) === 1));
};

const batchNormalization: Rule = (ctx) => {
  same(ctx);
  for (let index = 1; index < ctx.outputCount; index++) ctx.set(index, ctx.dtype(1), ctx.shape(1));
};

/** Mean and inverse deviation have the input's shape with the normalized axes 1. */
export function layerNormStats(ctx: NodeContext, outputs: readonly number[], axis = ctx.int('axis', -1)): void {
  const shape = ctx.shape(0);
  const from = shape && plainAxis(axis, shape.length);
  for (const index of outputs) {
    if (index < ctx.outputCount)
      ctx.set(index, 'float32', from === undefined ? undefined : shape?.map((dim, at) => (at < from ? dim : 1)));
  }
}

export const reductions: RuleTable = {
  ReduceL1: reduce(),
  ReduceL2: reduce(),
  ReduceLogSum: reduce(),
  ReduceLogSumExp: reduce(),
  ReduceMax: reduce(maxDims),
  ReduceMean: reduce(),
  ReduceMin: reduce(minDims),
  ReduceProd: reduce(mulDims),
  ReduceSum: reduce(addDims),
  ReduceSumSquare: reduce(),
  ArgMax: argReduce,
  ArgMin: argReduce,
  BatchNormalization: batchNormalization,
  LayerNormalization: (ctx) => {
    same(ctx);
    layerNormStats(ctx, [1, 2]);
  },
  // ONNX Runtime has it in the default domain too: outputs Y, of the scale's type, and inverse deviation.
  SimplifiedLayerNormalization: (ctx) => {
    ctx.set(0, ctx.dtype(1) ?? ctx.dtype(0), ctx.shape(0));
    layerNormStats(ctx, [1]);
  },
};
