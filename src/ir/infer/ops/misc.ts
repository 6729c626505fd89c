import { addDims, floorDivDims, subDims } from '../../dim.ts';
import { type DType, dtypeFromCode } from '../../dtype.ts';
import type { Dim } from '../../types.ts';
import type { NodeContext, Rule, RuleTable } from '../context.ts';
import { plainAxis, withDim } from '../shapes.ts';
import { broadcast } from './elementwise.ts';

function dtypeAttr(ctx: NodeContext, name: string, fallback: DType | undefined): DType | undefined {
  const code = ctx.int(name);
  return code === undefined ? fallback : dtypeFromCode(code);
}

const random: Rule = (ctx) => ctx.set(0, dtypeAttr(ctx, 'dtype', 'float32'), ctx.ints('shape'));
const randomLike: Rule = (ctx) => ctx.set(0, dtypeAttr(ctx, 'dtype', ctx.dtype(0)), ctx.shape(0));

const window: Rule = (ctx) => ctx.set(0, dtypeAttr(ctx, 'output_datatype', 'float32'), [ctx.data(0)?.items[0]]);

/** DFT: the last dimension becomes 2 (complex) or, for the inverse of a one-sided spectrum, 1. */
const dft: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const axisAt = ctx.opset >= 20 ? ctx.number(2) : ctx.int('axis', 1);
  const axis = shape && plainAxis(ctx.opset >= 20 && !ctx.has(2) ? -2 : axisAt, shape.length);
  if (!shape || axis === undefined) return ctx.set(0, ctx.dtype(0));
  const length: Dim = ctx.has(1) ? ctx.data(1)?.items[0] : shape[axis];
  const oneSided = ctx.int('onesided', 0) === 1;
  const inverse = ctx.int('inverse', 0) === 1;
  if (oneSided && inverse)
    return ctx.set(
      0,
      ctx.dtype(0),
      shape.map(() => undefined),
    );
  const half = oneSided ? addDims(floorDivDims(length, 2), 1) : length;
  ctx.set(0, ctx.dtype(0), [...withDim(shape, axis, half).slice(0, -1), 2]);
};

/** STFT: [batch, frames, bins, 2]. */
const stft: Rule = (ctx) => {
  const signal = ctx.shape(0);
  const step = ctx.data(1)?.items[0];
  const frame = ctx.has(3) ? ctx.data(3)?.items[0] : ctx.shape(2)?.[0];
  const frames =
    typeof step === 'number' && step > 0 ? addDims(floorDivDims(subDims(signal?.[1], frame), step), 1) : undefined;
  const bins = ctx.int('onesided', 1) === 1 ? addDims(floorDivDims(frame, 2), 1) : frame;
  ctx.set(0, ctx.dtype(0), [signal?.[0], frames, bins, 2]);
};

export const misc: RuleTable = {
  RandomNormal: random,
  RandomUniform: random,
  RandomNormalLike: randomLike,
  RandomUniformLike: randomLike,
  Bernoulli: randomLike,
  Multinomial: (ctx) => ctx.set(0, dtypeAttr(ctx, 'dtype', 'int32'), [ctx.shape(0)?.[0], ctx.int('sample_size', 1)]),
  HannWindow: window,
  HammingWindow: window,
  BlackmanWindow: window,
  MelWeightMatrix: (ctx) =>
    ctx.set(0, dtypeAttr(ctx, 'output_datatype', 'float32'), [
      addDims(floorDivDims(ctx.data(1)?.items[0], 2), 1),
      ctx.data(0)?.items[0],
    ]),
  DFT: dft,
  STFT: stft,
  NegativeLogLikelihoodLoss: (ctx) => ctx.set(0, ctx.dtype(0), ctx.text('reduction') === 'none' ? ctx.shape(1) : []),
  SoftmaxCrossEntropyLoss: (ctx) => {
    ctx.set(0, ctx.dtype(0), ctx.text('reduction') === 'none' ? ctx.shape(1) : []);
    if (ctx.outputCount > 1) ctx.set(1, ctx.dtype(0), ctx.shape(0));
  },
  StringConcat: broadcast,
  RegexFullMatch: (ctx) => ctx.set(0, 'bool', ctx.shape(0)),
  TfIdfVectorizer: (ctx) => {
    const indexes = ctx.ints('ngram_indexes');
    const width = indexes && indexes.length > 0 ? indexes.reduce((a, b) => Math.max(a, b)) + 1 : undefined;
    ctx.set(0, 'float32', ctx.shape(0) && [...(ctx.shape(0) ?? []).slice(0, -1), width]);
  },
};
