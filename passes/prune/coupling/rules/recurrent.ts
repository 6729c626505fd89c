import type { Axis } from '../book.ts';
import type { Site } from '../site.ts';

const gatesOf: Readonly<Record<string, number>> = { LSTM: 4, GRU: 3, RNN: 1 };

/**
 * Hidden units: X [seq, batch, in], W [d, gates·h, in], R [d, gates·h, h], B [d, 2·gates·h], initial states [d, batch, h],
 * peepholes [d, 3·h]; Y [seq, d, batch, h]. Both directions lose the same units.
 */
export function recurrent(site: Site): void {
  const { node } = site;
  const gates = gatesOf[node.op] ?? 1;
  const [x, w, r, b] = [site.input(0), site.input(1), site.input(2), site.input(3)];
  const hidden = r?.axes[2];
  if (!x || !w || !r || hidden?.extent === undefined) {
    site.blockAll(`the shapes of its weights are not known at ${node}`);
    return;
  }
  const [steps, batch] = node.int('layout', 0) === 0 ? [x.axes[0], x.axes[1]] : [x.axes[1], x.axes[0]];
  site.same(x.axes[2], w.axes[2]);
  site.role(w.axes[2], 'in');
  const all = (axis: Axis | undefined, count: number): void => {
    if (axis) site.product(axis, [site.factor(count), hidden], true, 1);
  };
  all(w.axes[1], gates);
  all(r.axes[1], gates);
  all(b?.axes[1], 2 * gates);
  all(site.input(7)?.axes[1], 3);
  site.role(w.axes[1], 'out');
  site.role(r.axes[1], 'out');
  site.role(hidden, 'in');
  site.role(b?.axes[1], 'each');
  site.fix(w.axes[0], r.axes[0], b?.axes[0]);
  if (node.attr('activation_alpha') || (node.op === 'GRU' && node.attr('clip'))) site.fix(steps);
  for (const index of [5, 6]) {
    const state = site.input(index);
    site.same(state?.axes.at(-1), hidden);
    site.fix(state?.axes[node.int('layout', 0) === 0 ? 0 : 1]);
  }
  for (const y of site.outputs) site.same(y.axes.at(-1), hidden);
  const sequence = site.output(0);
  const [ySteps, yBatch] = node.int('layout', 0) === 0 ? [0, 2] : [1, 0];
  site.same(steps, sequence?.axes[ySteps]);
  site.same(batch, sequence?.axes[yBatch]);
  site.fix(steps, batch, ...(sequence?.axes.slice(0, -1) ?? []));
  for (const index of [1, 2]) site.fix(...(site.output(index)?.axes.slice(0, -1) ?? []));
  site.adjust((kept) => {
    const left = kept(hidden);
    if (left) node.setAttr('hidden_size', left.length);
  });
}
