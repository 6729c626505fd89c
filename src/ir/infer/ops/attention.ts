import { addDims, exactDivDims, floorDivDims, maxDims, mulDims, subDims } from '../../dim.ts';
import type { Dim } from '../../types.ts';
import type { NodeContext, Rule } from '../context.ts';
import { lastDimTo } from './linear.ts';

/** Past and new positions together; without a past only the new ones. */
function totalLength(ctx: NodeContext, past: number, axis: number, length: Dim): Dim {
  return ctx.has(past) ? addDims(ctx.shape(past)?.[axis], length) : length;
}

/** ONNX Attention-23: Q, K, V as [batch, heads, seq, size] or [batch, seq, heads·size]; optional past and present. */
export const attention: Rule = (ctx) => {
  const [q, k, v] = [ctx.shape(0), ctx.shape(1), ctx.shape(2)];
  const dtype = ctx.dtype(0);
  if (!q || !k || !v || q.length !== v.length || (q.length !== 3 && q.length !== 4)) return ctx.set(0, dtype);
  const flat = q.length === 3;
  const [queryHeads, keyHeads]: [Dim, Dim] = flat ? [ctx.int('q_num_heads'), ctx.int('kv_num_heads')] : [q[1], k[1]];
  const sizeOf = (last: Dim, heads: Dim): Dim => (flat ? exactDivDims(last, heads) : last);
  const [keySize, valueSize] = [sizeOf(k.at(-1), keyHeads), sizeOf(v.at(-1), keyHeads)];
  const length = q.at(-2);
  ctx.set(0, dtype, flat ? [q[0], length, mulDims(queryHeads, valueSize)] : [q[0], queryHeads, length, valueSize]);
  const total = totalLength(ctx, 4, 2, k.at(-2));
  ctx.set(1, dtype, [q[0], keyHeads, total, keySize]);
  ctx.set(2, ctx.dtype(2), [q[0], keyHeads, total, valueSize]);
  ctx.set(3, dtype, [q[0], queryHeads, length, total]);
};

/** com.microsoft.Attention (and QAttention, whose past stands elsewhere): one packed weight for Q, K and V. */
export function packedAttention(past: number, dtypeFrom: number): Rule {
  return (ctx) => {
    const [input, weights] = [ctx.shape(0), ctx.shape(1)];
    const dtype = ctx.dtype(dtypeFrom);
    const sizes = ctx.ints('qkv_hidden_sizes');
    const hidden: Dim = sizes?.[2] ?? exactDivDims(weights?.[1], 3);
    ctx.set(0, dtype, lastDimTo(input, hidden));
    const heads = ctx.int('num_heads');
    if (ctx.int('past_present_share_buffer', 0) === 1) return ctx.setType(1, ctx.type(past));
    ctx.set(1, dtype, [2, input?.[0], heads, totalLength(ctx, past, 3, input?.[1]), exactDivDims(hidden, heads)]);
  };
}

/**
 * com.microsoft.MultiHeadAttention: query [batch, seq, hidden], or packed QKV [batch, seq, heads, 3, size]; key and
 * value flat, by heads [batch, heads, seq, size], or packed KV [batch, seq, heads, 2, size].
 */
export const multiHeadAttention: Rule = (ctx) => {
  const [q, k, v] = [ctx.shape(0), ctx.shape(1), ctx.shape(2)];
  const dtype = ctx.dtype(0);
  const heads = ctx.int('num_heads');
  if (!q) return ctx.set(0, dtype);
  if (q.length === 5) {
    ctx.set(0, dtype, [q[0], q[1], mulDims(q[2], q[4])]);
    return presentOf(ctx, [1, 2], [6, 7], [q[0], heads, q[1]], [q[4], q[4]]);
  }
  const hidden = v?.length === 3 ? v[2] : v?.length === 4 ? mulDims(v[1], v[3]) : q[2];
  ctx.set(0, dtype, ctx.has(2) && !v ? undefined : [q[0], q[1], hidden]);
  const length = k?.length === 4 ? k[2] : k?.[1];
  presentOf(ctx, [1, 2], [6, 7], [q[0], heads, length], [exactDivDims(q[2], heads), exactDivDims(hidden, heads)]);
};

