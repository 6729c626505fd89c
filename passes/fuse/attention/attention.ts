import { type AttrInput, float } from '../../../src/ir/attr.ts';
import type { DType } from '../../../src/ir/dtype.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Dim } from '../../../src/ir/types.ts';
import { clusterMatch } from '../../../src/rewrite/cluster.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { type Match, miss } from '../../../src/rewrite/match.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import type { FusionTarget } from '../target.ts';
import { BiasCache, makeBias, makeRowMask, type Place } from './bias.ts';
import { chooseForm, type Form } from './forms.ts';
import { insertGroupQuery } from './group-query.ts';
import { type Flat, type Heads, lengthAxis, swapped } from './heads.ts';
import { packedInputs } from './packed.ts';
import { Parts } from './parts.ts';
import { type Plan, planAttention } from './plan.ts';
import { extentOf, squeezed } from './shape-nodes.ts';

/** softmax(scale·q·kᵀ + bias)·v is one operator: ONNX's Attention from opset 23 on, else one of the runtime's own. */
export function attention(target: FusionTarget): Rule {
  const cache = new BiasCache();
  return {
    id: 'attention',
    summary: 'the steps of attention, with scales, masks and a past, are Attention or MultiHeadAttention',
    ops: ['Softmax'],
    find(node, site) {
      const plan = planAttention(node, site);
      if ('why' in plan) return miss(node, plan.far ? plan.why : numbered(node, plan.why), !plan.far);
      const form = chooseForm(plan, site, target);
      if (typeof form === 'string') return miss(node, numbered(node, form));
      return clusterMatch(plan.core.nodes, lastOf(plan, form), { softmax: node.output() });
    },
    apply(match, edit) {
      const softmax = match.value('softmax').producer as Node;
      const plan = planAttention(softmax, edit);
      if ('why' in plan) return miss(softmax, plan.why);
      const form = chooseForm(plan, edit, target);
      if (typeof form === 'string') return miss(softmax, form);
      return { detail: replace(plan, form, match, edit, cache) };
    },
  };
}

/** `attention 3: why`: the third of the graph is mostly that of the third layer. */
function numbered(softmax: Node, why: string): string {
  let count = 0;
  for (const node of softmax.graph.nodes) {
    if (node.op === 'Softmax' || node.op.endsWith('Attention')) count++;
    if (node === softmax) break;
  }
  return `attention ${count}: ${why}`;
}

function lastOf(plan: Plan, form: Form): Node {
  return form.kind === 'native' ? (plan.core.out.producer as Node) : form.output.reshape;
}

/** @returns the operator, for the trace. */
function replace(plan: Plan, form: Form, match: Match, edit: Edit, cache: BiasCache): string {
  const { core, dims } = plan;
  const dtype = edit.types.dtypeOf(core.out) as DType;
  const bias = plan.bias && makeBias(plan.bias, placeOf(plan, form, edit), dims, dtype, edit, cache);
  const fused = insertFused(plan, form, bias, edit, cache);
  fused.name = core.root.name;
  const concats = 'sides' in form && form.sides.past ? [plan.k.past?.concat, plan.v.past?.concat] : [];
  for (const [at, concat] of concats.entries()) if (concat) edit.replaceValue(concat.output(), fused.output(at + 1));
  const rows = plan.bias?.zeroing.length ? makeRowMask(plan.bias, dtype, edit, cache) : undefined;
  let result = rows ? zeroRows(fused, rows, form.kind !== 'native', edit) : fused;
  if (form.kind !== 'native' && form.output.swap) result = swapped(result.output(), edit).producer as Node;
  if (form.kind === 'native' || form.output.flat) edit.replace(match.root, result);
  else {
    const { reshape } = form.output;
    edit.replace(reshape, edit.insertLike(reshape, { inputs: [result.output(), reshape.input(1)] }));
  }
  for (const concat of concats) if (concat && !concat.removed) edit.removeUnused(concat);
  return `${fused.domain ? `${fused.domain}.` : ''}${fused.op}`;
}

/** Multiplies with a mask of rows [batch, 1, length, 1]. */
function zeroRows(fused: Node, rows: Value, flat: boolean, edit: Edit): Node {
  if (!flat) return edit.insert('Mul', { inputs: [fused.output(), rows] });
  return edit.insert('Mul', { inputs: [fused.output(), squeezed(rows, [1], edit)] });
}

/** Read from what the operator itself reads: anything else would have to stay for it. */
function placeOf({ core, dims }: Plan, form: Form, edit: Edit): Place {
  if (form.kind === 'packed') {
    const own = (): Value => extentOf(form.packed.x, form.packed.swap ? 0 : 1, dims.length, edit);
    return { length: own, total: own, floor: false };
  }
  const { k, past } = form.sides;
  const of = (side: Flat | Heads, known: Dim): Value =>
    extentOf(side.value, 'layout' in side ? lengthAxis(side) : side.swap ? 0 : 1, known, edit);
  return {
    floor: form.kind === 'native' || form.kind === 'native-flat',
    length: () => of(form.kind === 'native' ? core.q : form.q, dims.length),
    total: () => {
      if (typeof dims.total === 'number' || !past) return of(k, dims.total);
      return edit.insert('Add', { inputs: [extentOf(past[0], 2, undefined, edit), of(k, undefined)] }).output();
    },
  };
}

function insertFused({ core, dims }: Plan, form: Form, bias: Value | undefined, edit: Edit, cache: BiasCache): Node {
  const scale = float(Math.fround(core.scale));
  const factors = { scale, ...(core.softcap !== 0 && { softcap: float(Math.fround(core.softcap)) }) };
  if (form.kind === 'packed') {
    const { sizes, factor } = form.packed;
    const { x, weight, bias: projected } = packedInputs(form.packed, edit);
    const attrs: Record<string, AttrInput> = { num_heads: dims.heads, scale: float(Math.fround(core.scale * factor)) };
    if (sizes[2] !== sizes[0]) attrs['qkv_hidden_sizes'] = [...sizes];
    edit.importDomain(microsoft);
    return edit.insert('Attention', {
      domain: microsoft,
      inputs: [x, weight, projected, undefined, undefined, bias],
      attrs,
    });
  }
  if (form.kind === 'group-query') return insertGroupQuery(form, dims, bias, factors, edit, cache);
  const parts = new Parts(edit);
  const { k, v, past } = form.sides;
  const outputs = past ? ['', '', ''] : 1;
  const read = (side: Flat | Heads): Value => ('heads' in side ? parts.of(side) : byHeads(side, edit));
  const query = form.kind === 'native' ? byHeads(core.q, edit) : read(form.q);
  const inputs = [query, read(k), read(v)];
  if (form.kind === 'multi-head') {
    edit.importDomain(microsoft);
    return edit.insert('MultiHeadAttention', {
      domain: microsoft,
      inputs: [...inputs, undefined, undefined, bias, ...(past ?? [])],
      outputs,
      attrs: { num_heads: dims.heads, scale },
    });
  }
  const attrs: Record<string, AttrInput> =
    form.kind === 'native' ? factors : { q_num_heads: dims.heads, kv_num_heads: dims.kvHeads, ...factors };
  return edit.insert('Attention', { inputs: [...inputs, bias, ...(past ?? [])], outputs, attrs });
}

const microsoft = 'com.microsoft';

function byHeads({ value, layout }: Heads, edit: Edit): Value {
  if (layout === 'bnsh') return value;
  const perm = layout === 'bsnh' ? [0, 2, 1, 3] : [1, 2, 0, 3];
  return edit.insert('Transpose', { inputs: [value], attrs: { perm } }).output();
}
