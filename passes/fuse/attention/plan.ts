import { constantNumbers } from '../../../src/ir/constant.ts';
import { equalDims, equalShapes } from '../../../src/ir/dim.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Dim } from '../../../src/ir/types.ts';
import { onlyReader, usedInside } from '../../../src/rewrite/cluster.ts';
import type { Site } from '../../../src/rewrite/rule.ts';
import { type BiasPlan, planBias } from './bias.ts';
import { type Core, findCore } from './core.ts';
import { type Flat, findFlat, type Heads, permOf } from './heads.ts';
import { findRepeat } from './repeat.ts';

export interface Dims {
  readonly batch: Dim;
  readonly heads: number;
  /** Heads of keys and values, before they are repeated. */
  readonly kvHeads: number;
  readonly length: Dim;
  readonly total: Dim;
  readonly size: number;
  readonly valueSize: number;
}

/** Keys or values: maybe behind a past, maybe by fewer heads. */
export interface Side {
  /** As the product reads them, by as many heads as the queries. */
  readonly whole: Heads;
  /** Without the repetition: what whole is where there is none. */
  readonly grouped: Heads;
  /** Grouped is past and new, one after the other. */
  readonly past: { readonly past: Value; readonly added: Heads; readonly concat: Node } | undefined;
  /** Nodes between grouped and whole. */
  readonly repeat: readonly Node[];
}

/** Attention with all that an operator for it may ask. */
export interface Plan {
  readonly core: Core;
  readonly dims: Dims;
  readonly q: Flat | string;
  readonly k: Side;
  readonly v: Side;
  readonly bias: BiasPlan | undefined;
  readonly output: Output | string;
}

/** How the result by heads goes back to [batch, length, heads·size]. */
export interface Output {
  readonly transpose: Node;
  /** The Reshape that follows. */
  readonly reshape: Node;
  /** The Reshape makes just that; else it makes something else of it, and stays. */
  readonly flat: boolean;
  /** It goes to [length, batch, heads·size]. */
  readonly swap: boolean;
}

type Why = { readonly why: string; readonly far?: boolean };

export function planAttention(root: Node, site: Site): Plan | Why {
  const core = findCore(root, site);
  if ('why' in core) return core;
  const [k, v] = sidesOf(core, site);
  const dims = dimsOf(core, k, v, site);
  if ('why' in dims) return dims;
  const bias = planBias(core.biases, core.zeroRows, dims, site);
  if (typeof bias === 'string') return { why: bias };
  const free = usedInside(core.nodes, core.out.producer as Node);
  if (free !== true) return { why: free };
  return { core, dims, q: findFlat(core.q, site), k, v, bias, output: findOutput(core, dims, site) };
}

/** Operators repeat keys and values alike: where only one of them comes with fewer heads, or with others, both are taken as repeated. */
function sidesOf({ k, v, kShape, vShape }: Core, site: Site): readonly [Side, Side] {
  const sides = [sideOf(k, site), sideOf(v, site)] as const;
  const [keyHeads, valueHeads] = sides.map(({ grouped, repeat }, at) =>
    repeat.length > 0 ? site.types.shapeOf(grouped.value)?.[1] : (at === 0 ? kShape : vShape)[1],
  );
  return keyHeads === valueHeads ? sides : [sideOf(k, site, false), sideOf(v, site, false)];
}

/** @param repeats a repetition of heads is looked for. */
export function sideOf(whole: Heads, site: Site, repeats = true): Side {
  const repeat = repeats && whole.layout === 'bnsh' ? findRepeat(whole.value, site) : undefined;
  const grouped: Heads = repeat ? { value: repeat.source, layout: 'bnsh' } : whole;
  const concat = grouped.layout === 'bnsh' ? grouped.value.producer : undefined;
  const [past, added] = concat?.inputs ?? [];
  const axis = concat?.int('axis');
  const isPast = concat?.is('Concat') && concat.inputs.length === 2 && (axis === 2 || axis === -2);
  return {
    whole,
    grouped,
    past: concat && isPast && past && added ? { past, added: { value: added, layout: 'bnsh' }, concat } : undefined,
    repeat: repeat?.nodes ?? [],
  };
}

function dimsOf(core: Core, k: Side, v: Side, { types }: Site): Dims | Why {
  const { qShape, kShape, vShape } = core;
  const [batch, heads, length, size] = qShape;
  const valueSize = vShape[3];
  const queries = `the queries "${core.q.value.name}"`;
  if (typeof heads !== 'number' || typeof size !== 'number')
    return { why: `the number of heads of ${queries} and their size are not fixed` };
  if (typeof valueSize !== 'number') return { why: `the size of the values "${core.v.value.name}" is not fixed` };
  for (const [name, side, shape] of [['keys', k, kShape] as const, ['values', v, vShape] as const]) {
    const label = `the ${name} "${side.whole.value.name}"`;
    if (!equalDims(shape[0], batch))
      return {
        why: `${label} (batch ${shape[0] ?? '?'}) are not known to be of the same batch as ${queries} (${batch ?? '?'})`,
      };
    if (shape[1] !== heads) return { why: `${label} are of ${shape[1] ?? '?'} heads, and ${queries} of ${heads}` };
  }
  if (kShape[3] !== size) return { why: `the keys are of size ${kShape[3] ?? '?'}, and ${queries} of ${size}` };
  const kvHeads = k.grouped.layout === 'bnsh' ? types.shapeOf(k.grouped.value)?.[1] : heads;
  const valueHeads = types.shapeOf(v.grouped.value)?.[1];
  const grouped = typeof kvHeads === 'number' && kvHeads === valueHeads ? kvHeads : heads;
  return { batch, heads, kvHeads: grouped, length, total: kShape[2], size, valueSize };
}

type OutputDims = Pick<Dims, 'batch' | 'heads' | 'length' | 'valueSize'>;

export function findOutput(
  { out }: Pick<Core, 'out'>,
  { batch, heads, length, valueSize }: OutputDims,
  { types }: Site,
): Output | string {
  const transpose = onlyReader(out);
  const perm = permOf(transpose);
  const swap = perm === '2013';
  if (!transpose || (perm !== '0213' && !swap))
    return `the result "${out.name}" is not transposed back to [batch, length, heads, size]`;
  const reshape = onlyReader(transpose.output());
  if (!reshape?.is('Reshape') || reshape.input(0) !== transpose.output())
    return `the heads of "${transpose.output().name}" are not joined by one Reshape`;
  const rows = swap ? [length, batch] : [batch, length];
  if (equalShapes(types.shapeOf(reshape.output()), [...rows, heads * valueSize]))
    return { transpose, reshape, flat: true, swap };
  const target = constantNumbers(reshape.input(1));
  if (!target) return `${reshape} is not known to join the heads`;
  // A zero copies the extent at its place: behind the second place that would be another one.
  return target.lastIndexOf(0) <= 1
    ? { transpose, reshape, flat: false, swap }
    : `${reshape} copies the number of heads`;
}
