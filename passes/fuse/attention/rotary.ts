import type { AttrInput } from '../../../src/ir/attr.ts';
import type { DType } from '../../../src/ir/dtype.ts';
import type { Node } from '../../../src/ir/graph.ts';
import { int64Vector } from '../../../src/ir/tensor.ts';
import { type Shape, tensorType } from '../../../src/ir/types.ts';
import { clusterMatch, usedInside } from '../../../src/rewrite/cluster.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { type Match, miss } from '../../../src/rewrite/match.ts';
import { insertableOpset, type Rule, type Site } from '../../../src/rewrite/rule.ts';
import type { FusionTarget } from '../target.ts';
import { AngleCache, type Angles, findAngles, nativeAngles, tableAngles } from './angles.ts';
import { type Flat, findFlat, type Heads, joined } from './heads.ts';
import { findRotated, type Rotated } from './rotated.ts';

interface Plan {
  readonly rotated: Rotated;
  readonly angles: Angles;
  readonly layout: Heads['layout'];
  readonly shape: Shape;
  readonly heads: number;
  readonly size: number;
  /** x as [batch, length, heads·size], where it is made from that. */
  readonly flat: Flat | undefined;
  readonly dtype: DType;
  readonly own: boolean;
}

/** Rotary position embedding, by halves or interleaved, of whole rows or of their beginning. */
export function rotary(target: FusionTarget): Rule {
  const cache = new AngleCache();
  return {
    id: 'rotary',
    summary: 'the rotation of queries and keys by cosines and sines is RotaryEmbedding',
    ops: ['Add', 'Concat', 'Reshape'],
    find(node, site) {
      const plan = planRotary(node, site, target);
      if (!plan) return miss(node, 'it is no rotary embedding', false);
      if ('why' in plan) return miss(node, plan.why);
      const { rotated } = plan;
      return clusterMatch(rotated.nodes, rotated.last, { x: rotated.x, root: node.output() });
    },
    apply(match, edit) {
      const root = match.value('root').producer as Node;
      const plan = planRotary(root, edit, target);
      if (!plan || 'why' in plan) return miss(root, plan?.why ?? 'it is no rotary embedding');
      replace(plan, match, edit, cache);
      return undefined;
    },
  };
}

function planRotary(root: Node, site: Site, target: FusionTarget): Plan | { readonly why: string } | undefined {
  const rotated = findRotated(root, site);
  if (!rotated || 'why' in rotated) return rotated;
  const { types } = site;
  const shape = types.shapeOf(rotated.x);
  const dtype = types.dtypeOf(rotated.x);
  if (shape?.length !== 4) return { why: `"${rotated.x.name}" is of rank ${shape?.length ?? '?'}, not 4` };
  const angles = findAngles(rotated, shape, site);
  if ('why' in angles) return angles;
  const { layout } = angles;
  const [heads, size] = [layout === 'bnsh' ? shape[1] : shape[2], shape[3]];
  if (typeof heads !== 'number' || typeof size !== 'number')
    return { why: `the number of heads of "${rotated.x.name}" is not fixed` };
  const opset = insertableOpset(site);
  const offer = target.offers('RotaryEmbedding', dtype);
  if (offer !== true && (opset < 23 || !dtype)) {
    const raise = `RotaryEmbedding needs opset 23 and the model has ${opset}: raise it with --opset 23`;
    return { why: target.isRuntime ? `${raise} (${offer})` : `${raise}, or use --level runtime` };
  }
  const free = usedInside(rotated.nodes, rotated.last);
  if (free !== true) return { why: `a rotary embedding of "${rotated.x.name}", but ${free}` };
  const found = findFlat({ value: rotated.x, layout }, site);
  const flat = typeof found !== 'string' && !found.part ? found : undefined;
  if (!flat && layout === 'bsnh') return { why: String(found) };
  return { rotated, angles, layout, shape, heads, size, flat, dtype: dtype as DType, own: offer === true };
}

function replace(plan: Plan, match: Match, edit: Edit, cache: AngleCache): void {
  const { rotated, angles, layout, shape, heads, size, flat, dtype, own } = plan;
  const attrs: Record<string, AttrInput> = { interleaved: rotated.interleaved ? 1 : 0, num_heads: heads };
  if (rotated.width < size) attrs['rotary_embedding_dim'] = rotated.width;
  const [batch, length] = [shape[0], layout === 'bnsh' ? shape[2] : shape[1]];
  const flatType = tensorType(dtype, [batch, length, heads * size]);
  const byLength = tensorType(dtype, [batch, length, heads, size]);
  const source = flat ? joined(flat, edit) : rotated.x;
  const byHeads = !flat;
  const place = { batch, length, source };
  const inputs = own ? tableAngles(angles, rotated, edit, cache) : nativeAngles(angles, rotated, place, edit, cache);
  if (own) edit.importDomain('com.microsoft');
  const domain = own ? 'com.microsoft' : '';
  const type = byHeads ? tensorType(dtype, shape) : flatType;
  let node = edit.insert('RotaryEmbedding', { domain, inputs: [source, ...inputs], attrs, types: [type] });
  node.name = rotated.last.name;
  if (!byHeads) {
    const split = edit.constant('heads', int64Vector([0, 0, heads, size]));
    node = edit.insert('Reshape', { inputs: [node.output(), split], types: [byLength] });
    if (layout === 'bnsh') {
      node = edit.insert('Transpose', {
        inputs: [node.output()],
        attrs: { perm: [0, 2, 1, 3] },
        types: [tensorType(dtype, shape)],
      });
    }
  }
  edit.replace(match.root, node);
}