function presentOf(
  ctx: NodeContext,
  outputs: readonly [number, number],
  pasts: readonly [number, number],
  [batch, heads, length]: readonly [Dim, Dim, Dim],
  sizes: readonly [Dim, Dim],
): void {
  for (const at of [0, 1] as const) {
    // A shared buffer keeps its extent: whether it is shared is not visible here.
    const total = ctx.has(8) ? undefined : totalLength(ctx, pasts[at], 2, length);
    ctx.set(outputs[at], ctx.dtype(0), [batch, heads, total, sizes[at]]);
  }
}

/**
 * com.microsoft.GroupQueryAttention: query [batch, seq, heads·size], or with K and V packed behind it. The present is as
 * long as the larger of the past buffer and the total length.
 */
export const groupQueryAttention: Rule = (ctx) => {
  const q = ctx.shape(0);
  const heads = ctx.int('num_heads');
  const keyHeads = ctx.int('kv_num_heads');
  const dtype = ctx.dtype(0);
  if (!q || heads === undefined || keyHeads === undefined || q.length !== 3) return ctx.set(0, dtype);
  const packed = !ctx.has(1);
  const size = packed ? exactDivDims(q[2], heads + 2 * keyHeads) : exactDivDims(q[2], heads);
  ctx.set(0, dtype, [q[0], q[1], packed ? mulDims(size, heads) : q[2]]);
  const total = ctx.data(6)?.items[0];
  const past: Dim = ctx.has(3) ? ctx.shape(3)?.[2] : 0;
  const cacheType = ctx.has(3) ? ctx.dtype(3) : dtype;
  // A quantized cache of 4 bits holds two elements a byte.
  const cacheSize = ctx.has(3) ? ctx.shape(3)?.[3] : size;
  for (const index of [1, 2]) ctx.set(index, cacheType, [q[0], keyHeads, maxDims(past, total), cacheSize]);
};

/** com.microsoft.SparseAttention and DecoderMaskedMultiHeadAttention share the past buffer. */
export const sharedPastAttention =
  (pastKey: number, pastValue: number): Rule =>
  (ctx) => {
    ctx.set(0, ctx.dtype(0), ctx.has(1) ? ctx.shape(0) : undefined);
    ctx.setType(1, ctx.type(pastKey));
    ctx.setType(2, ctx.type(pastValue));
  };

/** com.microsoft.EmbedLayerNormalization: ids [batch, seq] → [batch, seq, hidden], mask index [batch]. */
export const embedLayerNormalization: Rule = (ctx) => {
  const ids = ctx.shape(0);
  const out = ids && [...ids, ctx.shape(2)?.[1]];
  ctx.set(0, ctx.dtype(2), out);
  ctx.set(1, 'int32', ids && [ids[0]]);
  ctx.set(2, ctx.dtype(2), out);
};

/** com.microsoft.RelativePositionBias: [1, heads, query length, key length]. */
export const relativePositionBias: Rule = (ctx) =>
  ctx.set(0, ctx.dtype(0), [1, ctx.shape(0)?.[1], ctx.data(1)?.items[0], ctx.data(2)?.items[0]]);

/** com.microsoft.UnfoldTensor: windows of `size` every `step` along `dim`, put last. */
export const unfoldTensor: Rule = (ctx) => {
  const shape = ctx.shape(0);
  const size = ctx.int('size');
  const axis = shape && (ctx.int('dim', -1) + shape.length) % shape.length;
  if (!shape || size === undefined || axis === undefined) return ctx.set(0, ctx.dtype(0));
  const count = addDims(floorDivDims(subDims(shape[axis], size), ctx.int('step', 1)), 1);
  ctx.set(0, ctx.dtype(0), [...shape.map((dim, at) => (at === axis ? count : dim)), size]);
};
