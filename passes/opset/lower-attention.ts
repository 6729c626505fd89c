/** ONNX Attention (opset 23 and 24) in products, masks and Softmax, the form that level runtime of fuse makes MultiHeadAttention of. */
import { int } from '../../src/ir/attr.ts';
import type { Value } from '../../src/ir/graph.ts';
import { tensorOf } from '../../src/ir/tensor.ts';
import type { Emit, Lowering } from './emit.ts';

export const lowerAttention: Lowering = (emit) => {
  const { node } = emit;
  const [query, key, value, mask, pastKey, pastValue, padding] = node.inputs as (Value | undefined)[];
  if (!query || !key || !value) return `${node} has no query, key or value`;
  if (node.int('left_window_size', -1) !== -1 || node.int('right_window_size', -1) !== -1)
    return `${node} sees a window of keys only, which opset 25 brought`;
  if (padding) return `${node} has lengths of keys without padding, which opset 24 brought`;
  const dtype = emit.dtype(query);
  if (dtype !== 'float32' && dtype !== 'float16' && dtype !== 'float64')
    return `${node} works on ${dtype ?? 'an unknown type'}, which is not lowered`;
  const shape = emit.shape(query);
  if (shape?.length !== 3 && shape?.length !== 4) return `the rank of "${query.name}" is not known to be 3 or 4`;
  const mode = node.int('qk_matmul_output_mode', 0);
  const flat = shape.length === 3;
  const queryHeads = flat ? node.int('q_num_heads') : shape[1];
  const keyHeads = flat ? node.int('kv_num_heads') : emit.shape(key)?.[1];
  if (typeof queryHeads !== 'number' || typeof keyHeads !== 'number')
    return `the number of heads of ${node} is not known`;
  const last = shape.at(-1);
  const size = typeof last === 'number' ? (flat ? last / queryHeads : last) : undefined;
  const scale = node.float('scale') ?? (size === undefined ? undefined : 1 / Math.sqrt(size));
  if (scale === undefined) return `the size of the heads of ${node} is not known`;

  const byHeads = (input: Value, heads: number): Value =>
    flat ? emit.transpose(emit.op('Reshape', [input, emit.ints(0, 0, heads, -1)]), 0, 2, 1, 3) : input;
  const q = byHeads(query, queryHeads);
  const joined = (past: Value | undefined, input: Value): Value =>
    past ? emit.op('Concat', [past, byHeads(input, keyHeads)], { axis: 2 }) : byHeads(input, keyHeads);
  const presentKey = joined(pastKey, key);
  const presentValue = joined(pastValue, value);
  const k = repeated(emit, presentKey, queryHeads, keyHeads);
  const v = repeated(emit, presentValue, queryHeads, keyHeads);

  let scores = emit.op('MatMul', [emit.op('Mul', [q, emit.number(scale, dtype)]), emit.transpose(k, 0, 1, 3, 2)]);
  // What qk_matmul_output shows by mode: products, after the soft cap, after the mask, after the softmax (ONNX Attention-23 and -24).
  const stages: Value[] = [scores];
  const cap = node.float('softcap', 0);
  const capped = (input: Value): Value =>
    emit.op('Mul', [emit.op('Tanh', [emit.op('Div', [input, emit.number(cap, dtype)])]), emit.number(cap, dtype)]);
  const masked = (input: Value): Value => {
    let result = input;
    if (node.int('is_causal', 0) === 1)
      result = emit.op('Where', [causal(emit, q, k, pastKey), result, lowest(emit, dtype)]);
    if (!mask) return result;
    if (emit.dtype(mask) === 'bool') return emit.op('Where', [mask, result, lowest(emit, dtype)]);
    return emit.op('Add', [result, mask]);
  };
  if (cap !== 0) scores = capped(scores);
  stages[1] = scores;
  scores = masked(scores);
  stages[2] = scores;
  const precision = node.int('softmax_precision');
  const code = { float32: 1, float16: 10, float64: 11 }[dtype];
  const wide = precision !== undefined && precision !== code;
  let weights = emit.op('Softmax', [wide ? emit.op('Cast', [scores], { to: int(precision) }) : scores], { axis: -1 });
  // A row in which everything is masked has no weights: ONNX Runtime's kernel gives zeros there.
  if (mask)
    weights = emit.op('Where', [emit.op('IsNaN', [weights]), emit.number(0, wide ? 'float32' : dtype), weights]);
  if (wide) weights = emit.op('Cast', [weights], { to: int(code) });
  stages[3] = weights;
  const product = emit.op('MatMul', [weights, v]);
  const result = flat ? emit.op('Reshape', [emit.transpose(product, 0, 2, 1, 3), emit.ints(0, 0, -1)]) : product;
  return [result, presentKey, presentValue, stages[mode]];
};

const lowest = (emit: Emit, dtype: 'float32' | 'float16' | 'float64'): Value =>
  emit.number(Number.NEGATIVE_INFINITY, dtype);

/** Each head of keys or values as often as queries have heads for it. */
function repeated(emit: Emit, value: Value, queryHeads: number, keyHeads: number): Value {
  const times = queryHeads / keyHeads;
  if (times === 1) return value;
  const wide = emit.op('Expand', [emit.unsqueeze(value, 2), emit.ints(1, 1, times, 1, 1)]);
  const shape = emit.op('Concat', [emit.extents(value, 0, 1), emit.ints(queryHeads), emit.extents(value, 2, 4)], {
    axis: 0,
  });
  return emit.op('Reshape', [wide, shape]);
}

/** Query i sees keys up to i, and all of the past. */
function causal(emit: Emit, q: Value, k: Value, past: Value | undefined): Value {
  const count = (value: Value, axis: number): Value =>
    emit.op('Squeeze', [emit.extents(value, axis, axis + 1), emit.ints(0)]);
  const [zero, one] = [emit.tensor(scalar(0)), emit.tensor(scalar(1))];
  let rows = emit.op('Range', [zero, count(q, 2), one]);
  if (past) rows = emit.op('Add', [rows, count(past, 2)]);
  const columns = emit.op('Range', [zero, count(k, 2), one]);
  return emit.op('GreaterOrEqual', [emit.unsqueeze(rows, 1), emit.unsqueeze(columns, 0)]);
}

const scalar = (value: number) => tensorOf('int64', [], [value]);
