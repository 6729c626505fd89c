import type { Site } from '../site.ts';

/** X [N, C, …], W [M, C / groups, …], B [M] → [N, M, …] */
export function conv(site: Site): void {
  const { node } = site;
  const [x, w, b, y] = [site.input(0), site.input(1), site.input(2), site.output()];
  const group = node.int('group', 1);
  const [inputs, outputs] = [x?.axes[1], w?.axes[0]];
  if (!x || !w || !y || inputs?.extent === undefined || outputs?.extent === undefined) {
    site.blockAll(`the shape of its weights or its input is not known at ${node}`);
    return;
  }
  site.fix(...x.axes.slice(2), ...w.axes.slice(2), ...y.axes.slice(2));
  site.same(x.axes[0], y.axes[0]);
  site.same(outputs, y.axes[1]);
  site.same(outputs, b?.axes[0]);
  site.role(outputs, 'out');
  site.role(b?.axes[0], 'each');
  if (group === 1) {
    site.same(inputs, w.axes[1]);
    site.role(w.axes[1], 'in');
  } else grouped(site, group, inputs.extent, outputs.extent);
}

/**
 * Depthwise, and groups that are many and narrow, go as a whole. Few and wide ones lose the same places each: W holds one
 * column for the same place of every group.
 */
function grouped(site: Site, group: number, inputs: number, outputs: number): void {
  const [x, w] = [site.input(0), site.input(1)];
  const whole = wholeGroups(site);
  const groups = site.factor(group);
  const [perIn, perOut] = [inputs / group, outputs / group];
  if (whole) {
    site.product(x?.axes[1], [groups, site.factor(perIn)], true, 0);
    site.product(w?.axes[0], [groups, site.factor(perOut)], true, 0);
    site.fix(w?.axes[1]);
    site.adjust((kept) => {
      const left = kept(w?.axes[0]);
      if (left) site.node.setAttr('group', left.length / perOut);
    });
    return;
  }
  site.product(x?.axes[1], [groups, w?.axes[1] ?? site.factor(perIn)], true, 1);
  site.product(w?.axes[0], [groups, site.factor(perOut)], true, 1);
  site.role(w?.axes[1], 'in');
}

function wholeGroups(site: Site): boolean {
  const group = site.node.int('group', 1);
  const perIn = site.input(1)?.axes[1]?.extent ?? 1;
  return site.flipped ? group < perIn : group >= perIn;
}

/** X [N, C, …], W [C, M / groups, …], B [M] → [N, M, …] */
export function convTranspose(site: Site): void {
  const { node } = site;
  const [x, w, b, y] = [site.input(0), site.input(1), site.input(2), site.output()];
  const group = node.int('group', 1);
  const [inputs, perOut] = [x?.axes[1], w?.axes[1]];
  if (!x || !w || !y || inputs?.extent === undefined || perOut?.extent === undefined) {
    site.blockAll(`the shape of its weights or its input is not known at ${node}`);
    return;
  }
  site.fix(...x.axes.slice(2), ...w.axes.slice(2), ...y.axes.slice(2));
  site.same(x.axes[0], y.axes[0]);
  site.same(y.axes[1], b?.axes[0]);
  site.role(b?.axes[0], 'each');
  site.same(inputs, w.axes[0]);
  site.role(w.axes[0], group === 1 ? 'in' : 'out');
  if (group === 1) {
    site.same(perOut, y.axes[1]);
    site.role(perOut, 'out');
    return;
  }
  const groups = site.factor(group);
  site.product(inputs, [groups, site.factor(inputs.extent / group)], true, 0);
  site.product(y.axes[1], [groups, site.factor(perOut.extent)], true, 0);
  site.fix(perOut);
  site.adjust((kept) => {
    const left = kept(inputs);
    if (left) node.setAttr('group', left.length / ((inputs.extent ?? 1) / group));
  });
}

/** Pools see each channel alone. */
export function pool(site: Site): void {
  const [x, y] = [site.input(0), site.output()];
  if (site.node.outputs[1]?.isUsed) site.blockAll(`${site.node} hands out indices into its input`);
  site.same(x?.axes[0], y?.axes[0]);
  site.same(x?.axes[1], y?.axes[1]);
  site.fix(...(x?.axes.slice(2) ?? []), ...(y?.axes.slice(2) ?? []));
}

/** Scale, bias, mean and variance [C] of X [N, C, …]. */
export function batchNorm(site: Site): void {
  const x = site.input(0);
  for (let index = 1; index < 5; index++) {
    const each = site.input(index)?.axes[0];
    site.same(each, x?.axes[1]);
    site.role(each, 'each');
  }
  for (const extra of site.node.outputs.slice(1))
    if (extra?.isUsed) site.blockAll(`${site.node} is in training mode: it hands out statistics`);
  site.sameShape(x, site.output());
  if (site.node.int('training_mode', 0) !== 0) site.blockAll(`${site.node} is in training mode`);
}

/** Each channel is normalized alone, over the spatial axes. */
export function instanceNorm(site: Site): void {
  const x = site.input(0);
  for (const index of [1, 2]) {
    const each = site.input(index)?.axes[0];
    site.same(each, x?.axes[1]);
    site.role(each, 'each');
  }
  site.sameShape(x, site.output());
  site.fix(...(x?.axes.slice(2) ?? []));
}

/** Whole groups can go: the statistics of one do not touch another. */
export function groupNorm(site: Site): void {
  const { node } = site;
  const x = site.input(0);
  const channels = x?.axes[1];
  const count = node.int('num_groups', 1);
  if (!x || channels?.extent === undefined) {
    site.blockAll(`the number of channels is not known at ${node}`);
    return;
  }
  const groups = site.factor(count);
  const perGroup = channels.extent / count;
  site.product(channels, [groups, site.factor(perGroup)], true, 0);
  for (const index of [1, 2]) {
    const each = site.input(index)?.axes[0];
    site.same(each, each?.extent === count && count !== channels.extent ? groups : channels);
    site.role(each, 'each');
  }
  site.sameShape(x, site.output());
  site.fix(...x.axes.slice(2));
  site.adjust((kept) => {
    const left = kept(channels);
    if (left) node.setAttr('num_groups', left.length / perGroup);
  });
}
