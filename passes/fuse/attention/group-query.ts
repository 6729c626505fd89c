import type { Attr } from '../../../src/ir/attr.ts';
import { dtypeCode } from '../../../src/ir/dtype.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { tensorOf } from '../../../src/ir/tensor.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import type { BiasCache } from './bias.ts';
import type { Form } from './forms.ts';
import { joined } from './heads.ts';
import type { Dims } from './plan.ts';
import { extentOf, squeezed } from './shape-nodes.ts';

/**
 * com.microsoft.GroupQueryAttention. All keys count for every sample: padding and causality are in the bias, as the model has it, so
 * the operator is told to add no mask of its own.
 */
export function insertGroupQuery(
  form: Extract<Form, { kind: 'group-query' }>,
  dims: Dims,
  bias: Value | undefined,
  factors: Readonly<Record<string, Attr>>,
  edit: Edit,
  cache: BiasCache,
): Node {
  const { k, v, past } = form.sides;
  const [query, key, value] = [form.q, k, v].map((flat) => joined(flat, edit)) as [Value, Value, Value];
  const before = past && edit.types.shapeOf(past[0])?.[2];
  const lengths = `group-query:${past ? cache.dim(before) : 0}+${cache.dim(dims.length)}x${cache.dim(dims.batch)}`;
  const remembered = (name: string, make: () => Value): Value =>
    cache.get(`${lengths}${name}`, edit) ?? cache.set(`${lengths}${name}`, make());
  const total = remembered('total', () => {
    const own = extentOf(key, 1, undefined, edit);
    const all = past ? edit.insert('Add', { inputs: [extentOf(past[0], 2, before, edit), own] }).output() : own;
    return edit.insert('Cast', { inputs: [all], attrs: { to: dtypeCode('int32') } }).output();
  });
  const scalar = remembered('scalar', () => squeezed(total, [0], edit));
  const last = remembered('last', () => {
    const one = edit.constant('one', tensorOf('int32', [1], [1]));
    const index = edit.insert('Sub', { inputs: [total, one] }).output();
    return edit.insert('Expand', { inputs: [index, extentOf(query, 0, dims.batch, edit)] }).output();
  });
  edit.importDomain('com.microsoft');
  return edit.insert('GroupQueryAttention', {
    domain: 'com.microsoft',
    inputs: [query, key, value, past?.[0], past?.[1], last, scalar, undefined, undefined, undefined, bias],
    outputs: past ? ['', '', ''] : 1,
    attrs: { num_heads: dims.heads, kv_num_heads: dims.kvHeads, ...factors, causal: 0 },
  });
}
