import { addDims, floorDivDims, subDims } from '../../dim.ts';
import type { Rule, RuleTable } from '../context.ts';
import {
  embedLayerNormalization,
  groupQueryAttention,
  multiHeadAttention,
  packedAttention,
  relativePositionBias,
  sharedPastAttention,
  unfoldTensor,
} from './attention.ts';
import { contribLinear } from './contrib-linear.ts';
import { broadcast, same } from './elementwise.ts';
import { indexing } from './indexing.ts';
import { lastDimTo } from './linear.ts';
import { layerNormStats } from './reduce.ts';
import { spatial } from './spatial.ts';

/** Output, mean and inverse deviation (training only), and the sum that was normalized. */
const skipLayerNormalization: Rule = (ctx) => {
  same(ctx);
  layerNormStats(ctx, [1, 2], -1);
  if (ctx.outputCount > 3) ctx.setType(3, ctx.type(0));
};

const biasDropout: Rule = (ctx) => {
  same(ctx);
  if (ctx.outputCount > 1) ctx.set(1, 'bool', ctx.shape(0));
};

/** Real → complex pairs over the last axis, half of the spectrum when one-sided. */
const rfft: Rule = (ctx) => {
  const shape = ctx.shape(0);
  if (!shape || ctx.int('signal_ndim') !== 1) return ctx.set(0, ctx.dtype(0));
  const half = addDims(floorDivDims(shape.at(-1), 2), 1);
  ctx.set(0, ctx.dtype(0), [...(lastDimTo(shape, ctx.int('onesided', 0) === 1 ? half : shape.at(-1)) ?? []), 2]);
};

const irfft: Rule = (ctx) => {
  const shape = ctx.shape(0);
  if (!shape || ctx.int('signal_ndim') !== 1 || ctx.int('onesided', 0) !== 1) return ctx.set(0, ctx.dtype(0));
  const bins = shape.at(-2);
  ctx.set(0, ctx.dtype(0), [...shape.slice(0, -2), addDims(subDims(bins, 1), subDims(bins, 1))]);
};

const sames = [
  'BiasGelu',
  'FastGelu',
  'QuickGelu',
  'Gelu',
  'BiasAdd',
  'GroupNorm',
  'RotaryEmbedding',
  'GemmaRotaryEmbedding',
  'MRotaryEmbedding',
  'Inverse',
  'Trilu',
  'BiasSoftmax',
  'MoE',
  'QMoE',
  'NGramRepeatBlock',
  'QOrderedGelu',
  'GatedRMSNorm',
  'QOrderedLayerNormalization',
  'ComplexMul',
  'ComplexMulConj',
] as const;

export const contrib: RuleTable = {
  ...contribLinear,
  ...Object.fromEntries(sames.map((op) => [op, same])),
  BiasDropout: biasDropout,
  SkipLayerNormalization: skipLayerNormalization,
  SkipSimplifiedLayerNormalization: skipLayerNormalization,
  SkipGroupNorm: (ctx) => {
    same(ctx);
    if (ctx.outputCount > 1) ctx.setType(1, ctx.type(0));
  },
  EmbedLayerNormalization: embedLayerNormalization,
  Attention: packedAttention(4, 0),
  QAttention: packedAttention(8, 3),
  MultiHeadAttention: multiHeadAttention,
  DecoderMaskedMultiHeadAttention: sharedPastAttention(5, 6),
  SparseAttention: sharedPastAttention(3, 4),
  GroupQueryAttention: groupQueryAttention,
  RelativePositionBias: relativePositionBias,
  GatedRelativePositionBias: (ctx) => {
    const q = ctx.shape(0);
    ctx.set(0, ctx.dtype(0), q && [q[0], ctx.int('num_heads'), q[1], q[1]]);
  },
  BiasSplitGelu: (ctx) => ctx.set(0, ctx.dtype(0), lastDimTo(ctx.shape(0), floorDivDims(ctx.shape(0)?.at(-1), 2))),
  MulInteger: broadcast,
  GatedAdd: broadcast,
  UnfoldTensor: unfoldTensor,
  CDist: (ctx) => ctx.set(0, ctx.dtype(0), [ctx.shape(0)?.[0], ctx.shape(1)?.[0]]),
  Rfft: rfft,
  Irfft: irfft,
  IsAllFinite: (ctx) => ctx.set(0, 'bool', []),
  GatherND: indexing.GatherND as Rule,
  GridSample: spatial.GridSample as Rule,
};
