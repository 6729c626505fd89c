/** The operators for attention, and what each takes. */
import { equalDims } from '../../../src/ir/dim.ts';
import type { Value } from '../../../src/ir/graph.ts';
import { insertableOpset, type Site } from '../../../src/rewrite/rule.ts';
import type { FusionTarget } from '../target.ts';
import { type Flat, findFlat, type Heads } from './heads.ts';
import { findPacked, type Packed } from './packed.ts';
import type { Output, Plan } from './plan.ts';

/** Keys and values as an operator reads them. */
export interface Sides<T> {
  readonly k: T;
  readonly v: T;
  /** Earlier keys and values, of which the operator makes the present ones. */
  readonly past: readonly [Value, Value] | undefined;
}

export type Form =
  /** ONNX Attention over [batch, heads, length, size]. */
  | { readonly kind: 'native'; readonly sides: Sides<Heads> }
  /** ONNX Attention over [batch, length, heads·size]. */
  | { readonly kind: 'native-flat'; readonly q: Flat; readonly sides: Sides<Flat>; readonly output: Output }
  | {
      readonly kind: 'multi-head';
      readonly q: Flat;
      readonly sides: Sides<Flat> | Sides<Heads>;
      readonly output: Output;
    }
  | { readonly kind: 'group-query'; readonly q: Flat; readonly sides: Sides<Flat>; readonly output: Output }
  | { readonly kind: 'packed'; readonly packed: Packed; readonly output: Output };

/** The first opset with Attention. */
const nativeOpset = 23;

export function chooseForm(plan: Plan, site: Site, target: FusionTarget): Form | string {
  const dtype = site.types.dtypeOf(plan.core.out);
  const { q, output } = plan;
  const why = typeof q === 'string' ? q : typeof output === 'string' ? output : undefined;
  const opset = insertableOpset(site);
  const runtime = target.offers('MultiHeadAttention', dtype);
  const { softcap } = plan.core;
  if (!softcap && typeof q !== 'string' && typeof output !== 'string' && target.offers('Attention', dtype) === true) {
    const [k, v] = [findFlat(plan.k.whole, site), findFlat(plan.v.whole, site)];
    const packed = typeof k !== 'string' && typeof v !== 'string' ? findPacked(q, k, v, site) : undefined;
    if (packed) return { kind: 'packed', packed, output };
  }
  if (opset >= nativeOpset && (dtype === 'float32' || dtype === 'float16') && target.hasNativeAttention) {
    const flat = flatSides(plan, true, site);
    if (typeof q !== 'string' && typeof output !== 'string' && flat)
      return { kind: 'native-flat', q, sides: flat, output };
    return { kind: 'native', sides: headSides(plan, true) };
  }
  if (typeof q !== 'string' && typeof output !== 'string') {
    const sides = groupQuerySides(plan, site, target);
    if (sides) return { kind: 'group-query', q, sides, output };
  }
  if (softcap && target.isRuntime) {
    return `scores with a soft cap (${softcap}) need Attention of opset ${nativeOpset}, and the model has ${opset}; or GroupQueryAttention, ${why ?? 'which takes neither these types nor these sizes'}`;
  }
  if (runtime === true) {
    if (typeof q === 'string' || typeof output === 'string') return why ?? '';
    return { kind: 'multi-head', q, sides: flatSides(plan, false, site) ?? headSides(plan, false), output };
  }
  const raise = `Attention needs opset ${nativeOpset} and the model has ${opset}: raise it with --opset ${nativeOpset}`;
  return target.isRuntime ? `${raise} (${runtime})` : `${raise}, or use --level runtime`;
}

/**
 * GroupQueryAttention of the runtime: it repeats heads itself, but with a past it takes only one sample, or one position at a
 * time ("batch_size must be 1 when sequence_length > 1 and past context is given"), and sizes that are multiples of 8.
 */
function groupQuerySides(plan: Plan, site: Site, target: FusionTarget): Sides<Flat> | undefined {
  const { dims } = plan;
  if ((dims.kvHeads === dims.heads && plan.core.softcap === 0) || dims.size % 8 !== 0 || dims.valueSize !== dims.size)
    return undefined;
  if (target.offers('GroupQueryAttention', site.types.dtypeOf(plan.core.out)) !== true) return undefined;
  const sides = flatSides(plan, true, site);
  if (!sides || sides.k.part || sides.v.part) return undefined;
  // It takes as many new keys as queries: those of another sequence (cross attention) are not its kind.
  const added = site.types.shapeOf(sides.k.value)?.[sides.k.swap ? 0 : 1];
  if (!equalDims(added, dims.length)) return undefined;
  // What stands before the repetition must be all there is: a past that is read elsewhere would go in as new keys.
  const safe = !sides.past || dims.batch === 1 || dims.length === 1 || target.generation;
  return safe ? sides : undefined;
}

/** @param grouped the operator repeats the heads of keys and values itself. */
function flatSides(plan: Plan, grouped: boolean, site: Site): Sides<Flat> | undefined {
  const pasts = pastsOf(plan, grouped);
  const pick = (side: Plan['k']): Heads => (grouped ? side.grouped : side.whole);
  const [k, v] = [findFlat(pasts?.k.added ?? pick(plan.k), site), findFlat(pasts?.v.added ?? pick(plan.v), site)];
  if (typeof k === 'string' || typeof v === 'string') return undefined;
  return { k, v, past: pasts && [pasts.k.past, pasts.v.past] };
}

function headSides(plan: Plan, grouped: boolean): Sides<Heads> {
  const pasts = grouped ? pastsOf(plan, true) : undefined;
  if (pasts) return { k: pasts.k.added, v: pasts.v.added, past: [pasts.k.past, pasts.v.past] };
  return grouped
    ? { k: plan.k.grouped, v: plan.v.grouped, past: undefined }
    : { k: plan.k.whole, v: plan.v.whole, past: undefined };
}

type Pasts = { readonly k: NonNullable<Plan['k']['past']>; readonly v: NonNullable<Plan['v']['past']> };

/**
 * The joined keys and values become outputs of the operator; so nothing that it reads may be made from them. Only the attention
 * itself reads them, and callers.
 */
function pastsOf(plan: Plan, grouped: boolean): Pasts | undefined {
  const { k, v, core, dims } = plan;
  if (!k.past || !v.past || (!grouped && dims.kvHeads !== dims.heads) || k.past.concat === v.past.concat)
    return undefined;
  const inside = new Set([...core.nodes, ...k.repeat, ...v.repeat]);
  for (const { concat } of [k.past, v.past]) {
    for (const reader of concat.output().readers) if (!inside.has(reader)) return undefined;
  }
  return { k: k.past, v: v.past };
}
