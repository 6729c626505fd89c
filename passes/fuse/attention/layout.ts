import type { AttrInput } from '../../../src/ir/attr.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { clusterMatch } from '../../../src/rewrite/cluster.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { type Match, miss } from '../../../src/rewrite/match.ts';
import type { Rule, Site } from '../../../src/rewrite/rule.ts';
import { type Flat, findFlat, type Heads } from './heads.ts';
import { Parts } from './parts.ts';
import { findOutput, type Output, type Side, sideOf } from './plan.ts';

interface Plan {
  readonly node: Node;
  readonly q: Flat | Value;
  readonly k: Flat | Value;
  readonly v: Flat | Value;
  readonly past: readonly [Side['past'], Side['past']] | undefined;
  readonly output: Output | undefined;
  readonly heads: number;
  readonly kvHeads: number;
}

/** ONNX Attention by heads, with transposes, repeated heads and joined pasts around it, does all of that itself. */
export function attentionLayout(): Rule {
  return {
    id: 'attention-layout',
    summary: 'transposes, repeated heads and a joined past around ONNX Attention go into it',
    ops: ['Attention'],
    find(node, site) {
      const plan = planLayout(node, site);
      if (typeof plan === 'string') return miss(node, plan, false);
      return clusterMatch(new Set([node]), plan.output?.flat ? plan.output.reshape : node, { root: node.output() });
    },
    apply(match, edit) {
      const node = match.value('root').producer as Node;
      const plan = planLayout(node, edit);
      if (typeof plan === 'string') return miss(node, plan, false);
      replace(plan, match, edit);
      return undefined;
    },
  };
}

function planLayout(node: Node, site: Site): Plan | string {
  const { types } = site;
  const [q, k, v] = node.inputs;
  const shape = types.shapeOf(q);
  const [keys, values] = [types.shapeOf(k), types.shapeOf(v)];
  if (!q || !k || !v || shape?.length !== 4 || keys?.length !== 4 || values?.length !== 4)
    return 'it does not work by heads';
  if (node.inputs.length > 4 || node.outputs.slice(1).some((output) => output?.isUsed))
    return 'it has a past, or further outputs';
  const byHeads = (value: Value): Heads => ({ value, layout: 'bnsh' });
  const [sideK, sideV] = [sideOf(byHeads(k), site), sideOf(byHeads(v), site)];
  const kvHeads = types.shapeOf(sideK.grouped.value)?.[1];
  const isGrouped = typeof kvHeads === 'number' && kvHeads === types.shapeOf(sideV.grouped.value)?.[1];
  const [heads, valueSize] = [shape[1], values[3]];
  if (typeof heads !== 'number' || typeof valueSize !== 'number' || typeof keys[1] !== 'number')
    return 'its number of heads is not fixed';
  const pick = (side: Side): Value => (isGrouped ? side.grouped : side.whole).value;
  const past = pastOf(node, sideK, sideV, isGrouped);
  const [newK, newV] = past ? [past[0].added.value, past[1].added.value] : [pick(sideK), pick(sideV)];
  const output = findOutput({ out: node.output() }, { batch: shape[0], heads, length: shape[2], valueSize }, site);
  const [flatQ, flatK, flatV] = [q, newK, newV].map((value) => findFlat(byHeads(value), site)) as [
    Flat | string,
    Flat | string,
    Flat | string,
  ];
  const common = { node, past, heads, kvHeads: isGrouped ? kvHeads : keys[1] };
  if (
    typeof flatQ !== 'string' &&
    typeof flatK !== 'string' &&
    typeof flatV !== 'string' &&
    typeof output !== 'string' &&
    output.flat
  ) {
    return { ...common, q: flatQ, k: flatK, v: flatV, output };
  }
  if (newK === k && newV === v) return 'nothing around it belongs to it';
  return { ...common, q, k: newK, v: newV, output: undefined };
}

/** With its own causal mask the operator counts positions from the past on, and from the beginning without one. */
function pastOf(
  node: Node,
  k: Side,
  v: Side,
  isGrouped: boolean,
): readonly [NonNullable<Side['past']>, NonNullable<Side['past']>] | undefined {
  if (!k.past || !v.past || k.past.concat === v.past.concat || node.int('is_causal', 0) !== 0) return undefined;
  if (!isGrouped && (k.repeat.length > 0 || v.repeat.length > 0)) return undefined;
  const inside = new Set([node, ...k.repeat, ...v.repeat]);
  for (const { concat } of [k.past, v.past])
    for (const reader of concat.output().readers) if (!inside.has(reader)) return undefined;
  return [k.past, v.past];
}

function replace(plan: Plan, match: Match, edit: Edit): void {
  const { node, past, output } = plan;
  const parts = new Parts(edit);
  const read = (value: Flat | Value): Value => ('heads' in value ? parts.of(value) : value);
  const attrs: Record<string, AttrInput> = Object.fromEntries(node.attrs);
  if (output) Object.assign(attrs, { q_num_heads: plan.heads, kv_num_heads: plan.kvHeads });
  const fused = edit.insert('Attention', {
    inputs: [read(plan.q), read(plan.k), read(plan.v), node.input(3), past?.[0]?.past, past?.[1]?.past],
    outputs: past ? ['', '', ''] : 1,
    attrs,
  });
  fused.name = node.name;
  const concats = past?.map((one) => one?.concat) ?? [];
  for (const [at, concat] of concats.entries()) if (concat) edit.replaceValue(concat.output(), fused.output(at + 1));
  edit.replace(match.root, fused);
  for (const concat of concats) if (concat && !concat.removed) edit.removeUnused(concat);
}
