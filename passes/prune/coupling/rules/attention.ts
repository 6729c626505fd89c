import type { Axis, Slot } from '../book.ts';
import type { Site } from '../site.ts';

/** The heads of ONNX Attention (opset 23): 3-D [batch, length, heads · size] with counts as attributes, or 4-D [batch, heads, length, size]. */
export function attention(site: Site): void {
  const { node } = site;
  const [q, k, v, y] = [site.input(0), site.input(1), site.input(2), site.output()];
  if (!q || !k || !v || !y) return;
  const flat = q.axes.length === 3;
  const heads = flat ? node.int('q_num_heads') : q.axes[1]?.extent;
  const few = flat ? node.int('kv_num_heads') : k.axes[1]?.extent;
  if (!heads || !few || heads % few !== 0) {
    site.blockAll(`the number of heads is not known at ${node}`);
    return;
  }
  const [all, shared] = [site.factor(heads), site.factor(few)];
  // Queries of one group share a head of keys and values, and go with it.
  site.product(all, [shared, site.factor(heads / few)], false, 0);
  headAxis(site, q, all, flat);
  headAxis(site, k, shared, flat);
  headAxis(site, v, shared, flat);
  headAxis(site, y, all, flat);
  const mask = site.input(3);
  // It broadcasts to [batch, heads, length, total].
  const byHead = mask?.axes.at(-3);
  if (byHead && byHead.dim !== 1) site.same(byHead, all);
  for (const past of [site.input(4), site.input(5), site.output(1), site.output(2)]) site.same(past?.axes[1], shared);
  // Scores, where they are asked for: [batch, heads, length, total].
  site.same(site.output(3)?.axes[1], all);
  site.same(q.axes[0], y.axes[0]);
  site.role(y.axes[flat ? 2 : 1], 'head');
  site.adjust((kept) => {
    if (!flat) return;
    const [left, leftFew] = [kept(q.axes[2]), kept(k.axes[2])];
    if (left) node.setAttr('q_num_heads', left.length / ((q.axes[2]?.extent ?? 1) / heads));
    if (leftFew) node.setAttr('kv_num_heads', leftFew.length / ((k.axes[2]?.extent ?? 1) / few));
  });
}

/** com.microsoft.MultiHeadAttention: query, key, value [batch, length, heads · size], bias [3 · hidden]. */
export function multiHeadAttention(site: Site): void {
  const { node } = site;
  const [q, k, v, y] = [site.input(0), site.input(1), site.input(2), site.output()];
  const heads = node.int('num_heads');
  const plain = [q, k, v, y].every((slot) => slot?.axes.length === 3) && !site.input(3);
  if (!heads || !plain || !q || !k || !v || !y) {
    site.blockAll(`${node} packs queries, keys and values together`);
    return;
  }
  const all = site.factor(heads);
  for (const slot of [q, k, v, y]) headAxis(site, slot, all, true);
  const bias = site.input(5);
  if (bias && bias.axes[1]?.dim !== 1) site.same(bias.axes[1], all);
  for (const past of [site.input(6), site.input(7), site.output(1), site.output(2)]) site.same(past?.axes[1], all);
  site.same(q.axes[0], y.axes[0]);
  site.role(y.axes[2], 'head');
  site.adjust((kept) => {
    const left = kept(q.axes[2]);
    if (left) node.setAttr('num_heads', left.length / ((q.axes[2]?.extent ?? 1) / heads));
  });
}

function headAxis(site: Site, slot: Slot, heads: Axis, flat: boolean): void {
  if (!flat) {
    site.same(slot.axes[1], heads);
    return;
  }
  const wide = slot.axes[2];
  const count = heads.extent ?? 1;
  if (wide?.extent === undefined) site.block(heads, `the width of ${slot.label} is not known`);
  else site.product(wide, [heads, site.factor(wide.extent / count)], true, 0);
}

/** RotaryEmbedding turns each head alone: X [batch, heads, length, size], or [batch, length, heads · size] with `num_heads`. */
export function rotary(site: Site): void {
  const { node } = site;
  const [x, y] = [site.input(0), site.output()];
  if (!x || !y) return;
  site.sameShape(x, y);
  if (x.axes.length === 4) {
    site.fix(x.axes[2], x.axes[3]);
    return;
  }
  const heads = node.int('num_heads', 0);
  const wide = x.axes[2];
  if (!heads || wide?.extent === undefined) {
    site.block(wide, `${node} turns it in pairs, and the number of its heads is not known`);
    return;
  }
  const size = wide.extent / heads;
  site.product(wide, [site.factor(heads), site.factor(size)], true, 0);
  site.adjust((kept) => {
    const left = kept(wide);
    if (left) node.setAttr('num_heads', left.length / size);
  });
}
